//! The Aegis enclave: inner TLS, evidence, relay, upstream TLS
