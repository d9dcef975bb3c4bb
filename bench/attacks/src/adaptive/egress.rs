//! Egress lies, as false DNS answers would tell them: the connection leads to a server that speaks no
//! TLS, and to one with a valid certificate for another name.

use std::io;
use std::sync::Arc;

use aegis_mock::Mock;
use aegis_mock::MockConfig;
use aegis_rig::hostile::Dial;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;

use super::Trial;
use super::Verdict;

pub(super) async fn run() -> io::Result<Verdict> {
    let trial = Trial::start().await?;
    let other = MockConfig::tls(Arc::clone(&trial.world.mock_root), &["other.mock.aegis.test"]);
    let other = Mock::start(other).await.map_err(io::Error::other)?;
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let plain = listener.local_addr()?;
    let server = tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut bytes = Vec::new();
            let _ = stream.read_buf(&mut bytes).await;
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
        }
    });
    let mut steps = Vec::new();
    for address in [other.addr(), plain] {
        trial.world.hostile.on_egress(move |_| Dial::To(address));
        steps.push(trial.step().await?);
    }
    server.abort();
    match other.recorded().len() + trial.world.mock.recorded().len() {
        0 => Ok(super::all_refused(&steps)),
        sent => Ok(Verdict::Through(format!("{sent} requests were sent"))),
    }
}
