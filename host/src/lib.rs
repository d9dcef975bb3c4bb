//! The untrusted host of Aegis: ingress, egress, control plane, ledger
