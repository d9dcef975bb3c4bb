//! The adversary's end of the control channel.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;

use aegis_wire::control::Authorize;
use aegis_wire::control::Custody;
use aegis_wire::control::Deny;
use aegis_wire::control::DenyCode;
use aegis_wire::control::Frame;
use aegis_wire::control::Grant;
use aegis_wire::control::Secret;
use aegis_wire::control::ToEnclave;
use aegis_wire::control::ToHost;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWriteExt as _;
use tokio::net::UnixListener;
use tokio::net::UnixStream;
use tokio::sync::mpsc;

use super::Seen;
use super::Shared;
use crate::record::Leg;

/// Hands out grants: numbers never repeat, the credential is what the test set.
#[derive(Debug)]
pub struct Desk {
    last: AtomicU64,
    credential: Mutex<Vec<u8>>,
}

impl Default for Desk {
    fn default() -> Self {
        let credential = b"sk-made-up-account-credential".to_vec();
        Self { last: AtomicU64::new(0), credential: Mutex::new(credential) }
    }
}

impl Desk {
    /// A number that no grant has had.
    pub fn number(&self) -> u64 {
        self.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The credential of grants in host custody.
    pub fn set_credential(&self, credential: &[u8]) {
        *self.credential.lock().unwrap_or_else(PoisonError::into_inner) = credential.to_vec();
    }

    /// The grant that an honest host would give, to be changed.
    pub fn honest(&self, ask: &Authorize) -> Grant {
        let credential = match ask.custody {
            Custody::Client | Custody::Sealed => Vec::new(),
            Custody::Host => self.credential.lock().unwrap_or_else(PoisonError::into_inner).clone(),
        };
        Grant {
            request: ask.request,
            attempt: ask.attempt,
            grant: self.number(),
            account: 7,
            custody: ask.custody,
            credential: Secret(credential),
        }
    }

    /// An honest grant as bytes.
    pub fn grant(&self, ask: &Authorize) -> Vec<u8> {
        frame(ToEnclave::Grant(self.honest(ask)))
    }
}

/// A grant as bytes, encoded by hand: the codec refuses what the adversary wants to say.
pub fn grant_bytes(grant: &Grant) -> Vec<u8> {
    let Grant { request, attempt, grant, account, custody, credential } = grant;
    let mut payload = request.to_be_bytes().to_vec();
    payload.push(*attempt);
    payload.extend_from_slice(&grant.to_be_bytes());
    payload.extend_from_slice(&account.to_be_bytes());
    payload.push(*custody as u8);
    payload.extend_from_slice(&(credential.0.len() as u16).to_be_bytes());
    payload.extend_from_slice(&credential.0);
    raw(0x81, &payload)
}

/// A denial as bytes.
pub fn deny(ask: &Authorize, code: DenyCode, retry_after_s: u32) -> Vec<u8> {
    let (request, attempt) = (ask.request, ask.attempt);
    frame(ToEnclave::Deny(Deny { request, attempt, code, retry_after_s }))
}

/// An acknowledgement as bytes.
pub fn ack(grant: u64) -> Vec<u8> {
    raw(0x83, &grant.to_be_bytes())
}

/// Kind, length and any payload.
pub fn raw(kind: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![kind];
    frame.extend_from_slice(&(payload.len() as u16).to_be_bytes());
    frame.extend_from_slice(payload);
    frame
}

fn frame(frame: ToEnclave) -> Vec<u8> {
    // Nothing is sent for a frame that cannot be said; the test then waits for its answer in vain
    // and names the bound it ran into.
    frame.encode().unwrap_or_default()
}

/// The sending end of an open channel.
#[derive(Clone, Debug)]
pub(super) struct Channel(mpsc::UnboundedSender<Option<Vec<Vec<u8>>>>);

impl Channel {
    pub(super) fn send(&self, frames: Vec<Vec<u8>>) -> io::Result<()> {
        self.0.send(Some(frames)).map_err(|_| io::Error::other("the control channel is closed"))
    }

    pub(super) fn close(&self) {
        // A channel that is gone already is closed.
        let _ = self.0.send(None);
    }
}

/// Serves one channel after the other.
pub(super) async fn serve(shared: Arc<Shared>, listener: UnixListener) {
    while let Ok((stream, _)) = listener.accept().await {
        // How a channel ends is what tests look at; the adversary has no use for its own errors.
        let _ = channel(&shared, stream).await;
        shared.channel.send_replace(None);
        shared.note(Seen::Closed);
    }
}

async fn channel(shared: &Arc<Shared>, stream: UnixStream) -> io::Result<()> {
    let (send, mut queue) = mpsc::unbounded_channel();
    let (mut read, mut write) = tokio::io::split(shared.record.tap(Leg::Control, stream));
    let channel = Channel(send);
    let mut held = Vec::new();
    loop {
        tokio::select! {
            count = read.read_buf(&mut held) => {
                if count? == 0 {
                    return Ok(());
                }
                take_frames(shared, &channel, &mut held)?;
            }
            next = queue.recv() => {
                let Some(Some(frames)) = next else { return Ok(()) };
                for frame in frames {
                    write.write_all(&frame).await?;
                }
            }
        }
    }
}

fn take_frames(shared: &Shared, channel: &Channel, held: &mut Vec<u8>) -> io::Result<()> {
    while let Some((frame, len)) = ToHost::decode(held).map_err(io::Error::other)? {
        held.drain(..len);
        let plan = shared.plan();
        match frame {
            ToHost::Hello(hello) => {
                shared.channel.send_replace(Some(channel.clone()));
                shared.note(Seen::Hello(hello));
            }
            ToHost::Authorize(ask) => {
                shared.note(Seen::Authorize(ask.clone()));
                channel.send((plan.authorize)(&ask, &shared.desk))?;
            }
            ToHost::Usage(usage) => {
                let answer = (plan.usage)(&usage);
                shared.note(Seen::Usage(usage));
                channel.send(answer)?;
            }
        }
    }
    Ok(())
}
