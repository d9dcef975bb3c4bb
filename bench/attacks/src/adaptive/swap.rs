//! Two clients' verified sessions are crossed over behind their evidence.

use std::io;

use aegis_rig::hostile;
use aegis_rig::hostile::Session;
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::Trial;
use super::Verdict;
use crate::agent;
use crate::agent::Base;

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let (send, mut pairs) = mpsc::unbounded_channel();
    let (swap, swapped) = watch::channel(false);
    trial.world.hostile.on_session(move |session: Session| {
        let (send, mut swapped) = (send.clone(), swapped.clone());
        async move {
            let mut enclave = session.door.open(session.number).await?;
            let mut client = session.client;
            tokio::select! {
                ended = tokio::io::copy_bidirectional(&mut client, &mut enclave) => {
                    return ended.map(drop);
                }
                _ = swapped.wait_for(|swapped| *swapped) => {}
            }
            send.send((client, enclave)).map_err(io::Error::other)
        }
    });
    let (_other, address) = trial.world.start_agent().await?;
    let other = Base { address, ..trial.base.clone() };
    trial.honest().await?;
    agent::step(&other, super::PLAIN, &super::step()).await?;
    swap.send_replace(true);
    let missing = || io::Error::other("a session ended before it was crossed over");
    let (client_one, enclave_one) = pairs.recv().await.ok_or_else(missing)?;
    let (client_two, enclave_two) = pairs.recv().await.ok_or_else(missing)?;
    tokio::spawn(hostile::copy_both(client_one, enclave_two));
    tokio::spawn(hostile::copy_both(client_two, enclave_one));
    let before = trial.world.mock.recorded().len();
    // What comes after the crossed sessions broke meets the hook, which hands it over at once.
    let steps = [trial.step().await?, agent::step(&other, super::PLAIN, &super::step()).await?];
    if trial.world.mock.recorded().len() != before {
        return Ok(Verdict::Through("a request went out on the wrong session".to_owned()));
    }
    Ok(super::nothing_else(&steps))
}
