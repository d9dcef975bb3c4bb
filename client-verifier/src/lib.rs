//! A strict verifier of AWS Nitro attestation documents
