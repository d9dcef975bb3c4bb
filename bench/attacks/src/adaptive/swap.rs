//! Two clients' verified sessions are crossed over behind their evidence.

use std::io;

use aegis_rig::hostile::Crossing;

use super::Trial;
use super::Verdict;
use crate::agent;
use crate::agent::Base;

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let mut crossing = Crossing::of(&trial.world.hostile);
    let (_other, address) = trial.world.start_agent().await?;
    let other = Base { address, ..trial.base.clone() };
    trial.honest().await?;
    agent::step(&other, super::PLAIN, &super::step()).await?;
    crossing.cross().await?;
    let before = trial.world.mock.recorded().len();
    // Sessions that begin after the crossed ones broke are kept from the enclave.
    let steps = [trial.step().await?, agent::step(&other, super::PLAIN, &super::step()).await?];
    if trial.world.mock.recorded().len() != before {
        return Ok(Verdict::Through("a request went out on the wrong session".to_owned()));
    }
    Ok(super::nothing_else(&steps))
}
