//! Blind tampering: records are flipped, dropped, repeated, exchanged, cut, ended, and spliced with
//! ones of another session, on both legs and in both directions.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use aegis_rig::hostile::Dial;
use aegis_rig::hostile::Session;
use aegis_rig::relay;
use aegis_rig::relay::Target;
use tokio::io::AsyncRead;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use super::Trial;
use super::Verdict;
use crate::place::read_record;

/// What is done to the stream of records, once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Flip,
    Drop,
    Repeat,
    Exchange,
    Cut,
    End,
    /// The last record of the same length class that passed earlier takes the place of this one.
    Splice,
}

const ACTS: [Act; 7] =
    [Act::Flip, Act::Drop, Act::Repeat, Act::Exchange, Act::Cut, Act::End, Act::Splice];

/// One direction of one leg: what is armed there, and what passed.
#[derive(Clone, Default)]
pub(super) struct Post(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    armed: Option<Act>,
    /// Records shorter than this do not set it off.
    at_least: usize,
    /// So many records pass first.
    pass: usize,
    before: Vec<u8>,
}

impl Post {
    /// Arms one act, to be done at the next record of at least this length.
    pub(super) fn arm(&self, act: Act, at_least: usize) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.armed, state.at_least, state.pass) = (Some(act), at_least, 0);
    }

    /// Arms one act, to be done behind so many records.
    pub(super) fn arm_after(&self, pass: usize, act: Act) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (state.armed, state.at_least, state.pass) = (Some(act), 0, pass);
    }

    /// Whether the act was done; it is disarmed in any case.
    pub(super) fn done(&self) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).armed.take().is_none()
    }

    fn next(&self, record: &[u8]) -> (Option<Act>, Vec<u8>) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let before = std::mem::replace(&mut state.before, record.to_vec());
        if state.armed.is_some() && state.pass > 0 {
            state.pass -= 1;
            return (None, before);
        }
        let act = if record.len() >= state.at_least { state.armed.take() } else { None };
        (act, before)
    }
}

/// Passes records on until the stream ends or tampering ends it.
async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    post: Post,
) -> io::Result<()> {
    while let Some(mut record) = read_record(&mut from).await? {
        let (act, before) = post.next(&record);
        match act {
            None => to.write_all(&record).await?,
            Some(Act::Drop) => {}
            Some(Act::Repeat) => to.write_all(&[&record[..], &record].concat()).await?,
            Some(Act::Splice) => to.write_all(&before).await?,
            Some(Act::Flip) => {
                let middle = 5 + (record.len() - 5) / 2;
                record[middle] ^= 1;
                to.write_all(&record).await?;
            }
            Some(Act::Exchange) => {
                let next = read_record(&mut from).await?.unwrap_or_default();
                to.write_all(&[next, record].concat()).await?;
            }
            Some(Act::Cut) => {
                to.write_all(&record[..record.len() / 2]).await?;
                return to.flush().await;
            }
            Some(Act::End) => return Ok(()),
        }
        to.flush().await?;
    }
    Ok(())
}

/// When one direction ends, both do.
async fn join(
    user: impl AsyncRead + AsyncWrite,
    provider: impl AsyncRead + AsyncWrite,
    [up, down]: [Post; 2],
) -> io::Result<()> {
    let (from_user, to_user) = tokio::io::split(user);
    let (from_provider, to_provider) = tokio::io::split(provider);
    tokio::select! {
        ended = pump(from_user, to_provider, up) => ended,
        ended = pump(from_provider, to_user, down) => ended,
    }
}

/// The posts of a trial: both directions of both legs.
pub(super) struct Posts {
    pub(super) session: [Post; 2],
    pub(super) egress: [Post; 2],
    _tasks: JoinSet<()>,
}

/// Puts a post on each direction of each leg.
pub(super) async fn posts(trial: &Trial) -> io::Result<Posts> {
    let (session, egress) = (<[Post; 2]>::default(), <[Post; 2]>::default());
    let on_session = session.clone();
    trial.world.hostile.on_session(move |session: Session| {
        let posts = on_session.clone();
        async move {
            let enclave = session.door.open(session.number).await?;
            join(session.client, enclave, posts).await
        }
    });
    let mut tasks = JoinSet::new();
    let (on_egress, provider) = (egress.clone(), Target::new(trial.world.mock.addr()));
    let carry = move |near, far| join(near, far, on_egress.clone());
    let address = relay::tcp_by(&mut tasks, provider, carry).await?;
    trial.world.hostile.on_egress(move |_| Dial::To(address));
    Ok(Posts { session, egress, _tasks: tasks })
}

/// Runs it: every act on every post, each behind a step that is left alone.
pub(super) async fn run() -> io::Result<Verdict> {
    let mut trial = Trial::start().await?;
    trial.impatient();
    let posts = posts(&trial).await?;
    let mut steps = Vec::new();
    for post in posts.session.iter().chain(&posts.egress) {
        for act in ACTS {
            trial.settle().await?;
            post.arm(act, 0);
            steps.push(trial.step().await?);
            if !post.done() {
                return Err(io::Error::other(format!("{act:?} met no record")));
            }
        }
    }
    Ok(super::nothing_else(&steps))
}
