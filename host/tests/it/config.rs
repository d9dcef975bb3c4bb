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
    fs::write(setup.path("providers.table"), TABLE).unwrap();
    fs::write(&path, EXAMPLE).unwrap();
    let config = Config::load(&path).unwrap();
    assert_eq!((config.enclaves.len(), config.name.as_str()), (1, "host-1"));
    assert!(config.vault.is_some());
}

/// The parser names every key that a place may have when it meets an unknown one.
#[test]
fn the_example_has_every_key() {
    let places = ["listen = ", "certificate = ", "release = ", "url = ", "address = "];
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
    assert_eq!(seen, 13 + 2 + 5 + 5 + 2);
}

#[test]
fn bytes_that_are_no_text_are_named_with_their_line() {
    let setup = Setup::new();
    let path = setup.config();
    fs::write(&path, b"listen = \"127.0.0.1:0\"\nname = \"\xff\"\n").unwrap();
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
    assert!(error.contains("line 11:") && error.contains("relaese"), "{error}");
}

#[test]
fn each_mistake_is_named() {
    let setup = Setup::new();
    let cases = [
        ("listen = ", "# ", "listen"),
        ("\"127.0.0.1:0\"", "\"nowhere\"", "line 1"),
        ("unix = \"blue\"", "", "exactly one of unix"),
        ("unix = \"blue\"", "unix = \"blue\"\nvsock_cid = 5", "exactly one of unix"),
        ("name = \"blue\"", "name = \"blue sky\"", "[[enclave]]"),
        ("sqlite:aegis.db", "mysql:aegis.db", "neither sqlite:FILE nor"),
        ("sqlite:aegis.db", "postgres://u@h/d", "name: it is missing"),
        ("sqlite:aegis.db", "postgres://u:a/b@h/d", "%2F"),
        ("url = ", "url_env = \"UNSET_BY_TEST\"\nurl = ", "exactly one of url"),
        ("url = \"sqlite:aegis.db\"", "url_env = \"UNSET_BY_TEST\"", "UNSET_BY_TEST is not set"),
        ("master_key_file = \"master.key\"", "master_key_file = \"tls.pem\"", "64 hexadecimal"),
        ("master_key_file = \"master.key\"", "master_key_command = [\"false\"]", "ended with"),
        ("master_key_file", "master_key_env = \"X\"\nmaster_key_file", "more than one of"),
        ("[tls]", "[reserve]\ngenerate = \"1,5\"\n[tls]", "no amount"),
        ("[tls]", "[reserve]\ngenerte = \"1\"\n[tls]", "`generte`"),
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
    let from = text.find("[[enclave]]").unwrap();
    let end = text[from + 2..].find("[[").map_or(text.len(), |at| from + 2 + at);
    setup.tail = text[from..end].to_owned();
    let error = error(&setup, "listen", "listen");
    assert!(error.contains("given twice"), "{error}");
}

#[test]
fn words_of_lists_are_checked() {
    let mut setup = Setup::new();
    setup.head = "custodies = [\"lent\"]".into();
    assert!(error(&setup, "listen", "listen").contains("`lent`"));
    setup.head = "custodies = []".into();
    assert!(error(&setup, "listen", "listen").contains("\"client\", \"sealed\", \"host\""));
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

/// Secrets in every wrong place: the message helps, and does not repeat them.
#[test]
fn messages_never_repeat_a_secret() {
    let setup = Setup::new();
    let quoted = format!("\"{CREDENTIAL}\"");
    let cases = [
        ("master_key_file = ", format!("master_key_env = {quoted}\nname = ")),
        ("master_key_file = \"master.key\"", format!("master_key_env = {quoted}")),
        ("master_key_file = \"master.key\"", format!("master_key_env = {CREDENTIAL}")),
        ("master_key_file = \"master.key\"", format!("master_key_env = [{quoted}]")),
        ("url = \"sqlite:aegis.db\"", format!("url = \"mysql://u:{CREDENTIAL}@h/d\"")),
        ("sqlite:aegis.db", format!("postgres://u:{CREDENTIAL}/x@h/d")),
        ("sqlite:aegis.db", format!("postgres://u:x?{CREDENTIAL}@h/d")),
        ("url = \"sqlite:aegis.db\"", format!("url_env = {quoted}")),
        ("release = 7", format!("release = {quoted}")),
        ("name = \"blue\"", format!("name = \" {CREDENTIAL}\"")),
    ];
    for (from, to) in cases {
        let error = error(&setup, from, &to);
        assert!(!error.contains("canary"), "{to}: {error}");
    }
}
