//! The attester trait of the Aegis enclave and its /dev/nsm implementation
