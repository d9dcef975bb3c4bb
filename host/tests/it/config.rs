//! Configurations: each mistake is refused with its place and the next step, and no message
//! repeats what could be a secret.

use std::fs;

use aegis_host::config::{Config, EXAMPLE};

use crate::rig::{CREDENTIAL, Setup, TABLE, foreign_key};

/// The error of a configuration changed by replacing text.
fn error(setup: &Setup, from: &str, to: &str) -> String {
    let path = setup.config();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.contains("host.toml") || error.contains("tls."), "{error}");
    assert!(error.contains("; "), "no next step: {error}");
    error
}

#[test]
fn the_example_is_good() {
    let setup = Setup::new();
    let path = setup.config();
    let (variable, text) = ("OPENAI_API_KEY", EXAMPLE);
    assert!(text.contains(variable));
    fs::write(setup.path("credential"), "sk-made-up\n").unwrap();
    fs::write(setup.path("providers.table"), TABLE).unwrap();
    let text = text
        .replace(&format!("credential_env = \"{variable}\""), "credential_file = \"credential\"");
    fs::write(&path, text).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!((config.enclaves.len(), config.keys.0.len(), config.accounts.0.len()), (1, 1, 1));
    assert_eq!(config.accounts.0[0].credential.expose(), b"sk-made-up");
}

/// The parser names every key that a place may have when it meets an unknown one.
#[test]
fn the_example_has_every_key() {
    let places =
        ["listen = ", "certificate = ", "release = ", "tenant = ", "number = ", "address = "];
    let mut setup = Setup::new();
    setup.tail = "[[dial]]\nprovider = \"openai\"\naddress = \"127.0.0.1:9\"".into();
    let mut seen = 0;
    for place in places {
        let error = error(&setup, place, &format!("surprise = 1\n{place}"));
        let (_, known) = error.split_once("expected ").unwrap();
        let (known, _) = known.split_once(';').unwrap();
        for key in known.split('`').skip(1).step_by(2) {
            assert!(EXAMPLE.contains(key), "{key} is not in the example");
            seen += 1;
        }
    }
    assert_eq!(seen, 11 + 2 + 5 + 6 + 5 + 2);
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_line() {
    let setup = Setup::new();
    let path = setup.config();
    fs::write(&path, b"listen = \"127.0.0.1:0\"\nledger = \"\xff\"\n").unwrap();
    let error = Config::load(&path).unwrap_err();
    assert!(!error.is_environment());
    assert!(error.to_string().contains("host.toml: line 2 is not UTF-8; "), "{error}");
}

#[test]
fn a_certificate_in_der_is_asked_for_in_pem() {
    let setup = Setup::new();
    let path = setup.config();
    for (name, part) in [("tls.key", "private key"), ("tls.pem", "certificate")] {
        fs::write(setup.path(name), foreign_key().secret_pkcs8_der()).unwrap();
        let error = Config::load(&path).unwrap_err();
        assert!(!error.is_environment());
        assert!(error.to_string().contains(&format!("no PEM {part}")), "{error}");
    }
}

#[test]
fn unknown_keys_are_named_with_their_line() {
    let setup = Setup::new();
    let error = error(&setup, "release = 7", "relaese = 7");
    assert!(error.contains("line 9:") && error.contains("relaese"), "{error}");
}

#[test]
fn each_mistake_is_named() {
    let setup = Setup::new();
    let digest_line = "sha256 = \"";
    let cases = [
        ("listen = ", "# ", "listen"),
        ("\"127.0.0.1:0\"", "\"nowhere\"", "line 1"),
        ("unix = \"blue\"", "", "exactly one of unix"),
        ("unix = \"blue\"", "unix = \"blue\"\nvsock_cid = 5", "exactly one of unix"),
        ("name = \"blue\"", "name = \"blue sky\"", "[[enclave]]"),
        ("tenant = \"acme\"", "tenant = \"\"", "tenant"),
        (digest_line, "sha256 = \"00", "laptop: its sha256"),
        ("provider = \"openai\"", "provider = \"opnai\"", "`opnai` is not in the table"),
        ("number = 4", "number = 0", "line 17"),
        ("credential = ", "credential_env = \"UNSET_BY_TEST\"\ncredential = ", "exactly one of"),
        ("certificate = \"tls.pem\"", "certificate = \"tls.key\"", "no PEM certificate"),
        ("key = \"tls.key\"", "key = \"tls.pem\"", "no PEM private key"),
        ("key = \"tls.key\"", "key = \"missing.key\"", "missing.key"),
    ];
    for (from, to, expected) in cases {
        let error = self::error(&setup, from, to);
        assert!(error.contains(expected), "{from} -> {to}: {error}");
    }
}

#[test]
fn entries_given_twice_are_refused() {
    let mut setup = Setup::new();
    let text = fs::read_to_string(setup.config()).unwrap();
    let entry = |head: &str| {
        let from = text.find(head).unwrap();
        let len = text[from + 2..].find("[[").map_or(text.len() - from, |at| at + 2);
        text[from..from + len].to_owned()
    };
    for head in ["[[enclave]]", "[[key]]", "[[account]]"] {
        setup.tail = entry(head);
        let error = error(&setup, "listen", "listen");
        assert!(error.contains("given twice"), "{error}");
    }
}

#[test]
fn words_of_lists_are_checked() {
    let mut setup = Setup::new();
    setup.key = "classes = [\"generte\"]".into();
    assert!(error(&setup, "listen", "listen").contains("`generte`"));
    setup.key = "providers = [\"nobody\"]".into();
    assert!(error(&setup, "listen", "listen").contains("`nobody`"));
    setup.key = "requests_per_minute = 0".into();
    error(&setup, "listen", "listen");
    setup.key = String::new();
    setup.head = "custodies = [\"lent\"]".into();
    assert!(error(&setup, "listen", "listen").contains("`lent`"));
    setup.head = "custodies = []".into();
    assert!(error(&setup, "listen", "listen").contains("\"client\", \"host\" or both"));
    setup.head = String::new();
    setup.tail = "[[dial]]\nprovider = \"openai\"\naddress = \"127.0.0.1\"".into();
    assert!(error(&setup, "listen", "listen").contains("no port"));
}

#[test]
fn a_key_of_another_certificate_is_refused() {
    let setup = Setup::new();
    let path = setup.config();
    let der = foreign_key();
    let encoded = hex::encode(der.secret_pkcs8_der());
    fs::write(setup.path("foreign.hex"), encoded).unwrap();
    let other = Setup::new();
    fs::copy(other.path("tls.key"), setup.path("tls.key")).unwrap();
    let error = Config::load(&path).unwrap_err().to_string();
    assert!(error.contains("[tls]"), "{error}");
}

/// Credentials in every wrong place and shape: the message helps, and does not repeat them.
#[test]
fn messages_never_repeat_a_secret() {
    let setup = Setup::new();
    let quoted = format!("\"{CREDENTIAL}\"");
    let whole = format!("credential = {quoted}");
    let cases = [
        (whole.as_str(), format!("credential_env = {quoted}")),
        (&whole, format!("credential = {CREDENTIAL}")),
        (&whole, format!("credential = \"{CREDENTIAL}\\nx\"")),
        (&whole, format!("credential = \"{CREDENTIAL} \"")),
        (&whole, format!("credential = [{quoted}]")),
        (&whole, format!("credential = \"{CREDENTIAL}")),
        (&whole, format!("credential = \"aegis-vk-{CREDENTIAL}\"")),
        (&whole, format!("credential = \"{}\"", CREDENTIAL.repeat(200))),
        ("number = 4", format!("number = {quoted}")),
        ("provider = \"openai\"", format!("provider = {quoted}")),
        ("name = \"laptop\"", format!("name = \" {CREDENTIAL}\"")),
        ("sha256 = \"", format!("sha256 = \"{CREDENTIAL}")),
    ];
    for (from, to) in cases {
        let error = error(&setup, from, &to);
        assert!(!error.contains("canary"), "{to}: {error}");
    }
}
