//! Evidence that an enclave gave to one client is given to another; evidence that the host had asked
//! for itself, too.

use std::io;
use std::sync::Arc;

use aegis_rig::hostile;
use aegis_rig::hostile::Impostor;
use aegis_rig::hostile::Session;
use aegis_wire::session::Evidence;
use aegis_wire::session::Mode;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::sync::Mutex;

use super::Trial;
use super::Verdict;

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let mut peer = hostile::connect_unverified(trial.world.hostile.door().open(1).await?).await?;
    let own = peer.evidence(&hostile::opening(Mode::Http2, [7; 32])).await?;
    // Each client is given what was asked for with the question of the one before it.
    let kept = Arc::new(Mutex::new(own));
    let loot = Arc::new(Mutex::new(Vec::new()));
    let nonces = Arc::new(Mutex::new(Vec::new()));
    let (taken, heard) = (Arc::clone(&loot), Arc::clone(&nonces));
    trial.world.hostile.on_session(move |session: Session| {
        let (kept, loot) = (Arc::clone(&kept), Arc::clone(&taken));
        let nonces = Arc::clone(&heard);
        async move {
            let impostor = Impostor::generate()?;
            let mut client = hostile::accept_as(&impostor, session.client).await?;
            let opening = hostile::read_opening(&mut client).await?;
            nonces.lock().await.push(opening.nonce);
            let enclave = session.door.open(session.number).await?;
            let fresh = hostile::connect_unverified(enclave).await?.evidence(&opening).await?;
            let stale: Evidence = std::mem::replace(&mut *kept.lock().await, fresh);
            client.write_all(&stale.encode().map_err(io::Error::other)?).await?;
            client.flush().await?;
            let mut bytes = Vec::new();
            // A client that refuses may close in any way.
            let _ = client.read_to_end(&mut bytes).await;
            loot.lock().await.extend(bytes);
            Ok(())
        }
    });
    let (_other, address) = trial.world.start_agent().await?;
    let other = crate::agent::Base { address, ..trial.base.clone() };
    let one = trial.step().await?;
    let two = crate::agent::step(&other, super::PLAIN, &super::step()).await?;
    // A question that comes twice is one whose answer can be prepared.
    let nonces = nonces.lock().await;
    if nonces.iter().enumerate().any(|(i, nonce)| nonces[..i].contains(nonce)) {
        return Ok(Verdict::Through("a nonce came twice".to_owned()));
    }
    let loot = loot.lock().await.len();
    Ok(match loot {
        0 => super::all_refused(&[one, two]),
        bytes => Verdict::Through(format!("{bytes} bytes followed the opening")),
    })
}
