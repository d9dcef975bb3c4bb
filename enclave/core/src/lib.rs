//! The decisions of the Aegis enclave, without I/O
