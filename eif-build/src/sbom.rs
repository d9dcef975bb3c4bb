//! What is in a release, for tools that look for known weaknesses: a CycloneDX 1.5 bill of materials.
//!
//! The crates are those that cargo links for the platform of the image; the program itself is the
//! witness that none is missing: every place in third-party code that can panic names its crate in
//! the program's bytes, and each name must be in the list. Like `release.json` the bill has no time
//! and no serial number: two builds of one commit write the same file.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::path::Path;

use serde::Deserialize;
use serde::Serialize;

use crate::Error;
use crate::recipe::command;
use crate::recipe::enclave::Program;
use crate::recipe::enclave::TARGET;
use crate::recipe::read;
use crate::release::Release;

/// A folder of cargo's registry, as the recipe maps it.
const REGISTRY: &[u8] = b"/cargo/registry/src/";

/// The bill. Field names are CycloneDX's.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bill {
    bom_format: &'static str,
    spec_version: &'static str,
    version: u32,
    metadata: Metadata,
    components: Vec<Component>,
}

#[derive(Debug, Serialize)]
struct Metadata {
    component: Component,
}

/// One part of the image, or of what makes it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Component {
    r#type: &'static str,
    #[serde(rename = "bom-ref")]
    reference: String,
    name: String,
    version: String,
    /// In the image, or used to build it.
    scope: Scope,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    hashes: Vec<Hash>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    licenses: Vec<License>,
    purl: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
enum Scope {
    Required,
    Excluded,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct Hash {
    alg: &'static str,
    content: String,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
struct License {
    expression: String,
}

/// A crate as cargo names it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Crate {
    name: String,
    version: String,
    license: String,
}

impl Bill {
    /// The bill of `release`, whose program was built from `source`.
    ///
    /// # Errors
    /// When the release was put together from files, cargo cannot be asked, or the program has code
    /// of a crate that cargo does not name.
    pub fn of(
        source: &Path,
        program: &Program,
        release: &Release,
        init: &[u8],
    ) -> Result<Self, Error> {
        let checksums = checksums(&source.join("Cargo.lock"))?;
        let linked = tree(source, program, "normal,no-proc-macro")?;
        let built = tree(source, program, "normal,build")?;
        require_named(&linked, init)?;
        let mut components = distribution(release)?;
        for part in built.union(&linked) {
            let scope = if linked.contains(part) { Scope::Required } else { Scope::Excluded };
            components.push(part.component(scope, &checksums));
        }
        components.sort();
        let image = Component {
            r#type: "firmware",
            reference: format!("aegis@{}", release.image.sha256),
            name: program.name.clone(),
            version: release.version.clone(),
            scope: Scope::Required,
            hashes: vec![Hash::sha256(&release.image.sha256)],
            licenses: vec![License { expression: "Apache-2.0".to_owned() }],
            purl: format!("pkg:generic/{}@{}", program.name, release.version),
        };
        Ok(Self {
            bom_format: "CycloneDX",
            spec_version: "1.5",
            version: 1,
            metadata: Metadata { component: image },
            components,
        })
    }

    /// The file.
    pub fn to_bytes(&self) -> Vec<u8> {
        // Strings and numbers always serialise.
        let mut text = serde_json::to_vec_pretty(self).expect("a bill is plain data");
        text.push(b'\n');
        text
    }
}

impl Hash {
    fn sha256(hex: &str) -> Self {
        Self { alg: "SHA-256", content: hex.to_owned() }
    }
}

impl Crate {
    fn component(&self, scope: Scope, checksums: &BTreeMap<(String, String), String>) -> Component {
        let Self { name, version, license } = self;
        let checksum = checksums.get(&(name.clone(), version.clone()));
        let purl = format!("pkg:cargo/{name}@{version}");
        // The form with a slash is older than SPDX's expressions and means the same.
        let expression = license.replace('/', " OR ");
        Component {
            r#type: "library",
            reference: purl.clone(),
            name: name.clone(),
            version: version.clone(),
            scope,
            hashes: checksum.map(|hex| Hash::sha256(hex)).into_iter().collect(),
            licenses: vec![License { expression }],
            purl,
        }
    }
}

/// The kernel, and what the compilers put into the program. The linker leaves nothing of its own.
fn distribution(release: &Release) -> Result<Vec<Component>, Error> {
    let (kernel, program) = (release.made_of.kernel.as_ref(), release.made_of.program.as_ref());
    let (Some(kernel), Some(program)) = (kernel, program) else {
        return Err(Error::Unfit("kernel or program were handed in as files".to_owned()));
    };
    let component = |r#type, name: &str, version: &str, scope, license: &str, purl: String| {
        let licenses = vec![License { expression: license.to_owned() }];
        let (name, version) = (name.to_owned(), version.to_owned());
        let (reference, hashes) = (purl.clone(), Vec::new());
        Component { r#type, reference, name, version, scope, hashes, licenses, purl }
    };
    let debian = |name: &str, version: &str| format!("pkg:deb/debian/{name}@{}", encoded(version));
    let mut system = component(
        "operating-system",
        &kernel.package,
        &kernel.version,
        Scope::Required,
        "GPL-2.0-only WITH Linux-syscall-note",
        debian(&kernel.package, &kernel.version),
    );
    system.hashes.push(Hash::sha256(&kernel.sha256));
    let rust = program.rustc.split(' ').nth(1).unwrap_or("unknown");
    let standard = format!("pkg:generic/rust-std@{rust}");
    let library = "library";
    let mut all = vec![
        system,
        component(library, "rust-std", rust, Scope::Required, "MIT OR Apache-2.0", standard),
    ];
    for (name, version) in &release.made_of.packages {
        let (scope, license) = match name.as_str() {
            "libc6-dev" => (Scope::Required, "LGPL-2.1-or-later"),
            // Its run-time library unwinds the stack.
            "gcc-12" => (Scope::Required, "GPL-3.0-or-later WITH GCC-exception-3.1"),
            _ => (Scope::Excluded, "GPL-3.0-or-later"),
        };
        all.push(component(library, name, version, scope, license, debian(name, version)));
    }
    Ok(all)
}

/// A version within a package URL: `+` and `~` stand for themselves nowhere but there.
fn encoded(version: &str) -> String {
    version.replace('+', "%2B").replace('~', "%7E").replace(':', "%3A")
}

/// Every crate behind `program` over these kinds of edges.
fn tree(source: &Path, program: &Program, edges: &str) -> Result<BTreeSet<Crate>, Error> {
    let mut cargo = command::program("cargo");
    cargo.current_dir(source).args(["tree", "--locked", "--package", &program.package]);
    cargo.args(["--target", TARGET, "--edges", edges, "--prefix", "none", "--format", "{p}|{l}"]);
    let text = command::capture(&mut cargo)?;
    let line = |line: &str| {
        let (package, license) = line.split_once('|')?;
        let mut words = package.split(' ');
        let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
        let license = license.trim_end_matches(" (*)").to_owned();
        Some(Crate { name: name.to_owned(), version: version.to_owned(), license })
    };
    Ok(text.lines().filter_map(line).collect())
}

/// By name and version; crates of this workspace have none.
fn checksums(lockfile: &Path) -> Result<BTreeMap<(String, String), String>, Error> {
    #[derive(Deserialize)]
    struct Lock {
        package: Vec<Package>,
    }
    #[derive(Deserialize)]
    struct Package {
        name: String,
        version: String,
        checksum: Option<String>,
    }
    let text = String::from_utf8_lossy(&read(lockfile)?).into_owned();
    let lock: Lock = toml::from_str(&text).map_err(|e| Error::Configuration {
        path: lockfile.to_path_buf(),
        reason: e.to_string(),
    })?;
    let checksum = |package: Package| Some(((package.name, package.version), package.checksum?));
    Ok(lock.package.into_iter().filter_map(checksum).collect())
}

/// Refuses a program with code of a crate that is not in the list.
fn require_named(linked: &BTreeSet<Crate>, init: &[u8]) -> Result<(), Error> {
    let named: BTreeSet<_> = linked.iter().map(|c| format!("{}-{}", c.name, c.version)).collect();
    let found = crates_in(init);
    if found.is_empty() {
        let reason = "the program names no crate of its own: its paths are not mapped as expected";
        return Err(Error::Unfit(reason.to_owned()));
    }
    match found.iter().find(|folder| !named.contains(*folder)) {
        Some(folder) => Err(Error::Unfit(format!(
            "the program has code of {folder}, which cargo does not name among what it links"
        ))),
        None => Ok(()),
    }
}

/// Folders of crates, `NAME-VERSION`, that the program's bytes name.
fn crates_in(program: &[u8]) -> BTreeSet<String> {
    let starts = program.windows(REGISTRY.len()).enumerate().filter(|(_, w)| *w == REGISTRY);
    let folder = |(at, _): (usize, &[u8])| {
        let path = program.get(at + REGISTRY.len()..)?;
        let path = path.get(..path.len().min(256))?;
        let folder = path.split(|byte| *byte == b'/').nth(1)?;
        String::from_utf8(folder.to_vec()).ok()
    };
    starts.filter_map(folder).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn crates(folders: &[(&str, &str)]) -> BTreeSet<Crate> {
        let each = |(name, version): &(&str, &str)| Crate {
            name: (*name).to_owned(),
            version: (*version).to_owned(),
            license: "MIT".to_owned(),
        };
        folders.iter().map(each).collect()
    }

    const PROGRAM: &[u8] = b"..\0/cargo/registry/src/index-1/bytes-1.2.3/src/lib.rs\
        /cargo/registry/src/index-1/h2-0.4.1/src/a.rs attempt to add";

    #[test]
    fn a_program_names_the_crates_that_it_is_made_of() {
        let found: Vec<_> = crates_in(PROGRAM).into_iter().collect();
        assert_eq!(found, ["bytes-1.2.3", "h2-0.4.1"]);
    }

    #[test]
    fn a_crate_that_the_list_lacks_is_refused() {
        let whole = crates(&[("bytes", "1.2.3"), ("h2", "0.4.1"), ("data", "1.0.0")]);
        require_named(&whole, PROGRAM).unwrap();
        let error = require_named(&crates(&[("bytes", "1.2.3"), ("h2", "0.4.2")]), PROGRAM);
        let error = error.unwrap_err().to_string();
        assert!(error.contains("has code of h2-0.4.1, which cargo does not name"), "{error}");
    }

    #[test]
    fn a_program_without_mapped_paths_is_refused() {
        let error = require_named(&BTreeSet::new(), b"/home/x/.cargo/registry/src/").unwrap_err();
        assert!(error.to_string().contains("names no crate"), "{error}");
    }

    #[test]
    fn versions_of_debian_are_encoded() {
        assert_eq!(encoded("1:2.36-9+deb12u14~1"), "1%3A2.36-9%2Bdeb12u14%7E1");
    }
}
