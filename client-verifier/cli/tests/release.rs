//! `aegis release` as the guide has it, and what it refuses.
#![allow(clippy::unwrap_used)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use serde_json::Value;
use tempfile::TempDir;

const GUIDE: &str = include_str!("../../releases/README.md");

/// A `release.json` as aegis-eif writes it, with made-up measurements.
fn release_json(number: u32) -> String {
    let pcr = |index: u32| hex::encode([(16 * index + number) as u8; 48]);
    let sha = "00".repeat(32);
    format!(
        "{{\n  \"format\": \"aegis-release/1\",\n  \"number\": {number},\n  \"version\": \"0.1.0\",\n  \
         \"commit\": null,\n  \"variant\": \"production\",\n  \"pcr0\": \"{}\",\n  \"pcr1\": \"{}\",\n  \
         \"pcr2\": \"{}\",\n  \"provider_table_sha256\": null,\n  \"image\": {{\n    \"bytes\": 1,\n    \
         \"sha256\": \"{sha}\"\n  }},\n  \"sections\": [],\n  \"command_line\": \"\",\n  \"made_of\": {{\n    \
         \"kernel\": null,\n    \"kernel_config_sha256\": \"{sha}\",\n    \"program\": null,\n    \
         \"packages\": {{}}\n  }}\n}}\n",
        pcr(1),
        pcr(2),
        pcr(3)
    )
}

/// Runs a script with `aegis` in its path, in this folder.
fn shell(folder: &Path, script: &str) -> Output {
    let programs = Path::new(env!("CARGO_BIN_EXE_aegis")).parent().unwrap();
    let path = format!("{}:{}", programs.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new("sh");
    command.args(["-euc", script]).current_dir(folder).env("PATH", path).output().unwrap()
}

/// The commands of the guide up to this step.
fn guide(steps: usize) -> String {
    let blocks = GUIDE.split("```sh\n").skip(1).take(steps);
    blocks.map(|block| block.split("```").next().unwrap()).collect()
}

/// A folder in which the guide has been followed so far.
fn followed(steps: usize) -> (TempDir, String) {
    let folder = TempDir::new().unwrap();
    for number in [7, 8] {
        fs::write(folder.path().join(format!("release-{number}.json")), release_json(number))
            .unwrap();
    }
    let output = shell(folder.path(), &guide(steps));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    (folder, String::from_utf8(output.stdout).unwrap())
}

/// Exit code and the one line of complaint.
fn refused(folder: &TempDir, script: &str) -> (Option<i32>, String) {
    let output = shell(folder.path(), script);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(errors.lines().count(), 1, "{errors}");
    (output.status.code(), errors)
}

#[test]
fn the_guide_works_as_it_is_written() {
    let (folder, said) = followed(7);
    assert!(said.contains("sequence 1, accepted releases: 7\n"), "{said}");
    assert!(said.contains("nothing was accepted before: first use"), "{said}");
    assert!(said.contains("sequence 2, accepted releases: 8\n"), "{said}");
    assert!(said.contains("cosigned 2 entries, which continue the 1 before"), "{said}");
    assert!(said.contains("NOT CHECKED"), "{said}");
    let last: Value = serde_json::from_str(said.lines().next_back().unwrap()).unwrap();
    assert_eq!((&last["accepted"], &last["step"]), (&false.into(), &"history".into()));
    assert_eq!(last["error"], "old");
    // What aegis-eif wrote is in the list as it is.
    let list = fs::read_to_string(folder.path().join("list-2")).unwrap();
    assert!(list.contains(&release_json(7)) && list.contains(&release_json(8)));
}

#[test]
fn a_list_of_one_signer_is_not_logged() {
    let (folder, _) = followed(2);
    let script = "aegis release sign one --key alice.key --origin aegis.example/releases \
                  --sequence 1 --release release-7.json >/dev/null\n\
                  aegis release log append log one --key log.key --trust trust.toml";
    let (code, said) = refused(&folder, script);
    assert_eq!(code, Some(1));
    assert!(said.contains("1 of the trusted release keys signed it, 2 must"), "{said}");
    assert!(!folder.path().join("log/checkpoint").exists());
}

#[test]
fn the_log_takes_no_second_list_of_a_number() {
    let (folder, _) = followed(4);
    let script = "for key in alice bob; do if [ $key = alice ]; then more=\"--origin \
                  aegis.example/releases --sequence 1 --release release-8.json\"; else more=; fi; \
                  aegis release sign other --key $key.key $more >/dev/null; done\n\
                  aegis release log append log other --key log.key --trust trust.toml";
    let (code, said) = refused(&folder, script);
    assert_eq!(code, Some(1));
    assert!(said.contains("its sequence number is 1 and the log's last is 1"), "{said}");
}

#[test]
fn a_damaged_log_is_named() {
    let (folder, _) = followed(4);
    let tile = folder.path().join("log/tile/0/000.p/1");
    let mut bytes = fs::read(&tile).unwrap();
    bytes[0] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    for command in ["log show log", "log bundle log --out b"] {
        let (code, said) = refused(&folder, &format!("aegis release {command}"));
        assert_eq!(code, Some(1));
        assert!(said.contains("do not lead to the checkpoint's root"), "{said}");
    }
    bytes[0] ^= 1;
    fs::write(&tile, &bytes).unwrap();
    let entries = folder.path().join("log/tile/entries/000.p/1");
    let mut bytes = fs::read(&entries).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    fs::write(&entries, &bytes).unwrap();
    let (code, said) = refused(&folder, "aegis release log show log");
    assert_eq!(code, Some(1));
    assert!(said.contains("entry 0 is not the one in the tree"), "{said}");
}

#[test]
fn a_witness_refuses_a_log_that_goes_back() {
    let (folder, _) = followed(3);
    let script = "aegis release log append log list-1 --key log.key --trust trust.toml >/dev/null\n\
                  cp -r log early\n\
                  for key in alice bob; do if [ $key = alice ]; then more=\"--origin \
                  aegis.example/releases --sequence 2 --release release-8.json\"; else more=; fi; \
                  aegis release sign list-2 --key $key.key $more >/dev/null; done\n\
                  aegis release log append log list-2 --key log.key --trust trust.toml >/dev/null\n\
                  log=$(aegis release key --public log.key)\n\
                  aegis release witness log --key w1.key --log $log --state s >/dev/null\n\
                  aegis release witness early --key w1.key --log $log --state s";
    let (code, said) = refused(&folder, script);
    assert_eq!(code, Some(1));
    assert!(said.contains("the log has 1 entries and had 2 before"), "{said}");
    fs::write(folder.path().join("s"), "damaged").unwrap();
    let script = "aegis release witness log --key w1.key --state s \
                  --log $(aegis release key --public log.key)";
    let (code, said) = refused(&folder, script);
    assert_eq!(code, Some(1));
    assert!(said.contains("state s is damaged"), "{said}");
}

#[test]
fn usage_and_environment_are_told_apart() {
    let (folder, _) = followed(3);
    for (script, code, expected) in [
        ("aegis release check missing --trust trust.toml --release-state s", 3, "missing"),
        ("aegis release check list-1 --trust missing --release-state s", 3, "missing"),
        ("aegis release check list-1 --trust list-1 --release-state s", 2, "no trust file"),
        ("aegis release check list-1 --trust trust.toml --release-state s", 1, "step bundle"),
        ("aegis release sign list-1 --key alice.key", 2, "signed by alice.example already"),
        ("aegis release sign list-1 --key log.key --at", 2, "unexpected argument"),
        ("aegis release sign list-9 --key w1.key", 2, "not a signature key"),
        ("aegis release sign list-9 --key trust.toml", 3, "chmod 600"),
        ("aegis release sign list-9 --key alice.key", 3, "list-9"),
        ("aegis release key 'two words' --out k", 2, "no key name"),
        ("aegis release key alice.example --out alice.key", 3, "choose a new file"),
        ("aegis release log bundle nowhere --out b", 3, "nowhere/checkpoint is missing"),
        ("aegis release log append . list-1 --key log.key --trust trust.toml", 2, "no checkpoint"),
        ("aegis release log append log list-1 --key bob.key --trust trust.toml", 2, "own key"),
    ] {
        let output = shell(folder.path(), script);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{script}: {said}");
        assert!(said.contains(expected), "{script}: {said}");
    }
}
