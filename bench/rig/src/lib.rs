//! The whole path for tests: real programs, real sockets, with an honest or a hostile host.
//!
//! * [`program`] finds, builds, starts and ends the programs of this workspace.
//! * [`enclave`] and [`user`] are the two trusted ends, both as shipped.
//! * [`hostile`] is an adversary in the host's place, [`world`] puts it between the two.
//! * [`record`] and [`memory`] hold what somebody saw, to be searched for canaries.

pub mod enclave;
pub mod hostile;
pub mod memory;
pub mod program;
pub mod record;
pub mod user;
pub mod world;
