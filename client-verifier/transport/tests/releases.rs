//! Release lists in use: from the router and from a file, remembered on disk, and what becomes of
//! sessions when another list is believed.
#![allow(clippy::unwrap_used)]

mod peer;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use aegis_client::{
    Client, Custody, Error, Followed, Releases, ReleasesError, Source, StateError, StateFile, Trust,
};
use aegis_releases::{Accepted, UnixSeconds};
use aegis_verifier::{RootFingerprint, TrustAnchor};
use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use peer::{
    Genuine, Peer, Script, Then, key, now_ms,
    releases::{Lists, Says, release_json},
};
use tempfile::TempDir;

const DAY: u64 = 24 * 3600;

fn now() -> u64 {
    now_ms() / 1000
}

fn anchor(genuine: &Genuine) -> TrustAnchor {
    let root = RootFingerprint::new(genuine.attester.root_fingerprint());
    TrustAnchor::dangerous_development_root(root)
}

/// The genuine enclave as release 7, and another image as release 8.
fn releases(genuine: &Genuine) -> [(u32, String); 2] {
    let [pcr0, pcr1, pcr2, ..] = &genuine.pcrs;
    let other = [9; 48];
    [(7, release_json(7, [pcr0, pcr1, pcr2])), (8, release_json(8, [&other, pcr1, pcr2]))]
}

/// A list that is valid now.
fn list(lists: &mut Lists, genuine: &Genuine, sequence: u64, withdrawn: &[u32]) -> Vec<u8> {
    let releases = releases(genuine);
    let (not_before, not_after) = (now() - DAY, now() + DAY);
    lists.bundle(sequence, &Says { releases: &releases, withdrawn, not_before, not_after })
}

fn accepted(lists: &Lists, bundle: &[u8]) -> Accepted {
    aegis_releases::check(bundle, &lists.trust(), None, UnixSeconds(now())).unwrap()
}

async fn send(client: &Client, path: &str) -> Result<Incoming, Error> {
    let request = Request::get(format!("https://api.openai.com{path}"));
    let request = request.body(Empty::<Bytes>::new()).unwrap();
    client.send(&key(), Custody::Host, request).await.map(http::Response::into_body)
}

/// A stream of which the first chunk has come, and the second has not.
async fn in_flight(client: &Client, path: &str) -> Incoming {
    let mut body = send(client, path).await.unwrap();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "first");
    body
}

struct Case {
    genuine: Arc<Genuine>,
    peer: Peer,
    lists: Lists,
    client: Client,
}

/// A client that believes list 1.
async fn case() -> Case {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(Then::Http2)).await;
    let mut lists = Lists::new();
    let first = list(&mut lists, &genuine, 1, &[]);
    let trust = Trust::of_list(anchor(&genuine), &accepted(&lists, &first)).unwrap();
    assert_eq!(trust.numbers(), [7, 8]);
    let client = peer.client(trust);
    Case { genuine, peer, lists, client }
}

impl Case {
    fn believe(&mut self, sequence: u64, withdrawn: &[u32]) {
        let next = list(&mut self.lists, &self.genuine, sequence, withdrawn);
        let accepted = accepted(&self.lists, &next);
        self.client.believe(Trust::of_list(anchor(&self.genuine), &accepted).unwrap());
    }
}

#[tokio::test]
async fn release_numbers_of_the_list_are_sent_and_the_enclave_s_is_found() {
    let case = case().await;
    let session = case.client.session(&key()).await.unwrap();
    assert_eq!(session.attested().release(), 7);
    let head = case.peer.heads()[0].to_ascii_lowercase();
    assert!(head.contains("aegis-releases: 7, 8\r\n"), "{head}");
}

#[tokio::test]
async fn new_list_ends_sessions_and_lets_streams_finish() {
    let mut case = case().await;
    let old = case.client.session(&key()).await.unwrap();
    let mut body = in_flight(&case.client, "/broken").await;
    case.believe(2, &[8]);
    assert!(!old.is_open());
    // The next request goes on a session that was verified under the new list.
    drop(send(&case.client, "/headers").await.unwrap());
    assert_eq!(case.peer.sessions(), 2);
    assert_eq!(case.client.session(&key()).await.unwrap().attested().release(), 7);
    // The old stream is still there: its end is the provider's.
    drop(send(&case.client, "/break").await.unwrap());
    assert!(body.frame().await.unwrap().is_err());
    let heads = case.peer.heads();
    assert!(heads[1].to_ascii_lowercase().contains("aegis-releases: 7\r\n"), "{heads:?}");
}

#[tokio::test]
async fn old_session_takes_no_request_after_a_new_list() {
    let mut case = case().await;
    let old = case.client.session(&key()).await.unwrap();
    case.believe(2, &[]);
    let request = Request::get("https://api.openai.com/").body(Empty::<Bytes>::new()).unwrap();
    assert!(matches!(old.send(request).await, Err(Error::NotSent)));
}

#[tokio::test]
async fn withdrawn_release_breaks_its_streams_and_gets_no_session() {
    let mut case = case().await;
    let mut body = in_flight(&case.client, "/stalled").await;
    case.believe(2, &[7]);
    // Nobody asked the far end to break it.
    assert!(body.frame().await.unwrap().is_err());
    let error = send(&case.client, "/").await.unwrap_err();
    assert_eq!(error.step(), Some("pcrs"), "{error}");
    assert_eq!(case.peer.sessions(), 2);
}

#[tokio::test]
async fn list_that_accepts_nothing_reaches_nobody() {
    let mut case = case().await;
    case.believe(2, &[7, 8]);
    assert!(matches!(send(&case.client, "/").await, Err(Error::NothingAccepted)));
    assert!(case.peer.heads().is_empty());
}

#[tokio::test]
async fn list_that_has_ended_sends_nothing() {
    let genuine = Arc::new(Genuine::new());
    let peer = Peer::start(genuine.script(Then::Http2)).await;
    let mut lists = Lists::new();
    let releases = releases(&genuine);
    let (not_before, not_after) = (now() - 2 * DAY, now() - DAY);
    let says = Says { releases: &releases, withdrawn: &[], not_before, not_after };
    let bundle = lists.bundle(1, &says);
    // It was accepted when it was valid.
    let then = UnixSeconds(not_before);
    let accepted = aegis_releases::check(&bundle, &lists.trust(), None, then).unwrap();
    let client = peer.client(Trust::of_list(anchor(&genuine), &accepted).unwrap());
    assert!(matches!(send(&client, "/").await, Err(Error::ReleasesEnded { .. })));
    assert!(matches!(client.session(&key()).await, Err(Error::ReleasesEnded { .. })));
    assert!(peer.heads().is_empty());
}

/// A peer whose answer to any request is this.
async fn serving(answer: String) -> Peer {
    let genuine = Arc::new(Genuine::new());
    let connect = Box::leak(answer.into_boxed_str());
    Peer::start(Script { connect, ..genuine.script(Then::Record) }).await
}

fn from(source: Source, lists: &Lists, folder: &TempDir) -> Releases {
    let state = StateFile::new(folder.path().join("deep/state"));
    Releases { source, trust: lists.trust(), state }
}

#[tokio::test]
async fn list_of_the_router_is_checked_and_remembered() {
    let (genuine, mut lists) = (Genuine::new(), Lists::new());
    let bundle = String::from_utf8(list(&mut lists, &genuine, 1, &[])).unwrap();
    let length = bundle.len();
    let peer = serving(format!("200 OK\r\ncontent-length: {length}\r\n\r\n{bundle}")).await;
    let folder = TempDir::new().unwrap();
    let source = from(Source::Router, &lists, &folder);
    assert_eq!(source.state.read().unwrap(), None);
    let accepted = source.look(&peer.router()).await.unwrap();
    assert!(accepted.is_first());
    assert_eq!(source.state.read().unwrap().as_ref(), Some(accepted.seen()));
    let head = &peer.heads()[0];
    assert!(head.starts_with("GET /.well-known/aegis/releases HTTP/1.1\r\n"), "{head}");
    assert!(!head.contains("aegis-vk-"), "no key is sent: {head}");
    assert!(!source.look(&peer.router()).await.unwrap().is_first());
}

#[tokio::test]
async fn router_without_a_list_or_with_an_endless_one() {
    let folder = TempDir::new().unwrap();
    let source = from(Source::Router, &Lists::new(), &folder);
    let long = "a".repeat(300_000);
    for (answer, reason) in [
        ("404 Not Found\r\ncontent-length: 0".to_owned(), "404"),
        (format!("200 OK\r\ncontent-length: 300000\r\n\r\n{long}"), "more than any list"),
    ] {
        let peer = serving(answer).await;
        let error = source.look(&peer.router()).await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
        assert!(!error.is_refusal());
    }
}

#[tokio::test]
async fn state_that_is_damaged_is_refused_and_kept() {
    let (genuine, mut lists) = (Genuine::new(), Lists::new());
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("bundle");
    std::fs::write(&file, list(&mut lists, &genuine, 1, &[])).unwrap();
    let source = from(Source::File(file), &lists, &folder);
    let router = aegis_client::Router::new("https://r.example", aegis_client::OuterRoots::Web);
    let router = router.unwrap();
    source.look(&router).await.unwrap();
    std::fs::write(source.state.path(), "damaged").unwrap();
    let error = source.look(&router).await.unwrap_err();
    assert!(matches!(&error, ReleasesError::State(StateError::Damaged { .. })), "{error}");
    assert!(error.is_refusal());
    assert_eq!(std::fs::read(source.state.path()).unwrap(), b"damaged");
}

/// What a follower tells about its first look.
async fn followed(case: &Case, source: &Releases, first: Accepted) -> String {
    let (send, mut receive) = tokio::sync::mpsc::unbounded_channel();
    let told = |followed: &Followed| {
        let told = match followed {
            Followed::Changed(found) => format!("changed {}", found.list().sequence()),
            Followed::Kept(error) => format!("kept {error}"),
            Followed::Ended(error) => format!("ended {error}"),
            other => format!("{other:?}"),
        };
        send.send(told).unwrap();
    };
    let every = Duration::from_millis(1);
    let following = source.follow(&case.client, anchor(&case.genuine), first, every, told);
    tokio::select! {
        () = following => unreachable!(),
        told = receive.recv() => told.unwrap(),
    }
}

/// A file with the first list of new ones, and what it was accepted as.
async fn file_source(
    case: &mut Case,
    folder: &TempDir,
) -> (std::path::PathBuf, Releases, Accepted) {
    let file = folder.path().join("bundle");
    case.lists = Lists::new();
    std::fs::write(&file, list(&mut case.lists, &case.genuine, 3, &[])).unwrap();
    let source = from(Source::File(file.clone()), &case.lists, folder);
    let first = source.look(case.client.router()).await.unwrap();
    (file, source, first)
}

#[tokio::test]
async fn list_that_is_found_later_is_believed() {
    let (mut case, folder) = (case().await, TempDir::new().unwrap());
    let (file, source, first) = file_source(&mut case, &folder).await;
    std::fs::write(&file, list(&mut case.lists, &case.genuine, 4, &[7])).unwrap();
    assert_eq!(followed(&case, &source, first).await, "changed 4");
    assert_eq!(case.client.trust().numbers(), [8]);
    assert_eq!(source.state.read().unwrap().unwrap().sequence(), 4);
}

#[tokio::test]
async fn old_list_changes_nothing_that_is_believed() {
    let (mut case, folder) = (case().await, TempDir::new().unwrap());
    let (file, source, first) = file_source(&mut case, &folder).await;
    std::fs::write(&file, list(&mut case.lists, &case.genuine, 2, &[])).unwrap();
    let session = case.client.session(&key()).await.unwrap();
    let told = followed(&case, &source, first).await;
    assert!(told.starts_with("kept ") && told.contains("an old list is being shown"), "{told}");
    assert_eq!(case.client.trust().numbers(), [7, 8]);
    assert!(session.is_open());
}

#[tokio::test]
async fn list_that_is_frozen_ends_what_was_verified_under_it() {
    let (mut case, folder) = (case().await, TempDir::new().unwrap());
    let (file, source, _) = file_source(&mut case, &folder).await;
    let mut body = in_flight(&case.client, "/stalled").await;
    let releases = releases(&case.genuine);
    let (not_before, not_after) = (now() - 2 * DAY, now() - DAY);
    let says = Says { releases: &releases, withdrawn: &[], not_before, not_after };
    let bundle = case.lists.bundle(4, &says);
    std::fs::write(&file, &bundle).unwrap();
    let then = UnixSeconds(not_before);
    let first = aegis_releases::check(&bundle, &case.lists.trust(), None, then).unwrap();
    let told = followed(&case, &source, first).await;
    assert!(told.starts_with("ended ") && told.contains("step validity"), "{told}");
    assert!(body.frame().await.unwrap().is_err());
    assert!(matches!(send(&case.client, "/").await, Err(Error::NothingAccepted)));
}

#[tokio::test]
async fn session_verified_before_a_change_is_not_taken_up_after_it() {
    let genuine = Arc::new(Genuine::new());
    let mut lists = Lists::new();
    let trust = |bundle: &[u8], lists: &Lists| {
        Trust::of_list(anchor(&genuine), &accepted(lists, bundle)).unwrap()
    };
    let first = list(&mut lists, &genuine, 1, &[]);
    let first = trust(&first, &lists);
    let second = list(&mut lists, &genuine, 2, &[7]);
    let second = trust(&second, &lists);
    // The list changes between the client's question and the enclave's answer.
    let client: Arc<OnceLock<Client>> = Arc::default();
    let (inside, asked) = (Arc::clone(&genuine), Arc::clone(&client));
    let script = Script {
        evidence: Box::new(move |question| {
            asked.get().unwrap().believe(second.clone());
            inside.evidence(question)
        }),
        ..genuine.script(Then::Http2)
    };
    let peer = Peer::start(script).await;
    let client = client.get_or_init(|| peer.client(first));
    let error = send(client, "/").await.unwrap_err();
    assert_eq!(error.step(), Some("pcrs"), "{error}");
    assert_eq!(peer.sessions(), 2);
}
