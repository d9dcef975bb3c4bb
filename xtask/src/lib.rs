//! Gates and jobs of the Aegis workspace
