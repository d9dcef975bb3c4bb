//! The bill of materials of a release is what its format's owners say such a file is: their schema, as
//! their own library has it, from PyPI.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Output;

use aegis_eif::cache::Key;
use aegis_eif::recipe::apt;
use aegis_eif::recipe::command;

use crate::programs;

/// CycloneDX's library, with what it judges by.
const LIBRARY: &str = "cyclonedx-python-lib[json-validation]==11.12.0";
const JUDGE: &str = "
import sys
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
error = JsonStrictValidator(SchemaVersion.V1_5).validate_str(open(sys.argv[1]).read())
sys.exit(str(error)[:1000] if error else 0)
";

/// A Python with the library, from the cache.
fn python() -> PathBuf {
    let context = programs().context();
    let key = Key::default().add("library", LIBRARY);
    let entry = context.cache.entry("cyclonedx", &key, |folder| {
        apt::ensure(context, &["python3-venv"])?;
        eprintln!("installing {LIBRARY} from PyPI into {}", folder.display());
        let log = folder.join("install.log");
        let mut venv = command::program("/usr/bin/python3");
        command::run(venv.args(["-m", "venv"]).arg(folder), &log)?;
        let mut pip = command::program(folder.join("bin/python3"));
        command::run(pip.args(["-m", "pip", "install", "--quiet", LIBRARY]), &log)
    });
    entry.unwrap().join("bin/python3")
}

fn judged(python: &Path, bill: &str) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), bill).unwrap();
    Command::new(python).args(["-c", JUDGE]).arg(file.path()).output().unwrap()
}

#[test]
fn the_bill_of_materials_is_valid_by_its_schema() {
    let bill = String::from_utf8(programs().bill().unwrap()).unwrap();
    let python = python();
    let valid = judged(&python, &bill);
    assert!(valid.status.success(), "{}", String::from_utf8_lossy(&valid.stderr));
    for (word, other) in [("required", "needed"), ("CycloneDX", "Cyclone"), ("firmware", "thing")] {
        let changed = bill.replacen(&format!("\"{word}\""), &format!("\"{other}\""), 1);
        assert_ne!(changed, bill, "{word}");
        assert_eq!(judged(&python, &changed).status.code(), Some(1), "{other} is valid too");
    }
}
