//! The whole path for tests: real programs, real sockets, with an honest or a hostile host.
//!
//! * [`program`] finds, builds, starts and ends the programs of this workspace.
//! * [`enclave`] and [`user`] are the two trusted ends, both as shipped; [`agent`] is the program
//!   in front of a user's SDK.
//! * [`machine`] has the enclave as an image on an emulated machine.
//! * [`stack`] is the whole path with the shipped host, every leg on record; `site` is what that host
//!   is started with.
//! * [`hostile`] is an adversary in the host's place, [`world`] puts it between the two.
//! * [`verbatim`] is what a path must do to pass bodies as they are.
//! * [`publisher`] makes release lists with the shipped commands.
//! * [`record`] and [`memory`] hold what somebody saw, to be searched for canaries.

pub mod agent;
pub mod direct;
pub mod enclave;
pub mod hostile;
pub mod machine;
pub mod memory;
pub mod program;
pub mod publisher;
pub mod record;
pub mod relay;
mod site;
pub mod stack;
pub mod user;
pub mod verbatim;
pub mod world;
