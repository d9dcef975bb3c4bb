//! The control leg: carries the frames of `aegis_core::Control`, and wakes whoever waits.

use std::collections::HashMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aegis_core::control::{Question, Received};
use aegis_core::{Control, Event, Plan, exchange::not_dispatched};
use aegis_wire::control::{Deny, Frame, Grant, Hello, ToEnclave, ToHost, Usage};
use aegis_wire::{VERSION, limits, session::legs::CONTROL_PORT, table::Table};
use aws_lc_rs::rand;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tokio::time;

use crate::{BootError, legs::Leg, legs::Legs, number::Numbers, session::Session};

/// Pause before the control leg is dialled again.
const REDIAL: Duration = Duration::from_millis(100);

type Answer = Result<Grant, Event<'static>>;

/// Whom the answer is for. It keeps its place in the session until the host has answered, also when
/// the client went away: asking and giving up costs the host no more than waiting.
struct Waiting {
    to: oneshot::Sender<Answer>,
    _place: OwnedSemaphorePermit,
}

pub(crate) struct Channel {
    hello: Hello,
    numbers: Numbers,
    state: Mutex<State>,
}

/// A request by its count, which the books use, and by the number that host and client know.
pub(crate) struct Name {
    pub(crate) count: u64,
    pub(crate) shown: u64,
    /// The value of `aegis-request`.
    pub(crate) text: String,
}

#[derive(Default)]
struct State {
    books: Control,
    waiting: HashMap<Question, Waiting>,
    frames: Option<UnboundedSender<Vec<u8>>>,
}

impl Channel {
    pub(crate) fn new(table: &Table) -> Result<Self, BootError> {
        let mut hello = Hello { version: VERSION, boot: [0; 16], table: table.digest };
        let mut numbers = Numbers([0; 32]);
        let filled = rand::fill(&mut hello.boot).and_then(|()| rand::fill(&mut numbers.0));
        filled.map_err(|_| "no random bytes can be had")?;
        Ok(Self { hello, numbers, state: Mutex::default() })
    }

    /// The name of a new request.
    pub(crate) fn name(&self) -> Name {
        let count = self.lock().books.number();
        let shown = self.numbers.shown(count);
        Name {
            count,
            shown,
            text: format!("{:032x}-{shown}", u128::from_be_bytes(self.hello.boot)),
        }
    }

    /// This boot.
    pub(crate) fn boot(&self) -> [u8; 16] {
        self.hello.boot
    }

    /// Asks the host about an attempt. Dropping the future gives the request up; a grant that comes nevertheless is
    /// settled as not dispatched.
    pub(crate) async fn ask(
        &self,
        plan: &Plan<'_>,
        session: &Session,
        question: Question,
    ) -> Answer {
        let answer = async {
            // Never closed.
            let place = session.questions.clone().acquire_owned().await;
            let place = place.map_err(|_| Event::HostLost)?;
            let asked = self.lock().ask(self, plan, session.number, question, place);
            let mut asked = asked.ok_or(Event::HostLost)?;
            (&mut asked.answer).await.unwrap_or(Err(Event::HostLost))
        };
        time::timeout(limits::HOST_ANSWER, answer).await.unwrap_or(Err(Event::HostTimeout))
    }

    /// Tells the host what a grant came to; again on every new channel until acknowledged.
    pub(crate) fn settle(&self, usage: Usage) {
        self.lock().settle(usage);
    }

    /// Keeps the control leg up for ever. Every end of a channel is alike: whoever waits is
    /// answered, then it is dialled anew.
    pub(crate) async fn run(&self, legs: &dyn Legs) {
        loop {
            if let Ok(leg) = legs.dial(CONTROL_PORT).await {
                let _ = self.serve(leg).await;
                self.lock().lost();
            }
            time::sleep(REDIAL).await;
        }
    }

    async fn serve(&self, leg: Leg) -> io::Result<()> {
        let (mut reader, mut writer) = tokio::io::split(leg);
        let mut frames = self.lock().open(&self.hello);
        let write = async {
            while let Some(frame) = frames.recv().await {
                writer.write_all(&frame).await?;
            }
            Ok(())
        };
        let read = async {
            let mut buffer = Vec::with_capacity(limits::CONTROL_BYTES);
            while reader.read_buf(&mut buffer).await? > 0 {
                while let Some((mut frame, len)) =
                    ToEnclave::decode(&buffer).map_err(io::Error::other)?
                {
                    buffer.drain(..len);
                    let question = self.count(&mut frame);
                    self.lock().receive(frame, question)?;
                }
            }
            Ok(())
        };
        tokio::select! {
            ended = write => ended,
            ended = read => ended,
        }
    }

    /// Puts the books' count in the place of the number by which the host names a request. The
    /// question that is answered, if one is.
    fn count(&self, frame: &mut ToEnclave) -> Option<Question> {
        let (request, attempt) = match frame {
            ToEnclave::Grant(Grant { request, attempt, .. })
            | ToEnclave::Deny(Deny { request, attempt, .. }) => (request, *attempt),
            ToEnclave::Ack(_) => return None,
        };
        *request = self.numbers.count(*request);
        Some((*request, attempt))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A new channel starts with `Hello` and all that the host has not acknowledged.
    fn open(&mut self, hello: &Hello) -> UnboundedReceiver<Vec<u8>> {
        let (sender, receiver) = unbounded_channel();
        self.frames = Some(sender);
        self.send(ToHost::Hello(hello.clone()));
        for usage in self.books.unacknowledged() {
            self.send(ToHost::Usage(usage.clone()));
        }
        receiver
    }

    /// Queues a frame. Without a channel, or on one that is ending, it is not lost: requests are
    /// answered, and what is owed goes out on the next channel.
    fn send(&self, frame: ToHost) -> Option<()> {
        self.frames.as_ref()?.send(frame.encode().ok()?).ok()
    }

    fn ask<'a>(
        &mut self,
        channel: &'a Channel,
        plan: &Plan<'_>,
        session: u64,
        question: Question,
        place: OwnedSemaphorePermit,
    ) -> Option<Asked<'a>> {
        let (to, answer) = oneshot::channel();
        self.frames.as_ref()?;
        let mut frame = self.books.authorize(plan, session, question)?;
        frame.request = channel.numbers.shown(frame.request);
        self.waiting.insert(question, Waiting { to, _place: place });
        self.send(ToHost::Authorize(frame));
        Some(Asked { channel, question, answer })
    }

    fn receive(&mut self, frame: ToEnclave, question: Option<Question>) -> io::Result<()> {
        let received = self.books.receive(frame).map_err(io::Error::other)?;
        let waiting = question.and_then(|question| self.waiting.remove(&question));
        match (received, waiting) {
            (Received::Answer(_, answer), Some(waiting)) => {
                // Whoever goes away now takes the answer out in `Asked::drop`.
                let _ = waiting.to.send(answer.map_err(Event::Denied));
            }
            (Received::Settle(usage), _) => self.settle(usage),
            _ => {}
        }
        Ok(())
    }

    fn settle(&mut self, usage: Usage) {
        self.books.settle(&usage);
        self.send(ToHost::Usage(usage));
    }

    fn lost(&mut self) {
        self.frames = None;
        for question in self.books.lost() {
            let waiting = self.waiting.remove(&question);
            waiting.map(|waiting| waiting.to.send(Err(Event::HostLost)));
        }
    }
}

/// A question under way.
struct Asked<'a> {
    channel: &'a Channel,
    question: Question,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.books.give_up(self.question);
        // An answer that arrived but was not taken is a grant that nobody will use.
        if let Ok(Ok(grant)) = self.answer.try_recv() {
            state.settle(not_dispatched(grant.grant));
        }
    }
}
