//! The control leg (PROTOCOL.md, section 4), the host's side: `Hello` is checked, every
//! `Authorize` is answered by the policy, a grant is on the books before it is sent, every
//! `Usage` is on the books before it is acknowledged. Questions are answered side by side, so that
//! all that waits for the store shares one transaction.
//!
//! Whatever the protocol does not define closes the channel; the enclave dials again.

use std::{io, sync::Arc};

use aegis_wire::{
    Malformed, VERSION,
    control::{
        Authorize, Custody, Deny, DenyCode, Frame, Grant, HEAD, Hello, Secret, Slot, ToEnclave,
        ToHost, Usage,
    },
    limits,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf},
    task::JoinSet,
    time::{Instant, timeout},
};
use zeroize::Zeroizing;

use crate::{
    accounts::Account,
    books::{BooksError, NoGrant, Outcome, Settled, Terms, Written},
    drain::Piece,
    events::Event,
    fleet::{Boot, EnclaveId},
    grants::OpenGrant,
    host::Host,
    keys::Key,
    legs::Stream,
    policy::Refusal,
    sessions::Session,
};

/// Questions of one enclave under way at one time; a further one waits unread.
const IN_FLIGHT: usize = 1024;

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
    #[error("{0}")]
    Books(#[from] BooksError),
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
    host: &Arc<Host>,
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
    let attached = host.fleet.attach(enclave, boot);
    host.forget_gone();
    if let Err(error) = host.give_up_before(name, boot).await {
        return error.into();
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
    host: &'a Arc<Host>,
    enclave: EnclaveId,
    boot: Boot,
    write: WriteHalf<Stream>,
}

/// A frame to send, with what depends on its being sent.
struct Answer {
    frame: ToEnclave,
    event: Option<Event>,
    granted: Option<(Written, OpenGrant)>,
    /// Work that has ended once this is sent.
    ends: Option<Piece>,
}

impl Channel<'_> {
    async fn serve(&mut self, mut frames: Frames) -> Closed {
        // What is not answered when the channel ends is given up with this set: its grants become
        // void, its reports come again.
        let mut answers = JoinSet::new();
        loop {
            let served = tokio::select! {
                frame = frames.next(), if answers.len() < IN_FLIGHT => match frame {
                    Ok(frame) => self.ask(frame, &mut answers),
                    Err(closed) => Err(closed),
                },
                Some(answer) = answers.join_next() => match answer {
                    Ok(Ok(answer)) => self.send(answer).await,
                    Ok(Err(closed)) => Err(closed),
                    // Only a panic of ours ends here; the enclave's question is then unanswered.
                    Err(error) => Err(io::Error::other(error).into()),
                },
            };
            if let Err(closed) = served {
                return closed;
            }
        }
    }

    /// Starts on a frame.
    fn ask(
        &self,
        frame: ToHost,
        answers: &mut JoinSet<Result<Answer, Closed>>,
    ) -> Result<(), Closed> {
        match frame {
            ToHost::Authorize(asked) => {
                let provider = self.host.providers.by_index(asked.provider);
                let provider = provider.ok_or(Closed::Provider(asked.provider))?.name.clone();
                let (enclave, boot) = (self.enclave, self.boot);
                let question = Question { host: Arc::clone(self.host), enclave, boot, provider };
                answers.spawn(async move { Ok(question.answer(asked).await) });
            }
            ToHost::Usage(usage) => {
                // At once and not when it is booked: the next question may be for the same place.
                self.host.open.reported(usage.grant, self.boot);
                answers.spawn(settle(Arc::clone(self.host), self.boot, usage));
            }
            ToHost::Hello(_) => return Err(Closed::Order),
        }
        Ok(())
    }

    async fn send(&mut self, answer: Answer) -> Result<(), Closed> {
        if let Some(event) = &answer.event {
            self.host.events.show(event);
        }
        let bytes = Zeroizing::new(answer.frame.encode()?);
        if let Some((written, open)) = answer.granted {
            self.host.open.begin(written.number(), open);
            // From the first byte on the enclave may have it.
            written.sent();
        }
        self.write.write_all(&bytes).await?;
        self.write.flush().await?;
        drop(answer.ends);
        Ok(())
    }
}

/// One `Authorize` under way.
struct Question {
    host: Arc<Host>,
    enclave: EnclaveId,
    boot: Boot,
    provider: String,
}

impl Question {
    async fn answer(self, asked: Authorize) -> Answer {
        let request = format!("{}-{}", self.boot, asked.request);
        let directory = self.host.directory();
        // A session is known only on the enclave it was sent to.
        let session = self.host.sessions.find(asked.session);
        let session = session.filter(|session| session.enclave == self.enclave);
        let holder =
            session.and_then(|Session { key, .. }| directory.keys.holder(key, crate::now_ms()));
        self.host.events.show(&Event::Authorize {
            request: request.clone(),
            attempt: asked.attempt,
            session: asked.session,
            tenant: holder.map(|key| key.tenant.clone()),
            key: holder.map(|key| key.name.clone()),
            provider: self.provider.clone(),
            class: asked.class.word(),
            custody: asked.custody.word(),
        });
        let granted = match holder {
            Some(key) => self.grant(&asked, key).await,
            None => Err(DenyCode::Key.into()),
        };
        match granted {
            Ok((grant, written, open)) => Answer {
                event: Some(Event::Grant {
                    request,
                    attempt: grant.attempt,
                    grant: grant.grant,
                    account: grant.account,
                }),
                frame: ToEnclave::Grant(grant),
                granted: Some((written, open)),
                ends: None,
            },
            Err(refusal) => deny(&asked, request, refusal),
        }
    }

    /// Decides, and puts the grant on the books.
    async fn grant(
        &self,
        asked: &Authorize,
        key: &Key,
    ) -> Result<(Grant, Written, OpenGrant), Refusal> {
        // A host that stops grants nothing: the client finds another one, or this one started anew.
        let piece = self.host.work.begin().ok_or(DenyCode::Overload)?;
        let directory = self.host.directory();
        let allowed = self.host.policy.decide(&directory, key, asked, Instant::now())?;
        let enclave = self.host.enclave(self.enclave);
        let number = allowed.account.map_or(0, |account| account.number);
        let terms = Terms {
            boot: self.boot,
            request: asked.request,
            attempt: asked.attempt,
            session: asked.session,
            tenant: key.tenant.clone(),
            team: key.team.clone(),
            key: key.name.clone(),
            enclave: enclave.name.clone(),
            release: enclave.release,
            provider: self.provider.clone(),
            class: asked.class,
            custody: asked.custody,
            account: number,
            reserve: key.reserve,
        };
        let written = match self.host.books.grant(crate::now_ms(), terms).await {
            Ok(written) => written,
            Err(error) => {
                allowed.permit.undo();
                return Err(no_grant(&error));
            }
        };
        let grant = Grant {
            request: asked.request,
            attempt: asked.attempt,
            grant: written.number(),
            account: number,
            custody: asked.custody,
            credential: credential_for(asked.custody, allowed.account),
        };
        let (enclave, boot, since) = (self.enclave, self.boot, Instant::now());
        Ok((grant, written, OpenGrant { enclave, boot, since, permit: allowed.permit, piece }))
    }
}

fn no_grant(error: &NoGrant) -> Refusal {
    match error {
        NoGrant::Budget { retry_after_s, .. } => {
            tracing::info!(%error, "no grant");
            Refusal { code: DenyCode::Budget, retry_after_s: *retry_after_s }
        }
        NoGrant::Clock { .. } | NoGrant::Books(_) => {
            tracing::error!(%error, "no grant can be given");
            DenyCode::Overload.into()
        }
    }
}

fn deny(asked: &Authorize, request: String, refusal: Refusal) -> Answer {
    let Refusal { code, retry_after_s } = refusal;
    let attempt = asked.attempt;
    let event = Event::Deny { request, attempt, code: code.word(), retry_after_s };
    let deny = Deny { request: asked.request, attempt, code, retry_after_s };
    Answer { frame: ToEnclave::Deny(deny), event: Some(event), granted: None, ends: None }
}

/// Settles at most once, acknowledges every time. Usage of a grant that the books do not have is
/// acknowledged too: they were lost or put back since, and the enclave would ask for ever.
async fn settle(host: Arc<Host>, boot: Boot, usage: Usage) -> Result<Answer, Closed> {
    let settled = host.books.settle(crate::now_ms(), boot, &usage).await?;
    let (permit, ends) =
        host.open.end(usage.grant, boot).map(|open| (open.permit, open.piece)).unzip();
    let event = match settled {
        Settled::Now(request) => {
            if let Some(permit) = permit {
                permit.tokens(&host.directory().limits, tokens(&usage), Instant::now());
            }
            let outcome = Outcome::reported(&usage);
            Some(Event::Usage { request, grant: usage.grant, outcome })
        }
        Settled::Before => {
            tracing::info!(grant = usage.grant, "usage was settled before");
            None
        }
        Settled::Unknown => {
            tracing::warn!(grant = usage.grant, %boot, "usage of a grant that this boot never had \
                           by these books; it is acknowledged and not booked");
            None
        }
    };
    Ok(Answer { frame: ToEnclave::Ack(usage.grant), event, granted: None, ends })
}

/// Tokens in and out, as rates count them.
fn tokens(usage: &Usage) -> u64 {
    let count = |slot: Slot| u64::from(usage.counts[slot as usize].unwrap_or(0));
    count(Slot::Input) + count(Slot::Output)
}

fn credential_for(custody: Custody, account: Option<&Account>) -> Secret {
    match (custody, account) {
        (Custody::Host, Some(account)) => Secret(account.credential.expose().to_vec()),
        (Custody::Host, None) | (Custody::Client | Custody::Sealed, _) => Secret::default(),
    }
}
