//! What the shipped host holds, logs, stores and sends: a random string from every part of a
//! request and of an answer is in none of it. The scan finds what the host may know.

use std::fs;
use std::hash::BuildHasher as _;
use std::hash::RandomState;
use std::path::Path;

use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::MockConfig;
use aegis_rig::memory;
use aegis_rig::record::Leg;
use aegis_rig::record::contains;
use aegis_rig::stack::Stack;
use aegis_rig::stack::TENANT;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::exchange;
use bytes::Bytes;
use http::Request;
use http::request::Builder;
use http_body_util::BodyExt as _;
use http_body_util::Full;
use sha2::Digest as _;
use sha2::Sha256;

/// A string that nobody has seen before.
fn random(part: &str) -> String {
    format!("canary-{part}-{:016x}", RandomState::new().hash_one(part))
}

/// The parts of one exchange that the host must not learn.
struct Canaries(Vec<(String, Vec<u8>)>);

impl Canaries {
    fn needles(&self) -> Vec<&[u8]> {
        self.0.iter().map(|(_, needle)| needle.as_slice()).collect()
    }

    fn names(&self, found: &[bool]) -> Vec<&str> {
        let hits = self.0.iter().zip(found).filter(|(_, found)| **found);
        hits.map(|((name, _), _)| name.as_str()).collect()
    }

    /// Each canary as it is, and in hex, as a log might write it.
    fn new(list: &[(&str, &[u8])]) -> Self {
        let both = list.iter().flat_map(|(name, needle)| {
            let hex = hex::encode(needle).into_bytes();
            [((*name).to_owned(), needle.to_vec()), (format!("{name} in hex"), hex)]
        });
        Self(both.collect())
    }

    fn none_in(&self, place: &str, bytes: &[u8]) {
        let found: Vec<bool> =
            self.needles().iter().map(|needle| contains(bytes, needle)).collect();
        assert_eq!(self.names(&found), Vec::<&str>::new(), "in {place}");
    }
}

/// Every file below a folder.
fn files(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let mut all = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            all.extend(files(&path));
        } else if path.is_file() {
            all.push((path.display().to_string(), fs::read(&path).unwrap()));
        }
    }
    all
}

/// Looks for the canaries in everything that the host holds now; what it may know is found.
fn scan(stack: &Stack, canaries: &Canaries, moment: &str) {
    let host = stack.host.as_ref().unwrap();
    let controls: [&[u8]; 3] = [TENANT.as_bytes(), &Sha256::digest(KEY), DEFAULT_KEY.as_bytes()];
    let needles = [canaries.needles(), controls.to_vec()].concat();
    let memory = memory::scan(host.pid(), &needles).unwrap();
    let (absent, present) = memory.found.split_at(needles.len() - controls.len());
    assert_eq!(canaries.names(absent), Vec::<&str>::new(), "in the host's memory, {moment}");
    assert_eq!(present, [true; 3], "the scan found not even the controls, {moment}");

    canaries.none_in("stdout", host.stdout().as_bytes());
    canaries.none_in("stderr", host.stderr().as_bytes());
    assert!(host.stdout().contains(TENANT) && !host.stderr().is_empty(), "the controls of logs");
    let stored = files(&stack.host_folder());
    assert!(stored.iter().any(|(name, bytes)| name.ends_with("aegis.db") && !bytes.is_empty()));
    for (name, bytes) in stored {
        canaries.none_in(&name, &bytes);
    }
    for needle in canaries.needles() {
        let legs = stack.record.find(needle);
        assert!(legs.is_empty(), "{:?} on {legs:?}", String::from_utf8_lossy(needle));
    }
    for (leg, control) in [
        (Leg::Session, &b"aegis/1"[..]),
        (Leg::Control, DEFAULT_KEY.as_bytes()),
        (Leg::Egress, b"openai.mock.aegis.test"),
        (Leg::Upstream, b"openai.mock.aegis.test"),
    ] {
        assert!(stack.record.find(control).contains(&leg), "the control of {leg:?}");
    }
    assert!(stack.record.streams(Leg::Outer).iter().any(|bytes| bytes.len() > 1000));
}

/// The random strings of one exchange.
struct Parts {
    query: String,
    header: String,
    name: String,
    body: String,
    model: String,
    location: String,
    path: String,
    own_key: String,
}

impl Parts {
    fn new() -> Self {
        let names = ["query", "header", "name", "body", "model", "location", "path", "own-key"];
        let [query, header, name, body, model, location, path, own_key] = names.map(random);
        Self { query, header, name, body, model, location, path, own_key }
    }

    fn request(&self, custody: &str) -> Builder {
        let query = &self.query;
        Request::post(format!("https://openai.mock.aegis.test/v1/chat/completions?q={query}"))
            .header("aegis-custody", custody)
            .header("aegis-model", "hide")
            .header("x-header", &self.header)
            .header(self.name.as_str(), "1")
    }

    /// The canaries of the request, and pieces of the answer `held`, any of which is unique.
    fn canaries(&self, held: &[u8]) -> Canaries {
        let Self { query, header, name, body, model, location, path, own_key } = self;
        let mut list: Vec<(&str, &[u8])> = vec![
            ("query", query.as_bytes()),
            ("header value", header.as_bytes()),
            ("header name", name.as_bytes()),
            ("request body", body.as_bytes()),
            ("hidden model", model.as_bytes()),
            ("answer header", location.as_bytes()),
            ("path", path.as_bytes()),
            ("own key", own_key.as_bytes()),
        ];
        for at in [0, 20_000, 40_000, 59_900] {
            list.push(("answer body", &held[at..at + 24]));
        }
        Canaries::new(&list)
    }

    /// Sends every part through, and sees that it arrives.
    async fn exchange(&self, stack: &Stack, session: &Session) {
        // The mock says the body's canaries back.
        let message = serde_json::json!({ "role": "user", "content": self.body });
        let json = serde_json::json!({ "model": self.model, "messages": [message] }).to_string();
        let body = Full::<Bytes>::from(json);
        let answer = exchange(session, self.request("host").body(body.clone()).unwrap()).await;
        let answer = answer.unwrap().body;
        assert!(contains(&answer, self.body.as_bytes()));
        assert!(contains(&answer, self.model.as_bytes()));
        // The caller's own provider key, and an answer header.
        let redirect = format!("redirect;location=https://{}.example/", self.location);
        let own = self.request("client").header("x-mock-behavior", redirect);
        let own = own.header("authorization", format!("Bearer {}", self.own_key));
        let answer = exchange(session, own.body(body).unwrap()).await.unwrap();
        assert!(answer.header("location").is_some_and(|value| value.contains(&self.location)));
        let listing = format!("https://openai.mock.aegis.test/v1/models/{}", self.path);
        let listing = Request::get(listing).header("aegis-custody", "host");
        exchange(session, listing.body(Full::<Bytes>::default()).unwrap()).await.unwrap();

        let mut arrived = String::new();
        for request in stack.mock.recorded() {
            arrived += &request.target;
            for (name, value) in request.headers {
                arrived += &format!("{name}: {}\n", String::from_utf8_lossy(&value));
            }
        }
        for part in [&self.query, &self.header, &self.name, &self.path, &self.own_key] {
            assert!(arrived.contains(part.as_str()), "{part} was not even sent: {arrived}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_an_exchange_is_in_anything_the_host_has() {
    let parts = Parts::new();
    let keys = vec![DEFAULT_KEY.to_owned(), parts.own_key.clone()];
    let stack = Stack::with_mock(|config| MockConfig { keys, ..config }).await.unwrap();
    stack.ready().await.unwrap();
    let session = stack.user(KEY).unwrap().session(Mode::Http2).await.unwrap();
    parts.exchange(&stack, &session).await;

    // An answer that is still under way while the memory is read; nobody waits for its usage.
    let behavior = "bytes;n=90000;seed=77, stall;after=60000";
    let listing = format!("https://openai.mock.aegis.test/v1/models/{}", parts.path);
    let stalled = Request::get(listing).header("aegis-custody", "host");
    let stalled = stalled.header("x-mock-behavior", behavior).body(Full::<Bytes>::default());
    let answer = session.send(stalled.unwrap()).await.unwrap();
    let request = answer.headers()["aegis-request"].to_str().unwrap().to_owned();
    let mut stream = answer.into_body();
    let mut held = Vec::new();
    while held.len() < 60_000 {
        held.extend_from_slice(stream.frame().await.unwrap().unwrap().data_ref().unwrap());
    }
    let canaries = parts.canaries(&held);
    scan(&stack, &canaries, "during the exchange");
    drop((stream, session));
    let settled = |event: &serde_json::Value| {
        (event["event"] == "usage" && event["request"] == request.as_str()).then_some(())
    };
    stack.event(settled).await.unwrap();
    scan(&stack, &canaries, "after the exchange");
}

/// The label is the one thing of an answer that the host is told, unless the client hides it.
#[tokio::test(flavor = "multi_thread")]
async fn the_model_label_is_told_unless_hidden() {
    let stack = Stack::start().await.unwrap();
    stack.ready().await.unwrap();
    let session = stack.user(KEY).unwrap().session(Mode::Http2).await.unwrap();
    let ask = |model: &str| {
        let message = serde_json::json!({ "role": "user", "content": "say hi" });
        let json = serde_json::json!({ "model": model, "messages": [message] }).to_string();
        Request::post("https://openai.mock.aegis.test/v1/chat/completions")
            .header("aegis-custody", "host")
            .header("aegis-model", if model.contains("hidden") { "hide" } else { "show" })
            .body(Full::<Bytes>::from(json))
            .unwrap()
    };
    for model in ["label-hidden", "label-told"] {
        let answer: Answer = exchange(&session, ask(model)).await.unwrap();
        assert_eq!(answer.status.as_u16(), 200);
    }
    let told = |event: &serde_json::Value| (event["label"] == "label-told").then_some(());
    stack.event(told).await.unwrap();
    assert_eq!(stack.record.find(b"label-told"), [Leg::Control]);
    assert!(stack.record.find(b"label-hidden").is_empty());
}
