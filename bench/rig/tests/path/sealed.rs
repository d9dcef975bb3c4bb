//! Custody *sealed*: an owner's credential goes to the one enclave that it was sealed to, is used for its
//! owner's clients and its provider only, and is nowhere the host can look.

use std::fs;

use aegis_client::Error;
use aegis_client::Mode;
use aegis_client::Session;
use aegis_mock::DEFAULT_KEY;
use aegis_rig::hostile;
use aegis_rig::program::Binary;
use aegis_rig::program::Program;
use aegis_rig::user::Answer;
use aegis_rig::user::KEY;
use aegis_rig::user::chat_body;
use aegis_rig::user::exchange;
use aegis_rig::world::World;
use aegis_wire::account;
use aegis_wire::account::Account;
use aegis_wire::control::Custody;
use aegis_wire::control::Grant;
use aegis_wire::control::Label;
use aegis_wire::control::Secret;
use aegis_wire::control::Source;
use aws_lc_rs::signature::Ed25519KeyPair;
use aws_lc_rs::signature::KeyPair as _;
use bytes::Bytes;
use http::Request;
use http_body_util::Full;

const OPENAI: &str = "openai.mock.aegis.test";
const ANTHROPIC: &str = "anthropic.mock.aegis.test";
/// The number that the adversary's desk grants.
const NUMBER: u32 = 7;

struct Owner(Ed25519KeyPair);

impl Owner {
    fn new(seed: u8) -> Self {
        Self(Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap())
    }

    fn account(&self, session: &Session) -> Account {
        Account {
            key: self.0.public_key().as_ref().try_into().unwrap(),
            provider: Label::new(OPENAI.as_bytes()),
            number: NUMBER,
            expires_s: aegis_rig::user::now().as_secs() + 3600,
            enclave: account::enclave(&session.attested().transcript().spki),
            credential: Secret(DEFAULT_KEY.as_bytes().to_vec()),
        }
    }

    fn hash(&self) -> String {
        let key = self.0.public_key().as_ref().try_into().unwrap();
        hex::encode(Account { key, ..Account::default() }.owner())
    }

    fn sealed(&self, account: &Account) -> Vec<u8> {
        let signature = self.0.sign(&account.to_be_signed().unwrap());
        account.sealed(signature.as_ref().try_into().unwrap()).unwrap()
    }

    async fn provision(&self, session: &Session, account: &Account) {
        session.provision(self.sealed(account)).await.unwrap();
    }
}

async fn start() -> (World, Session) {
    let world = World::start().await.unwrap();
    let session = world.user().unwrap().session(Mode::Http2).await.unwrap();
    (world, session)
}

async fn ask(session: &Session, custody: &str) -> Answer {
    let request = Request::post(format!("https://{OPENAI}/v1/chat/completions"))
        .header("aegis-custody", custody)
        .header("aegis-receipt", "1")
        .header("content-type", "application/json");
    exchange(session, request.body(chat_body("say hi")).unwrap()).await.unwrap()
}

fn questions(world: &World) -> usize {
    world.hostile.seen().iter().filter_map(|seen| seen.authorize()).count()
}

fn refused(outcome: Result<(), Error>, code: &str) {
    let error = outcome.unwrap_err();
    assert!(error.to_string().contains(code), "{error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sealed_account_serves_and_the_host_never_sees_it() {
    let (world, session) = start().await;
    let owner = Owner::new(1);
    owner.provision(&session, &owner.account(&session)).await;
    // The client prefers an owner who has nothing here.
    let custody = format!("sealed {} {}", Owner::new(9).hash(), owner.hash());
    let answer = ask(&session, &custody).await;
    assert_eq!(answer.status.as_u16(), 200, "{answer:?}");
    let recorded = world.mock.wait_recorded(1).await.remove(0);
    let credential = format!("Bearer {DEFAULT_KEY}");
    assert_eq!(recorded.header_values("authorization"), [credential.as_bytes()]);
    assert!(world.hostile.record().find(DEFAULT_KEY.as_bytes()).is_empty(), "the host saw it");
    let asked = world.hostile.seen().iter().find_map(|s| s.authorize().cloned()).unwrap();
    assert_eq!((asked.custody, hex::encode(asked.owner)), (Custody::Sealed, owner.hash()));
    let name = answer.header("aegis-request").unwrap();
    let receipt = session.fetch_receipt(name).await.unwrap().unwrap();
    let receipt = session.verify_receipt(&receipt).unwrap();
    assert_eq!(receipt.statement().custody, Custody::Sealed);
    assert_eq!(receipt.statement().owner.as_ref().map(hex::encode), Some(owner.hash()));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_owner_whom_the_client_does_not_name_is_not_asked() {
    let (world, session) = start().await;
    let owner = Owner::new(1);
    owner.provision(&session, &owner.account(&session)).await;
    let answer = ask(&session, &format!("sealed {}", Owner::new(2).hash())).await;
    assert_eq!(answer.error_code(), Some("account_missing"));
    let hash = owner.hash();
    for custody in [
        "sealed".to_owned(),
        format!("sealed {}", &hash[1..]),
        format!("sealed {}", hash.to_uppercase().replace('0', "A")),
        format!("sealed {}", "00".repeat(32)),
        format!("sealed  {hash}"),
        format!("host {hash}"),
        format!("sealed {hash} {hash} {hash} {hash} {hash}"),
    ] {
        let answer = ask(&session, &custody).await;
        assert_eq!(answer.error_code(), Some("custody_missing"), "{custody}");
    }
    assert_eq!(questions(&world), 0);
}

/// The operator is a client too: with the owner's account it would read what others left there.
#[tokio::test(flavor = "multi_thread")]
async fn what_stays_in_a_sealed_account_is_nobody_s_to_ask_for() {
    let (world, session) = start().await;
    let owner = Owner::new(1);
    owner.provision(&session, &owner.account(&session)).await;
    for path in ["files", "files/file-1/content", "batches", "chat/completions"] {
        let request = Request::get(format!("https://{OPENAI}/v1/{path}"))
            .header("aegis-custody", format!("sealed {}", owner.hash()));
        let answer =
            exchange(&session, request.body(Full::<Bytes>::default()).unwrap()).await.unwrap();
        assert_eq!(answer.error_code(), Some("sealed_scope"), "{path}");
    }
    assert_eq!(questions(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_host_cannot_choose_another_owner_s_or_provider_s_account() {
    let (world, session) = start().await;
    let (one, two) = (Owner::new(1), Owner::new(2));
    one.provision(&session, &one.account(&session)).await;
    two.provision(&session, &Account { number: 8, ..two.account(&session) }).await;
    let provider = Label::new(ANTHROPIC.as_bytes());
    one.provision(&session, &Account { number: 9, provider, ..one.account(&session) }).await;
    for (count, account) in [8, 9, 10].into_iter().enumerate() {
        world.hostile.on_authorize(move |ask, desk| {
            vec![hostile::grant_bytes(&Grant { account, ..desk.honest(ask) })]
        });
        let answer = ask(&session, &format!("sealed {}", one.hash())).await;
        assert_eq!(answer.error_code(), Some("account_missing"), "account {account}");
        let usages = world.hostile.wait_usage(count + 1).await.unwrap();
        assert!(usages.iter().all(|usage| usage.source == Source::NotDispatched));
    }
    assert!(world.mock.recorded().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_grant_of_another_custody_ends_the_channel() {
    for custody in [Custody::Host, Custody::Client] {
        let (world, session) = start().await;
        let owner = Owner::new(1);
        owner.provision(&session, &owner.account(&session)).await;
        world.hostile.on_authorize(move |ask, desk| {
            let own = if custody == Custody::Host { b"sk-made-up-hosts".to_vec() } else { vec![] };
            let grant = Grant { custody, credential: Secret(own), ..desk.honest(ask) };
            vec![hostile::grant_bytes(&grant)]
        });
        let answer = ask(&session, &format!("sealed {}", owner.hash())).await;
        assert_eq!(answer.error_code(), Some("host_unavailable"), "{custody:?}");
        world.hostile.wait_hello(2).await.unwrap();
        assert!(world.mock.recorded().is_empty());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_taken_only_as_its_owner_sealed_it_to_this_enclave() {
    let (world, session) = start().await;
    let owner = Owner::new(1);
    let good = owner.account(&session);
    let other = Account { enclave: account::enclave(b"another enclave"), ..good.clone() };
    let expired = Account { expires_s: aegis_rig::user::now().as_secs() - 1, ..good.clone() };
    let provider = Label::new(b"nobody.example");
    let unknown = Account { provider, ..good.clone() };
    for bad in [other, expired, unknown] {
        refused(session.provision(owner.sealed(&bad)).await, "account_refused");
    }
    // Another key's signature, every part changed, and what is no record.
    refused(session.provision(Owner::new(2).sealed(&good)).await, "account_refused");
    let sealed = owner.sealed(&good);
    for at in (0..sealed.len()).step_by(17) {
        let mut bad = sealed.clone();
        bad[at] ^= 1;
        refused(session.provision(bad).await, "account_refused");
    }
    refused(session.provision(vec![0; 100_000]).await, "account_refused");
    refused(session.provision(Vec::new()).await, "account_refused");
    let answer = ask(&session, &format!("sealed {}", owner.hash())).await;
    assert_eq!(answer.error_code(), Some("account_missing"), "something was kept");
    assert_eq!(questions(&world), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_its_owner_replaces_an_account() {
    let (world, session) = start().await;
    let (one, two) = (Owner::new(1), Owner::new(2));
    let wrong = Secret(b"sk-made-up-wrong".to_vec());
    one.provision(&session, &one.account(&session)).await;
    let foreign = Account { credential: wrong.clone(), ..two.account(&session) };
    two.provision(&session, &foreign).await;
    let custody = format!("sealed {}", one.hash());
    assert_eq!(ask(&session, &custody).await.status.as_u16(), 200);
    let replaced = Account { credential: wrong, ..one.account(&session) };
    one.provision(&session, &replaced).await;
    assert_eq!(ask(&session, &custody).await.status.as_u16(), 401, "the provider's own refusal");
    assert_eq!(world.mock.recorded().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_owner_s_tool_verifies_and_seals() {
    let (world, session) = start().await;
    let folder = world.folder();
    let measured = world.enclave.measurement();
    let (pcr0, pcr1, pcr2) = (measured.pcr0, measured.pcr1, measured.pcr2);
    let accept = |pcr0: String| {
        format!(r#"[{{"release":0,"pcr0":"{pcr0}","pcr1":"{pcr1}","pcr2":"{pcr2}"}}]"#)
    };
    fs::write(folder.join("accept.json"), accept(pcr0.to_string())).unwrap();
    fs::write(folder.join("other.json"), accept("ab".repeat(48))).unwrap();
    for (name, text) in [("virtual.key", KEY), ("credential", DEFAULT_KEY)] {
        fs::write(folder.join(name), text).unwrap();
        let private = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(folder.join(name), private).unwrap();
    }
    let at = |name: &str| folder.join(name).display().to_string();
    let key = at("owner.key");
    let output =
        Program::output(Binary::Aegis, &["account".as_ref(), "key".as_ref(), key.as_ref()]);
    let owner = String::from_utf8(output.unwrap()).unwrap().trim().to_owned();
    let seal = |accept: &str| {
        let router = format!("https://{}", world.hostile.address());
        std::process::Command::new(Binary::Aegis.path().unwrap())
            .args(["account", "seal", "--router", &router, "--router-ca", &at("outer.pem")])
            .args(["--accept", &at(accept), "--key-file", &at("virtual.key")])
            .args(["--dangerous-development-root", &world.enclave.root().unwrap().to_string()])
            .args(["--owner-key", &key, "--credential-file", &at("credential")])
            .args(["--provider", OPENAI, "--number", "7"])
            .env_remove("HTTPS_PROXY")
            .output()
            .unwrap()
    };
    assert_eq!(seal("other.json").status.code(), Some(1), "sealed to an unknown program");
    let missing = ask(&session, &format!("sealed {owner}")).await;
    assert_eq!(missing.error_code(), Some("account_missing"));
    let sealed = seal("accept.json");
    assert!(sealed.status.success(), "{}", String::from_utf8_lossy(&sealed.stderr));
    assert_eq!(ask(&session, &format!("sealed {owner}")).await.status.as_u16(), 200);
    assert!(world.hostile.record().find(DEFAULT_KEY.as_bytes()).is_empty());
}
