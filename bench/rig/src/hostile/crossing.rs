//! Two clients' verified sessions, crossed over behind their evidence.

use std::io;

use tokio::net::UnixStream;
use tokio::sync::mpsc;
use tokio::sync::watch;

use super::Client;
use super::Hostile;
use super::Session;
use super::copy_both;
use crate::record::Tap;

/// A session's two ends.
type Ends = (Client, Tap<UnixStream>);

/// Sessions that are carried honestly until they are crossed over.
pub struct Crossing {
    cross: watch::Sender<bool>,
    ended: mpsc::UnboundedReceiver<Ends>,
}

impl Crossing {
    /// Carries the hostile host's sessions from now on; one that begins after they are crossed over
    /// is kept from its enclave.
    pub fn of(hostile: &Hostile) -> Self {
        let (send, ended) = mpsc::unbounded_channel();
        let (cross, crossed) = watch::channel(false);
        hostile.on_session(move |session: Session| {
            let (send, mut crossed) = (send.clone(), crossed.clone());
            async move {
                let mut enclave = session.door.open(session.number).await?;
                let mut client = session.client;
                tokio::select! {
                    ended = tokio::io::copy_bidirectional(&mut client, &mut enclave) => {
                        return ended.map(drop);
                    }
                    _ = crossed.wait_for(|crossed| *crossed) => {}
                }
                send.send((client, enclave)).map_err(io::Error::other)
            }
        });
        Self { cross, ended }
    }

    /// Joins the client of each of two sessions with the enclave of the other.
    pub async fn cross(&mut self) -> io::Result<()> {
        self.cross.send_replace(true);
        let missing = || io::Error::other("a session ended before it was crossed over");
        let (client_one, enclave_one) = self.ended.recv().await.ok_or_else(missing)?;
        let (client_two, enclave_two) = self.ended.recv().await.ok_or_else(missing)?;
        tokio::spawn(copy_both(client_one, enclave_two));
        tokio::spawn(copy_both(client_two, enclave_one));
        Ok(())
    }
}
