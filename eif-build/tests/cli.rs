//! The command line: what each refusal says and which exit code it has. Nothing here builds a
//! kernel.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use aegis_eif::eif::Eif;
use aegis_eif::measure::Measurements;
use aegis_eif::release::Release;

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, data: &[u8]) -> PathBuf {
        std::fs::write(self.path(name), data).unwrap();
        self.path(name)
    }

    /// A file that may be `/init`: a header for a static program, and nothing that would run.
    fn init(&self, name: &str, body: &[u8]) -> PathBuf {
        let mut elf = vec![0; 64];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[16] = 3;
        elf[18] = 62;
        elf[32] = 64;
        elf.extend_from_slice(body);
        self.write(name, &elf)
    }

    fn run(&self, arguments: &[&str]) -> Output {
        let mut program = Command::new(env!("CARGO_BIN_EXE_aegis-eif"));
        program.env("AEGIS_CACHE", self.path("cache"));
        program.args(arguments).output().unwrap()
    }

    /// Builds from parts given as files and hands back the folder.
    fn build(&self, out: &str, init: &Path, table: &Path) -> PathBuf {
        let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let kernel = self.write("kernel", b"kernel");
        let config = self.write("config", b"CONFIG_NSM=y\n");
        let out = self.path(out);
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        let output = self.run(&[
            "build",
            &format!("--source={}", text(workspace)),
            &format!("--kernel={}", text(&kernel)),
            &format!("--kernel-config={}", text(&config)),
            &format!("--init={}", text(init)),
            &format!("--table={}", text(table)),
            &format!("--out={}", text(&out)),
            "--command-line=reboot=k",
            "--number=7",
        ]);
        assert!(output.status.success(), "{}", said(&output));
        out
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn shown(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn an_image_from_parts_describes_itself() {
    let bench = Bench::new();
    let table = bench.write("table", b"rows");
    let out = bench.build("out", &bench.init("init", b"program"), &table);
    let bytes = std::fs::read(out.join("aegis.eif")).unwrap();
    let image = Eif::parse(&bytes).unwrap();
    let text = std::fs::read(out.join("release.json")).unwrap();
    let release = Release::parse(Path::new("release.json"), &text).unwrap();
    assert_eq!(release.to_bytes(), text, "read and written again, the bytes are the same");
    release.check_image(&image, &bytes).unwrap();
    assert_eq!(release.number, Some(7));
    let digest = aegis_eif::cache::sha256_hex(b"rows");
    assert_eq!(release.provider_table_sha256, Some(digest));
    assert_eq!(image.command_line, "reboot=k");
    let eif = out.join("aegis.eif");
    let printed = shown(&bench.run(&["pcrs", eif.to_str().unwrap()]));
    assert_eq!(printed.trim(), Measurements::of(&image).to_string());
}

#[test]
fn a_manifest_of_another_image_is_refused() {
    let bench = Bench::new();
    let table = bench.write("table", b"rows");
    let one = bench.build("one", &bench.init("init1", b"one"), &table);
    let two = bench.build("two", &bench.init("init2", b"two"), &table);
    std::fs::copy(two.join("release.json"), one.join("release.json")).unwrap();
    let output = bench.run(&["check", one.to_str().unwrap(), "--source=/"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output).contains("release.json says image.sha256"), "{}", said(&output));
}

#[test]
fn diff_names_file_offset_and_measurements() {
    let bench = Bench::new();
    let table = bench.write("table", b"rows");
    let one = bench.build("one", &bench.init("init1", b"one"), &table).join("aegis.eif");
    let two = bench.build("two", &bench.init("init2", b"onx"), &table).join("aegis.eif");
    let (one, two) = (one.to_str().unwrap(), two.to_str().unwrap());
    let output = bench.run(&["diff", one, two]);
    assert_eq!(output.status.code(), Some(1));
    assert!(shown(&output).starts_with("ramdisk 1: /init: first differs at offset 66;"));
    assert!(said(&output).contains("other measurements: PCR0, PCR2\n"), "{}", said(&output));
    let output = bench.run(&["diff", one, one]);
    assert_eq!(output.status.code(), Some(0));
    assert!(shown(&output).starts_with("equal, PCR0 "));
}

#[test]
fn an_init_that_cannot_run_is_a_usage_error() {
    let bench = Bench::new();
    let shell = bench.write("shell", b"#!/bin/sh\n");
    let output = bench.run(&[
        "build",
        "--kernel=x",
        "--kernel-config=x",
        &format!("--init={}", shell.display()),
    ]);
    assert_eq!(output.status.code(), Some(2));
    assert!(said(&output).contains("cannot be /init: not a 64-bit ELF"), "{}", said(&output));
}

#[test]
fn exit_codes_tell_refusal_usage_and_environment_apart() {
    let bench = Bench::new();
    let text = bench.write("text", b"no image");
    let refused = bench.run(&["pcrs", text.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    let missing = bench.run(&["pcrs", bench.path("nothing").to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(3), "{}", said(&missing));
    assert_eq!(bench.run(&["pcrs"]).status.code(), Some(2));
    assert_eq!(bench.run(&["build", "--kernel=x"]).status.code(), Some(2));
}

#[test]
fn a_manifest_with_an_unknown_field_is_refused() {
    let text = br#"{"format":"aegis-release/1","extra":1}"#;
    let error = Release::parse(Path::new("release.json"), text).unwrap_err();
    assert!(error.to_string().contains("unknown field `extra`"), "{error}");
    assert_eq!(error.exit_code(), 2);
}
