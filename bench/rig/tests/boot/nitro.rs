//! The scripts for a real instance, as far as they can be tried without one: they are well-formed, and
//! the self-check passes where everything is right and names the claim where something is not. What
//! stands in for AWS's tool and for the shipped client here are shell scripts, which show nothing about
//! Nitro.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use aegis_eif::recipe::apt;

use crate::programs;

/// `nitro-cli`, `aegis` and `curl` of an instance on which `$FAULT` is wrong.
const NITRO_CLI: &str = r#"#!/bin/sh
pcr0=aa0; flags=NONE; state=RUNNING; memory=1024
case $FAULT in measured) pcr0=ee0 ;; debug) flags=DEBUG_MODE ;; memory) memory=2048 ;; esac
case $1 in
    describe-eif) echo "{\"Measurements\":{\"PCR0\":\"$pcr0\",\"PCR1\":\"b\",\"PCR2\":\"c\"}}" ;;
    describe-enclaves) echo "[{\"EnclaveName\":\"aegis\",\"EnclaveID\":\"i\",\"State\":\"$state\",\
\"Flags\":\"$flags\",\"MemoryMiB\":$memory}]" ;;
    console) [ "$FAULT" = console ] ;;
esac
"#;
const AEGIS: &str = r#"#!/bin/sh
while [ "$1" != --accept ]; do shift; done
refuse() { echo "aegis: verification failed at step $1; no request was sent" >&2; exit 1; }
[ "$FAULT" != document ] || refuse chain
grep -q aa0 "$2" || [ "$FAULT" = other ] || refuse pcrs
echo "verified: an enclave of release 1, i-1"
echo "listening on http://127.0.0.1:1"
exec sleep 600
"#;
const CURL: &str = r#"#!/bin/sh
while [ $# -gt 0 ]; do
    case $1 in -o) body=$2 ;; -D) head=$2 ;; esac
    shift
done
echo '{"error":{"message":"no such key"}}' >"$body"
if [ "$FAULT" = provider ]; then echo 'aegis-error: upstream_tls' >"$head"; else : >"$head"; fi
printf 401
"#;

fn folder() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap().join("eif-build/nitro")
}

fn self_check(fault: &str) -> Output {
    let bench = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = bench.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
        path
    };
    write("nitro-cli", NITRO_CLI);
    write("aegis", AEGIS);
    write("curl", CURL);
    write("aegis.eif", "an image");
    write("pcrs.json", r#"[{"release":1,"pcr0":"aa0","pcr1":"b","pcr2":"c"}]"#);
    let key = write("key", "aegis-vk-test-self-check");
    let path = format!("{}:{}", bench.path().display(), std::env::var("PATH").unwrap());
    let mut check = Command::new(folder().join("self-check"));
    check.env("PATH", path).env("FAULT", fault).env("TMPDIR", bench.path());
    check.arg("--release").arg(bench.path()).arg("--bin").arg(bench.path());
    check.arg("--key-file").arg(key).args(["--router", "https://router.test"]).output().unwrap()
}

#[test]
fn the_self_check_names_the_claim_that_does_not_hold() {
    apt::ensure(programs().context(), &["jq"]).unwrap();
    let output = self_check("none");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert!(said.ends_with("8 passed, 0 failed, 2 skipped\n"), "{said}");
    for (fault, claim) in [
        ("measured", "measures the image as the release says"),
        ("debug", "not in debug mode"),
        ("console", "its console cannot be read"),
        ("document", "its document is genuine"),
        ("provider", "it reaches a provider"),
        ("other", "refused by a client of another release"),
        ("memory", "at most 1024 MiB"),
    ] {
        let output = self_check(fault);
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(1), "{fault}: {said}");
        let failed = said.lines().find(|line| line.starts_with("fail: ") && line.contains(claim));
        assert!(failed.is_some(), "{fault}: {said}");
    }
}

#[test]
fn scripts_and_units_are_well_formed() {
    apt::ensure(programs().context(), &["shellcheck", "systemd"]).unwrap();
    let scripts = ["run-enclave", "self-check"].map(|name| folder().join(name));
    let checked = Command::new("shellcheck").args(&scripts).output().unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let bench = tempfile::tempdir().unwrap();
    // What an instance has and this machine does not.
    let allocator = "[Service]\nExecStart=/bin/true\n";
    fs::write(bench.path().join("nitro-enclaves-allocator.service"), allocator).unwrap();
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no"]);
    for name in ["aegis-enclave.service", "aegis-host.service"] {
        let text = fs::read_to_string(folder().join(name)).unwrap();
        let here = text.replace("/opt/aegis/bin/run-enclave", "/bin/true");
        let path = bench.path().join(name);
        fs::write(&path, here.replace("/opt/aegis/bin/aegis-host", "/bin/true")).unwrap();
        verify.arg(path);
    }
    let verified = verify.output().unwrap();
    let said = String::from_utf8_lossy(&verified.stderr);
    assert!(verified.status.success() && !said.contains("aegis-"), "{said}");
}
