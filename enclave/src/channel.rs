//! The control leg: carries the frames of `aegis_core::Control`, and wakes whoever waits.

use std::{
    collections::HashMap,
    io,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use aegis_core::{Control, Event, Plan, control::Received, exchange::not_dispatched};
use aegis_wire::{
    VERSION,
    control::{Frame, Grant, Hello, ToEnclave, ToHost, Usage},
    limits,
};
use aws_lc_rs::{digest, rand};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::{
        mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel},
        oneshot,
    },
    time,
};

use crate::legs::{Leg, Legs, To};

/// Pause before the control leg is dialled again.
const REDIAL: Duration = Duration::from_millis(100);

type Answer = Result<Grant, Event<'static>>;

pub(crate) struct Channel {
    hello: Hello,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    books: Control,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
    frames: Option<UnboundedSender<Vec<u8>>>,
}

impl Channel {
    pub(crate) fn new(table: &str) -> Result<Self, aws_lc_rs::error::Unspecified> {
        let mut hello = Hello {
            version: VERSION,
            boot: [0; 16],
            table: [0; 32],
        };
        rand::fill(&mut hello.boot)?;
        hello
            .table
            .copy_from_slice(digest::digest(&digest::SHA256, table.as_bytes()).as_ref());
        Ok(Self {
            hello,
            state: Mutex::default(),
        })
    }

    /// A number for a new request, and the same as `aegis-request` writes it.
    pub(crate) fn number(&self) -> (u64, String) {
        let number = self.lock().books.number();
        let boot = u128::from_be_bytes(self.hello.boot);
        (number, format!("{boot:032x}-{number}"))
    }

    /// Asks the host. Dropping the future gives the request up; a grant that comes nevertheless is
    /// settled as not dispatched.
    pub(crate) async fn ask(&self, plan: &Plan<'_, '_>, session: u64, request: u64) -> Answer {
        let (sender, answer) = oneshot::channel();
        {
            let mut state = self.lock();
            let State {
                books,
                waiting,
                frames,
            } = &mut *state;
            let frames = frames.as_ref().ok_or(Event::HostLost)?;
            let frame = books
                .authorize(plan, session, request)
                .ok_or(Event::HostLost)?;
            waiting.insert(request, sender);
            // A closed queue means a lost channel, which answers whoever waits.
            let _ = frames.send(frame);
        }
        let mut asked = Asked {
            channel: self,
            request,
            answer,
        };
        match time::timeout(limits::HOST_ANSWER, &mut asked.answer).await {
            Ok(answer) => answer.unwrap_or(Err(Event::HostLost)),
            Err(_) => Err(Event::HostTimeout),
        }
    }

    /// Tells the host what a grant came to; again on every new channel until acknowledged.
    pub(crate) fn settle(&self, usage: Usage) {
        self.lock().settle(usage);
    }

    /// Keeps the control leg up for ever.
    pub(crate) async fn run(&self, legs: &Legs) {
        loop {
            if let Ok(leg) = legs.dial(To::Control).await {
                // Every end of the channel is alike: whoever waits is answered, then it is dialled
                // anew.
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
                while let Some((frame, len)) =
                    ToEnclave::decode(&buffer).map_err(io::Error::other)?
                {
                    buffer.drain(..len);
                    self.lock().receive(frame)?;
                }
            }
            Ok(())
        };
        tokio::select! {
            ended = write => ended,
            ended = read => ended,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// A new channel starts with `Hello` and all that the host has not acknowledged.
    fn open(&mut self, hello: &Hello) -> UnboundedReceiver<Vec<u8>> {
        let (sender, receiver) = unbounded_channel();
        let owed = self.books.unacknowledged().cloned().map(ToHost::Usage);
        for frame in std::iter::once(ToHost::Hello(hello.clone())).chain(owed) {
            send(&sender, frame);
        }
        self.frames = Some(sender);
        receiver
    }

    fn receive(&mut self, frame: ToEnclave) -> io::Result<()> {
        match self.books.receive(frame).map_err(io::Error::other)? {
            Received::Answer(request, answer) => {
                self.answer(request, answer.map_err(Event::Denied))
            }
            Received::Settle(usage) => self.settle(usage),
            Received::Nothing => {}
        }
        Ok(())
    }

    fn settle(&mut self, usage: Usage) {
        self.books.settle(&usage);
        if let Some(frames) = &self.frames {
            send(frames, ToHost::Usage(usage));
        }
    }

    fn lost(&mut self) {
        self.frames = None;
        for request in self.books.lost() {
            self.answer(request, Err(Event::HostLost));
        }
    }

    fn answer(&mut self, request: u64, answer: Answer) {
        if let Some(waiting) = self.waiting.remove(&request) {
            // Whoever went away since takes the answer out in `Asked::drop`.
            let _ = waiting.send(answer);
        }
    }
}

fn send(frames: &UnboundedSender<Vec<u8>>, frame: ToHost) {
    if let Ok(bytes) = frame.encode() {
        // A closed queue means a lost channel; what is owed goes out on the next one.
        let _ = frames.send(bytes);
    }
}

/// A question under way.
struct Asked<'a> {
    channel: &'a Channel,
    request: u64,
    answer: oneshot::Receiver<Answer>,
}

impl Drop for Asked<'_> {
    fn drop(&mut self) {
        let mut state = self.channel.lock();
        state.waiting.remove(&self.request);
        state.books.give_up(self.request);
        // An answer that arrived but was not taken is a grant that nobody will use.
        if let Ok(Ok(grant)) = self.answer.try_recv() {
            state.settle(not_dispatched(grant.grant));
        }
    }
}
