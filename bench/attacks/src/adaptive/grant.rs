//! Grant splicing: grants for another request or attempt, of another custody, with a number that is
//! in use, and two answers to one question.

use std::io;

use aegis_rig::hostile;
use aegis_rig::hostile::Desk;
use aegis_wire::control::Authorize;
use aegis_wire::control::Custody;
use aegis_wire::control::Grant;

use super::Trial;
use super::Verdict;

type Splice = fn(&Authorize, Grant) -> Grant;

const SPLICES: [Splice; 5] = [
    |ask, grant| Grant { request: ask.request + 1, ..grant },
    |ask, grant| Grant { request: ask.request.wrapping_sub(1), ..grant },
    |ask, grant| Grant { attempt: ask.attempt + 1, ..grant },
    |_, grant| Grant { grant: 0, ..grant },
    |_, grant| Grant { custody: Custody::Client, ..grant },
];

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    trial.honest().await?;
    let sent = trial.world.mock.recorded().len();
    let mut steps = Vec::new();
    for (count, splice) in SPLICES.into_iter().enumerate() {
        trial.world.hostile.on_authorize(move |ask, desk: &Desk| {
            vec![hostile::grant_bytes(&splice(ask, desk.honest(ask)))]
        });
        steps.push(trial.step().await?);
        // Each ends the control channel; the enclave opens the next.
        trial.world.hostile.wait_hello(count + 2).await?;
    }
    if trial.world.mock.recorded().len() != sent {
        return Ok(Verdict::Through("a request was sent without its own grant".to_owned()));
    }
    Ok(super::all_refused(&steps))
}
