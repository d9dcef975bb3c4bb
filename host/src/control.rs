//! The control leg (PROTOCOL.md, section 4), the host's side: `Hello` is checked, every
//! `Authorize` is answered by the policy, a grant is on the ledger before it is sent, every
//! `Usage` is on the ledger before it is acknowledged.
//!
//! Whatever the protocol does not define closes the channel; the enclave dials again.

use std::{io, sync::Arc};

use aegis_wire::{
    Malformed, VERSION,
    control::{
        Authorize, Custody, Deny, DenyCode, Frame, Grant, HEAD, Hello, Secret, ToEnclave, ToHost,
        Usage,
    },
    limits,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    time::{Instant, timeout},
};
use zeroize::Zeroizing;

use crate::{
    accounts::Account,
    events::Event,
    fleet::{Boot, EnclaveId},
    host::Host,
    keys::Key,
    ledger::{LedgerError, Outcome, Settled, Terms},
    legs::Stream,
    policy::Refusal,
    sessions::Session,
};

/// Why a channel was closed.
#[derive(Debug, thiserror::Error)]
enum Closed {
    #[error("the enclave ended it")]
    End,
    #[error("the enclave has another one now")]
    Replaced,
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Malformed(#[from] Malformed),
    #[error("no Hello within 10 s")]
    Silent,
    #[error("the first frame was not Hello, or a later one was")]
    Order,
    #[error("the enclave speaks version {0} of the protocol, this host version {VERSION}")]
    Version(u16),
    #[error(
        "the enclave's provider table is another one (SHA-256 {theirs}, here {ours}); give this \
         host the table of the enclave's image by `table` in its configuration"
    )]
    Table { theirs: String, ours: String },
    #[error("the enclave asked for provider {0}, which is not in the table")]
    Provider(u16),
    #[error("the enclave reported usage of grant {0}, which this host never gave to this boot")]
    UnknownGrant(u64),
    #[error("{0}")]
    Ledger(#[from] LedgerError),
}

/// Serves one channel until it ends.
pub(crate) async fn serve(host: Arc<Host>, enclave: EnclaveId, stream: Stream) {
    let name = host.enclave(enclave).name.clone();
    let (read, write) = tokio::io::split(stream);
    let frames = Frames { read, buffer: Vec::new() };
    match run(&host, enclave, frames, write).await {
        Closed::End => tracing::info!(enclave = name, "control channel ended"),
        reason => tracing::warn!(enclave = name, %reason, "control channel closed"),
    }
}

async fn run(
    host: &Host,
    enclave: EnclaveId,
    mut frames: Frames,
    write: WriteHalf<Stream>,
) -> Closed {
    let boot = match frames.hello(host).await {
        Ok(boot) => boot,
        Err(closed) => return closed,
    };
    let name = &host.enclave(enclave).name;
    // First, so that an earlier boot gets no further grant, then what it had is settled.
    let attached = host.fleet.attach(enclave);
    let lost = host.ledger().enclave_restarted(crate::now_ms(), name, boot);
    match lost {
        Ok(lost) => host.show_lost(lost),
        Err(error) => return error.into(),
    }
    tracing::info!(enclave = name, %boot, "control channel up");
    let mut channel = Channel { host, enclave, boot, write };
    tokio::select! {
        closed = channel.serve(frames) => closed,
        () = attached.replaced() => Closed::Replaced,
    }
}

/// Frames from the enclave.
struct Frames {
    read: ReadHalf<Stream>,
    buffer: Vec<u8>,
}

impl Frames {
    async fn next(&mut self) -> Result<ToHost, Closed> {
        loop {
            if let Some((frame, len)) = ToHost::decode(&self.buffer)? {
                self.buffer.drain(..len);
                return Ok(frame);
            }
            // `decode` refuses longer payloads, so the buffer cannot grow past one frame and a read.
            self.buffer.reserve(HEAD + limits::CONTROL_BYTES);
            if self.read.read_buf(&mut self.buffer).await? == 0 {
                return Err(Closed::End);
            }
        }
    }

    /// The first frame, checked.
    async fn hello(&mut self, host: &Host) -> Result<Boot, Closed> {
        let first = timeout(limits::HANDSHAKE, self.next()).await;
        let ToHost::Hello(Hello { version, boot, table }) = first.map_err(|_| Closed::Silent)??
        else {
            return Err(Closed::Order);
        };
        if version != VERSION {
            return Err(Closed::Version(version));
        }
        let ours = host.providers.digest();
        if table != *ours {
            return Err(Closed::Table { theirs: hex::encode(table), ours: hex::encode(ours) });
        }
        Ok(Boot(boot))
    }
}

/// A channel after its `Hello`.
struct Channel<'a> {
    host: &'a Host,
    enclave: EnclaveId,
    boot: Boot,
    write: WriteHalf<Stream>,
}

impl Channel<'_> {
    async fn serve(&mut self, mut frames: Frames) -> Closed {
        loop {
            let served = match frames.next().await {
                Ok(ToHost::Authorize(asked)) => self.authorize(&asked).await,
                Ok(ToHost::Usage(usage)) => self.usage(&usage).await,
                Ok(ToHost::Hello(_)) => Err(Closed::Order),
                Err(closed) => Err(closed),
            };
            if let Err(closed) = served {
                return closed;
            }
        }
    }

    async fn authorize(&mut self, asked: &Authorize) -> Result<(), Closed> {
        let provider = self.host.providers.by_index(asked.provider);
        let provider = provider.ok_or(Closed::Provider(asked.provider))?;
        let request = format!("{}-{}", self.boot, asked.request);
        // A session is known only on the enclave it was sent to.
        let session = self.host.sessions.find(asked.session);
        let session = session.filter(|session| session.enclave == self.enclave);
        let holder = session.and_then(|session| {
            let key = self.host.policy.keys().by_id(session.key)?;
            Some((session, key))
        });
        self.host.events.show(&Event::Authorize {
            request: request.clone(),
            attempt: asked.attempt,
            session: asked.session,
            tenant: holder.map(|(_, key)| key.tenant.clone()),
            key: holder.map(|(_, key)| key.name.clone()),
            provider: provider.name.clone(),
            class: asked.class.word(),
            custody: asked.custody.word(),
        });
        let granted = match holder {
            Some((session, key)) => self.grant(asked, &request, session, key, &provider.name),
            None => Err(DenyCode::Key.into()),
        };
        match granted {
            Ok(grant) => self.send_grant(request, grant).await,
            Err(refusal) => self.send_deny(asked, request, refusal).await,
        }
    }

    /// Decides, and puts the grant on the ledger.
    fn grant(
        &self,
        asked: &Authorize,
        request: &str,
        session: Session,
        key: &Key,
        provider: &str,
    ) -> Result<Grant, Refusal> {
        let account = self.host.policy.decide(session.key, asked, Instant::now())?;
        let enclave = self.host.enclave(self.enclave);
        let number = account.map_or(0, |account| account.number);
        let terms = Terms {
            request: request.to_owned(),
            attempt: asked.attempt,
            session: asked.session,
            tenant: key.tenant.clone(),
            key: key.name.clone(),
            enclave: enclave.name.clone(),
            release: enclave.release,
            provider: provider.to_owned(),
            class: asked.class.word().to_owned(),
            custody: asked.custody.word().to_owned(),
            account: number,
        };
        let grant = self.host.ledger().grant(crate::now_ms(), terms);
        let grant = grant.map_err(|error| {
            tracing::error!(%error, "no grant can be given");
            Refusal::from(DenyCode::Overload)
        })?;
        Ok(Grant {
            request: asked.request,
            attempt: asked.attempt,
            grant,
            account: number,
            custody: asked.custody,
            credential: credential_for(asked.custody, account),
        })
    }

    async fn send_grant(&mut self, request: String, grant: Grant) -> Result<(), Closed> {
        self.host.events.show(&Event::Grant {
            request,
            attempt: grant.attempt,
            grant: grant.grant,
            account: grant.account,
        });
        self.send(ToEnclave::Grant(grant)).await
    }

    async fn send_deny(
        &mut self,
        asked: &Authorize,
        request: String,
        refusal: Refusal,
    ) -> Result<(), Closed> {
        let Refusal { code, retry_after_s } = refusal;
        self.host.events.show(&Event::Deny {
            request,
            attempt: asked.attempt,
            code: code.word(),
            retry_after_s,
        });
        let deny = Deny { request: asked.request, attempt: asked.attempt, code, retry_after_s };
        self.send(ToEnclave::Deny(deny)).await
    }

    /// Settles at most once, acknowledges every time.
    async fn usage(&mut self, usage: &Usage) -> Result<(), Closed> {
        let settled = self.host.ledger().settle(crate::now_ms(), self.boot, usage)?;
        match settled {
            Settled::Now(terms) => self.host.events.show(&Event::Usage {
                request: terms.request,
                grant: usage.grant,
                outcome: Outcome::reported(usage),
            }),
            Settled::Before => tracing::info!(grant = usage.grant, "usage was settled before"),
            Settled::Unknown => return Err(Closed::UnknownGrant(usage.grant)),
        }
        self.send(ToEnclave::Ack(usage.grant)).await
    }

    async fn send(&mut self, frame: ToEnclave) -> Result<(), Closed> {
        let bytes = Zeroizing::new(frame.encode()?);
        self.write.write_all(&bytes).await?;
        Ok(self.write.flush().await?)
    }
}

fn credential_for(custody: Custody, account: Option<&Account>) -> Secret {
    match (custody, account) {
        (Custody::Host, Some(account)) => Secret(account.credential.expose().to_vec()),
        (Custody::Host, None) | (Custody::Client | Custody::Sealed, _) => Secret::default(),
    }
}
