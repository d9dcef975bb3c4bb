//! Random traces: mostly what an honest host and a provider do, mixed with what they must not.

use aegis_wire::control::Custody;

use crate::shell;

/// xorshift64*: the same traces everywhere.
#[derive(Debug)]
pub struct Random(u64);

impl Random {
    /// From a seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9E37_79B9_7F4A_7C15)
    }

    /// A number below `bound`.
    pub const fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// The lines of one trace.
pub fn trace(random: &mut Random) -> Vec<String> {
    let mut trace = Trace { random, asked: Vec::new(), grants: 0, now: 0, lines: Vec::new() };
    trace.say("up".into());
    let steps = 12 + trace.random.below(28);
    for _ in 0..steps {
        let words = if trace.random.one_in(6) { trace.anything() } else { trace.sensible() };
        trace.say(words);
    }
    trace.lines
}

struct Trace<'a> {
    random: &'a mut Random,
    /// The requests so far.
    asked: Vec<Asked>,
    /// Grant numbers given out.
    grants: u64,
    now: u64,
    lines: Vec<String>,
}

/// A request: its custody, and how far it would be if all went as meant.
#[derive(Clone, Copy)]
struct Asked {
    custody: u64,
    stage: u8,
    attempt: u8,
}

impl Trace<'_> {
    /// Time passes; seldom very much, seldom backwards.
    fn say(&mut self, words: String) {
        self.now = match self.random.below(40) {
            0 => self.now + 5_000_000_000,
            1 => self.now / 2,
            _ => self.now + self.random.below(50),
        };
        self.lines.push(format!("{} {words}", self.now));
    }

    /// The next thing in the life of some request that is not over.
    fn sensible(&mut self) -> String {
        let live: Vec<_> = (0..self.asked.len()).filter(|at| self.asked[*at].stage < 5).collect();
        if live.is_empty() || self.random.one_in(8) {
            return self.ask();
        }
        let at = live[self.random.below(live.len() as u64) as usize];
        let Asked { custody, stage, attempt } = self.asked[at];
        let request = at + 1;
        let (stage, words) = match (stage, self.random.below(8)) {
            (0, 0) => (1, format!("deny {request} {attempt} {} 5", 1 + self.random.below(7))),
            (0, 1) => (0, format!("gone {request}")),
            (0, _) => {
                self.grants += 1;
                (1, format!("grant {request} {attempt} {} {custody}", self.grants))
            }
            (1, _) => (2, format!("take {request}")),
            (2, 0) => (5, format!("happens {request} {}", self.failure())),
            (2, 1 | 2) => {
                self.asked[at].attempt = attempt + 1;
                (0, format!("happens {request} {}", self.transient()))
            }
            (2, _) => (3, format!("happens {request} {}", self.head())),
            (3, 0..5) => (3, format!("happens {request} {}", self.chunk())),
            (3, 5) => (4, format!("happens {request} {}", self.failure())),
            (3, _) => (4, format!("happens {request} end")),
            (_, _) => (5, format!("ack {}", 1 + self.random.below(self.grants.max(1)))),
        };
        self.asked[at].stage = stage;
        words
    }

    /// Anything, in its place or not.
    fn anything(&mut self) -> String {
        match self.random.below(60) {
            0..4 => "down".into(),
            4..12 => "up".into(),
            12..20 => self.grant(),
            20..23 => self.deny(),
            23..27 => format!("ack {}", self.grant_number()),
            27..33 => format!("take {}", self.request()),
            33..39 => format!("slow {}", self.request()),
            39..45 => format!("gone {}", self.request()),
            _ => self.happens(),
        }
    }

    fn ask(&mut self) -> String {
        let (session, host) = (self.random.below(3), self.random.below(2));
        let (metered, shown) = (self.random.below(4).min(1), self.random.below(4).min(1));
        let custody = if host == 1 { Custody::Host } else { Custody::Client };
        let plan = shell::plan(custody, metered == 1, shown == 1);
        let asked = plan.authorize(session, 0, 1);
        self.asked.push(Asked { custody: custody as u64, stage: 0, attempt: 1 });
        let (provider, class, custody) = (asked.provider, asked.class as u8, custody as u8);
        format!("ask {session} {provider} {class} {custody} {metered} {shown}")
    }

    /// A request that was asked, mostly a late one; seldom one that was not.
    fn request(&mut self) -> u64 {
        let asked = self.asked.len() as u64;
        if asked == 0 || self.random.one_in(25) {
            return asked + 1;
        }
        let back = self.random.below(asked.min(3));
        asked - back
    }

    fn grant_number(&mut self) -> u64 {
        if self.random.one_in(20) { 1 << 40 } else { 1 + self.random.below(9) }
    }

    fn attempt(&mut self) -> u64 {
        if self.random.one_in(4) { 1 + self.random.below(5) } else { 1 }
    }

    fn grant(&mut self) -> String {
        let (request, attempt) = (self.request(), self.attempt());
        let stated = usize::try_from(request - 1).ok().and_then(|at| self.asked.get(at));
        let custody = stated.map_or(1, |asked| asked.custody);
        let custody = if self.random.one_in(4) { 3 - custody } else { custody };
        format!("grant {request} {attempt} {} {custody}", self.grant_number())
    }

    fn deny(&mut self) -> String {
        let (request, attempt) = (self.request(), self.attempt());
        format!("deny {request} {attempt} {} {}", 1 + self.random.below(7), self.random.below(3))
    }

    fn happens(&mut self) -> String {
        let request = self.request();
        let event = match self.random.below(6) {
            0 => self.failure().into(),
            3 => format!("granted {}", self.grant_number()),
            4 => "hostlost".into(),
            1 => self.head(),
            2 => self.chunk(),
            _ => "end".into(),
        };
        format!("happens {request} {event}")
    }

    fn failure(&mut self) -> &'static str {
        ["unreachable", "stranger", "badhead", "lost", "timeout", "unreachable held"]
            [self.random.below(6) as usize]
    }

    fn head(&mut self) -> String {
        let status =
            [200, 200, 200, 201, 304, 404, 429, 503, 504, 777][self.random.below(10) as usize];
        let coding = if self.random.one_in(8) { "x" } else { "-" };
        format!("head {status} {coding}{}", if self.random.one_in(2) { " held" } else { "" })
    }

    /// What allows another attempt, if the body is held.
    fn transient(&mut self) -> String {
        let events =
            ["unreachable", "head 429 -", "head 500 -", "head 502 x", "head 503 -", "head 529 -"];
        let event = events[self.random.below(6) as usize];
        format!("{event}{}", if self.random.one_in(5) { "" } else { " held" })
    }

    fn chunk(&mut self) -> String {
        let mut chunk = String::from("chunk");
        for _ in 0..self.random.below(4) {
            if self.random.one_in(3) {
                chunk.push_str(" n");
            } else {
                let (input, output) = (self.random.below(1000), self.random.below(1000));
                chunk.push_str(&format!(" {input}.{output}.m{}", self.random.below(3)));
            }
        }
        chunk
    }
}
