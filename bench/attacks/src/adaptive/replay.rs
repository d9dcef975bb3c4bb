//! A whole recorded session is played to the enclave again, to have its request sent twice.

use std::io;

use aegis_rig::hostile::Session;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::mpsc;

use super::Trial;
use super::Verdict;

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let (send, mut recorded) = mpsc::unbounded_channel();
    let (cut, end) = tokio::sync::watch::channel(false);
    trial.world.hostile.on_session(move |session: Session| {
        let (send, mut end) = (send.clone(), end.clone());
        async move {
            let mut enclave = session.door.open(session.number).await?;
            let mut client = session.client;
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut client, &mut enclave) => {}
                _ = end.wait_for(|end| *end) => {}
            }
            send.send(client.read_so_far()).map_err(io::Error::other)
        }
    });
    trial.honest().await?;
    let sent = trial.world.mock.recorded().len();
    cut.send_replace(true);
    let bytes = recorded.recv().await.ok_or_else(|| io::Error::other("nothing was recorded"))?;
    // The record begins with the CONNECT that the adversary answered itself.
    let head = bytes.windows(4).position(|window| window == b"\r\n\r\n").map_or(0, |at| at + 4);
    let mut enclave = trial.world.hostile.door().open(99).await?;
    enclave.write_all(&bytes[head..]).await?;
    let mut answer = Vec::new();
    // A reset is an end as good as any.
    let _ = enclave.read_to_end(&mut answer).await;
    Ok(match trial.world.mock.recorded().len() - sent {
        0 => Verdict::NothingElseRan,
        more => Verdict::Through(format!("{more} requests were sent again")),
    })
}
