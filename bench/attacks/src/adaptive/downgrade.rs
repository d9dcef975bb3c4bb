//! Downgrades: the router's port speaks plain HTTP; or it lets the client in and then speaks plain
//! HTTP where the inner TLS should begin, as a provider would answer.

use std::io;
use std::sync::Arc;

use aegis_rig::agent;
use aegis_rig::hostile::Session;
use aegis_rig::record::contains;
use aegis_rig::user::KEY;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::Trial;
use super::Verdict;
use crate::agent::Base;

const PLAIN_ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\
    content-length: 2\r\nconnection: close\r\n\r\n{}";

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let loot = Arc::new(Mutex::new(Vec::new()));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let plain = listener.local_addr()?;
    let seen = Arc::clone(&loot);
    let server = tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = converse(stream, &seen).await;
        }
    });
    let folder = trial.world.folder();
    let (_agent, address) = agent::start(&trial.world.enclave, plain, folder, &[]).await?;
    let base = Base { address, ..trial.base.clone() };
    let on_port = crate::agent::step(&base, super::PLAIN, &super::step()).await?;
    server.abort();

    let seen = Arc::clone(&loot);
    trial.world.hostile.on_session(move |session: Session| {
        let seen = Arc::clone(&seen);
        async move { converse(session.client, &seen).await }
    });
    let inside = trial.step().await?;
    let loot = loot.lock().await;
    if loot.is_empty() {
        return Err(io::Error::other("the adversary was not even spoken to"));
    }
    for secret in [super::COMMAND, KEY, "messages"] {
        if contains(&loot, secret.as_bytes()) {
            return Ok(Verdict::Through(format!("{secret} in the clear")));
        }
    }
    Ok(super::all_refused(&[on_port, inside]))
}

/// Answers the first bytes with plain HTTP, and keeps whatever comes.
async fn converse(
    mut stream: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    seen: &Mutex<Vec<u8>>,
) -> io::Result<()> {
    let mut bytes = Vec::new();
    stream.read_buf(&mut bytes).await?;
    stream.write_all(PLAIN_ANSWER).await?;
    stream.flush().await?;
    // A client that refuses may close in any way.
    let _ = stream.read_to_end(&mut bytes).await;
    seen.lock().await.extend(bytes);
    Ok(())
}
