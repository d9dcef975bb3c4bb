//! Every decision of the enclave, without I/O: what a request means, which bytes of a head pass,
//! what the host is asked, what is dispatched, what is settled. Read this crate first.
//!
//! ## Calling contract
//!
//! The shell owns the sockets and follows these machines; it takes no decision on grant,
//! credential, retry or settle of its own.
//!
//! 1. [`Plan::new`] judges a request head. An error is the answer to the client, nothing was asked
//!    and nothing is dispatched.
//! 2. [`Control::authorize`] gives the request its number and the frame for the host. Every frame
//!    from the host goes to [`Control::receive`]; an error there ends the channel.
//! 3. [`Exchange::step`] takes what happened, with the monotonic time, and says what to do. The
//!    shell carries out every action in order. An exchange that was granted settles exactly once,
//!    whatever happens; dropping one is the event [`Event::ClientGone`].
//! 4. [`Plan::target`], [`Plan::fields`], [`Plan::credential`] and [`head::response_fields`] give
//!    the heads that leave.
//!
//! What the host can observe of all this is [`exchange::observable`], and nothing else.
#![no_std]

extern crate alloc;

pub mod accounts;
pub mod control;
pub mod exchange;
pub mod head;
pub mod meter;
pub mod plan;
pub mod refusal;

pub use accounts::Accounts;
pub use control::Control;
pub use exchange::{Action, Event, Exchange};
pub use plan::Plan;
pub use refusal::Refusal;
