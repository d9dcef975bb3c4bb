//! The Aegis enclave as a plain process, with the development attester and mock rows
