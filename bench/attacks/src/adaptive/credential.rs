//! Credential injection: a credential that would bring header fields, or a second request, with it.

use std::io;

use aegis_rig::hostile;
use aegis_wire::control::Grant;
use aegis_wire::control::Secret;

use super::Trial;
use super::Verdict;

const CREDENTIALS: [&[u8]; 5] = [
    b"sk-made-up\r\nx-injected: 1",
    b"sk-made-up\nx-injected: 1",
    b"sk-made-up x-injected",
    b"sk-made-up\0",
    b"",
];

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let mut steps = Vec::new();
    for (count, credential) in CREDENTIALS.into_iter().enumerate() {
        trial.world.hostile.on_authorize(move |ask, desk| {
            let credential = Secret(credential.to_vec());
            vec![hostile::grant_bytes(&Grant { credential, ..desk.honest(ask) })]
        });
        steps.push(trial.step().await?);
        trial.world.hostile.wait_hello(count + 2).await?;
    }
    match trial.world.mock.recorded().len() {
        0 => Ok(super::all_refused(&steps)),
        sent => Ok(Verdict::Through(format!("{sent} requests were sent"))),
    }
}
