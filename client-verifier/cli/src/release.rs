//! `aegis release`: what is said there, done with [`aegis_releases`] on files.

mod check;
mod key;
mod log;
mod show;
mod sign;
mod store;
mod witness;

use std::time::SystemTime;

use aegis_releases::UnixSeconds;

pub use check::refusal_json;

use crate::{
    args::release::{LogCommand, ReleaseArgs, ReleaseCommand},
    failure::Failure,
};

/// Does what is asked.
pub fn run(args: &ReleaseArgs) -> Result<(), Failure> {
    match &args.command {
        ReleaseCommand::Key(args) => key::run(args),
        ReleaseCommand::Sign(args) => sign::run(args),
        ReleaseCommand::Show(args) => show::run(args),
        ReleaseCommand::Check(args) => check::run(args),
        ReleaseCommand::Log(args) => match &args.command {
            LogCommand::Append(args) => log::append(args),
            LogCommand::Bundle(args) => log::bundle(args),
            LogCommand::Show(args) => log::show(args),
        },
        ReleaseCommand::Witness(args) => witness::run(args),
    }
}

fn now() -> UnixSeconds {
    UnixSeconds::of(SystemTime::now())
}
