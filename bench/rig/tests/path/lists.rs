//! Release lists where a receipt is checked and an account is sealed: the word of the signers counts
//! there as it does for the agent.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command;
use std::process::Output;
use std::time::SystemTime;

use aegis_mock::DEFAULT_KEY;
use aegis_rig::program::Binary;
use aegis_rig::user::KEY;

use crate::agent::written;
use crate::releases::Case;
use crate::releases::RELEASE;
use crate::releases::until;

impl Case {
    /// Runs `aegis` with these arguments and whose word is taken.
    fn aegis(&self, arguments: &[&str]) -> Output {
        let root = self.stack.enclave.as_ref().unwrap().root().unwrap().to_string();
        Command::new(Binary::Aegis.path().unwrap())
            .args(arguments)
            .arg("--trust")
            .arg(self.publisher.trust())
            .arg("--release-state")
            .arg(self.state())
            .args(["--dangerous-development-root", &root])
            .env_remove("HTTPS_PROXY")
            .output()
            .unwrap()
    }

    fn path(&self, name: &str) -> String {
        self.stack.folder().join(name).display().to_string()
    }

    /// A private file.
    fn secret(&self, name: &str, text: &str) -> String {
        let path = self.path(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn receipt_of_a_withdrawn_release_is_refused() {
    let case = Case::start().await;
    let first = case.path("list-1");
    fs::write(&first, case.publisher.bundle("log").unwrap()).unwrap();
    let kept = case.stack.folder().join("receipts");
    fs::create_dir(&kept).unwrap();
    let (agent, address) = case.agent_with(&[("--receipts", kept.as_os_str())]).await.unwrap();
    until(address, |answer| answer.status.as_u16() == 200).await;
    let receipt = written(&kept).await.display().to_string();
    drop(agent);
    let check = |list: &str, more: &[&str]| {
        case.aegis(&[&["receipt", "verify", &receipt, "--json", "--releases", list], more].concat())
    };
    let accepted = check(&first, &[]);
    assert!(accepted.status.success(), "{}", said(&accepted));
    let stated: serde_json::Value = serde_json::from_slice(&accepted.stdout).unwrap();
    assert_eq!(stated["release"], RELEASE, "{stated}");
    let second = case.publisher.publish("log", 2, &case.releases(), &[RELEASE]).unwrap();
    fs::write(case.path("list-2"), second).unwrap();
    let withdrawn = check(&case.path("list-2"), &[]);
    assert_eq!(withdrawn.status.code(), Some(1));
    assert!(said(&withdrawn).contains("step pcrs"), "{}", said(&withdrawn));
    // The older list is not taken any more, unless the user asks for its moment.
    let old = check(&first, &[]);
    assert_eq!(old.status.code(), Some(1));
    assert!(said(&old).contains("step history"), "{}", said(&old));
    let now = SystemTime::UNIX_EPOCH.elapsed().unwrap().as_secs().to_string();
    let then = check(&first, &["--at", &now]);
    assert!(then.status.success(), "{}", said(&then));
}

#[tokio::test(flavor = "multi_thread")]
async fn account_is_not_sealed_to_a_withdrawn_release() {
    let case = Case::start().await;
    // The control channel must be up before the host opens tunnels; an agent waits for that.
    let (agent, address) = case.agent_with(&[]).await.unwrap();
    until(address, |answer| answer.status.as_u16() == 200).await;
    drop(agent);
    let (router, ca) = case.stack.router();
    let owner = case.path("owner.key");
    let key: [&OsStr; 3] = ["account".as_ref(), "key".as_ref(), owner.as_ref()];
    assert!(Command::new(Binary::Aegis.path().unwrap()).args(key).status().unwrap().success());
    let (virtual_key, credential) =
        (case.secret("virtual.key", KEY), case.secret("credential", DEFAULT_KEY));
    let ca = ca.display().to_string();
    let seal = || {
        let to = ["account", "seal", "--router", &router, "--router-ca", &ca];
        let keys = ["--key-file", &virtual_key, "--owner-key", &owner];
        let account = ["--credential-file", &credential, "--provider", "api.openai.com"];
        case.aegis(&[&to[..], &keys, &account, &["--number", "7"]].concat())
    };
    let sealed = seal();
    assert!(sealed.status.success(), "{}", said(&sealed));
    let text = String::from_utf8_lossy(&sealed.stdout).into_owned();
    assert!(text.contains("accepted releases: 7, 8"), "{text}");
    assert!(text.contains("to release 7"), "{text}");
    case.serve(&case.publisher.publish("log", 2, &case.releases(), &[RELEASE, 8]).unwrap());
    let refused = seal();
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(!String::from_utf8_lossy(&refused.stdout).contains("sealed account"));
}
