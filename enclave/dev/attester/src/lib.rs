//! Development attester: documents shaped like AWS Nitro's, under a root of its own
