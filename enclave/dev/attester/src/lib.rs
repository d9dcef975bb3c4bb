//! Attestation documents shaped like AWS Nitro's, under a root made here.
//!
//! For development and tests: no hardware stands behind these documents. A client accepts them only
//! when it is told the root's fingerprint, under a flag spelled dangerously; a production image
//! never links this crate.
//!
//! [`DevelopmentAttester`] is what a development enclave uses. [`forge`] is what tests of a
//! verifier use: it makes the same documents with any single defect in them, signed again so that
//! the defect is the only one.

mod attester;
pub mod forge;
mod measure;

pub use attester::AttestRequest;
pub use attester::AttesterError;
pub use attester::DevelopmentAttester;
pub use measure::PcrBank;
pub use measure::development_pcrs;
pub use measure::development_pcrs_of_file;
pub use measure::development_pcrs_of_this_process;
