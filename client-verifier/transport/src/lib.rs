//! Attested sessions to an Aegis router
