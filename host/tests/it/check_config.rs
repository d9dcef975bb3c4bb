//! `check-config` refuses what `run` would refuse, in the same words, and changes nothing.

use std::{fs, os::unix::fs::PermissionsExt};

use crate::{program::outcome, rig::Setup};

/// Exit code, standard output and standard error for a configuration with that text replaced.
async fn outcome_with(
    command: &str,
    setup: &Setup,
    from: &str,
    to: &str,
) -> (Option<i32>, String, String) {
    let path = setup.config();
    let text = fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from}");
    fs::write(&path, text.replacen(from, to, 1)).unwrap();
    outcome(&[command, "--config", path.to_str().unwrap()]).await
}

fn names(setup: &Setup) -> Vec<String> {
    let entries = fs::read_dir(setup.path("")).unwrap();
    let mut names: Vec<_> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    // SQLite takes its log off when the last of its threads has ended, which nobody waits for.
    names.retain(|name| !["aegis.db-wal", "aegis.db-shm"].contains(&name.as_str()));
    names.sort();
    names
}

#[tokio::test]
async fn a_good_configuration_is_counted_and_nothing_is_left_behind() {
    let setup = Setup::new();
    setup.config();
    let before = names(&setup);
    let (code, out, err) = outcome_with("check-config", &setup, "listen", "listen").await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.contains("good; 1 enclave, 1 key, 1 account\n"), "{out}");
    assert_eq!(names(&setup), before, "a check starts nothing");
    assert!(fs::read_dir(setup.path("blue")).unwrap().next().is_none());
    let green = "[[enclave]]\nname = \"green\"\nrelease = 9\nunix = \"green\"\n[tls]";
    let (_, out, _) = outcome_with("check-config", &setup, "[tls]", green).await;
    assert!(out.contains("good; 2 enclaves, 1 key, "), "{out}");
}

#[tokio::test]
async fn places_that_cannot_be_written_to_are_refused_as_run_refuses_them() {
    let setup = Setup::new();
    fs::create_dir(setup.path("folder")).unwrap();
    // Nobody can make a file in /proc, not even root.
    let unix = "unix = \"blue\"";
    let long = format!("unix = \"{}\"", "long/".repeat(30));
    let cases = [
        ("aegis.db", "missing/aegis.db", "missing/aegis.db"),
        ("aegis.db", "/proc/aegis.db", "/proc/aegis.db"),
        (unix, "unix = \"missing\"", "missing/control.sock: No such file"),
        (unix, "unix = \"/proc\"", "/proc/control.sock"),
        (unix, "vhost = \"missing/vm\"", "missing/vm_"),
        (unix, &long, "under 100 bytes"),
    ];
    for (from, to, expected) in cases {
        for command in ["check-config", "run"] {
            let (code, out, err) = outcome_with(command, &setup, from, to).await;
            assert_eq!((code, out.as_str()), (Some(3), ""), "{command} {to}: {err}");
            assert!(err.contains(expected) && err.contains("; "), "{command} {to}: {err}");
        }
    }
    assert!(!setup.path("missing").exists(), "folders are the operator's to make");
}

#[tokio::test]
async fn contents_are_refused_with_the_code_of_a_configuration_and_missing_files_are_not() {
    let setup = Setup::new();
    for command in ["check-config", "run"] {
        let head = "custodies = []\nlisten";
        let (code, _, err) = outcome_with(command, &setup, "listen", head).await;
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("write some of \"client\""), "{err}");
        let bytes = setup.path("bytes.toml");
        fs::write(&bytes, [0xff]).unwrap();
        let (code, _, err) = outcome(&[command, "--config", bytes.to_str().unwrap()]).await;
        assert_eq!(code, Some(2), "{err}");
        assert!(err.contains("line 1 is not UTF-8"), "{err}");
        let folder = setup.path("blue");
        let (code, _, err) = outcome(&[command, "--config", folder.to_str().unwrap()]).await;
        assert_eq!(code, Some(3), "{err}");
    }
}

#[tokio::test]
async fn a_foreign_store_is_refused_and_a_host_that_runs_is_no_obstacle() {
    let setup = Setup::new();
    let running = setup.start().await;
    let setup = &running.setup;
    let (code, out, err) = outcome_with("check-config", setup, "listen", "listen").await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("1 key, 1 account"), "{out}");
    fs::create_dir(setup.path("folder")).unwrap();
    for store in ["sqlite:host.toml", "sqlite:folder"] {
        let (code, _, err) = outcome_with("check-config", setup, "sqlite:aegis.db", store).await;
        assert_eq!(code, Some(1), "{err}");
        assert!(err.contains("no database of aegis-host"), "{err}");
    }
}

#[tokio::test]
async fn a_store_that_is_not_there_yet_is_not_made_by_a_check() {
    let setup = Setup::bare();
    let (code, out, err) = outcome_with("check-config", &setup, "listen", "listen").await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.contains("0 keys, 0 accounts"), "{out}");
    assert!(!setup.path("aegis.db").exists());
}

#[tokio::test]
async fn secrets_that_every_user_may_read_are_warned_of() {
    let setup = Setup::new();
    for (key, master, warned) in [
        (0o600, 0o640, &[][..]),
        (0o644, 0o600, &["tls.key"]),
        (0o604, 0o644, &["tls.key", "master.key"]),
    ] {
        for (name, mode) in [("tls.key", key), ("master.key", master)] {
            fs::set_permissions(setup.path(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        let (code, _, err) = outcome_with("check-config", &setup, "listen", "listen").await;
        assert_eq!(code, Some(0), "{err}");
        let lines: Vec<_> = err.lines().collect();
        assert_eq!(lines.len(), warned.len(), "{err}");
        for (line, name) in lines.iter().zip(warned) {
            let start = format!("aegis-host: warning: {}: every user", setup.path(name).display());
            assert!(line.starts_with(&start), "{line}");
        }
    }
}
