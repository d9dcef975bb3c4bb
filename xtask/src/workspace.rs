//! The workspace as cargo and git see it: root, files, packages and who depends on whom.

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::{failure::Failure, process};

/// The platform of the production image.
pub const TARGET: &str = "x86_64-unknown-linux-gnu";

/// Whether nobody watches (`CI=true`): builds go to the cache, and what cannot be tried has failed.
pub fn in_ci() -> bool {
    env::var_os("CI").is_some_and(|ci| ci == "true")
}

/// Where the workspace is and where its builds go.
#[derive(Debug, Clone)]
pub struct Workspace {
    /// Folder of the workspace's `Cargo.toml`.
    pub root: PathBuf,
    /// Target folder for everything this program builds.
    pub target: PathBuf,
}

impl Workspace {
    /// The workspace of the current folder. In CI (`CI=true`) builds go to the cache, so that a
    /// fresh clone finds the dependencies of the last run compiled.
    pub fn here() -> Result<Self, Failure> {
        let mut locate = Command::new(cargo_path());
        locate.args(["locate-project", "--workspace", "--message-format", "plain"]);
        let manifest = process::text(&mut locate)?;
        let root = Path::new(manifest.trim()).parent().map(PathBuf::from);
        let root = root.ok_or_else(|| Failure::Usage("no workspace here".into()))?;
        let target = match env::var_os("CARGO_TARGET_DIR") {
            Some(folder) => root.join(folder),
            None if in_ci() => cached_target(&root)?,
            None => root.join("target"),
        };
        Ok(Self { root, target })
    }

    /// A cargo command in this workspace, building into its target folder.
    pub fn cargo(&self) -> Command {
        let mut command = Command::new(cargo_path());
        command.current_dir(&self.root);
        command.env("CARGO_TARGET_DIR", &self.target);
        command
    }

    /// Every file of the tree that git tracks or would track, relative to the root.
    pub fn files(&self) -> Result<Vec<PathBuf>, Failure> {
        let mut git = Command::new("git");
        git.current_dir(&self.root);
        git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
        let listing = process::text(&mut git)?;
        let names: BTreeSet<_> = listing.split('\0').filter(|name| !name.is_empty()).collect();
        let files = names.into_iter().map(PathBuf::from);
        Ok(files.filter(|file| self.root.join(file).is_file()).collect())
    }

    /// What `cargo metadata` says, with features as the whole workspace asks for them.
    pub fn metadata(&self) -> Result<Metadata, Failure> {
        let mut metadata = self.cargo();
        metadata.args(["metadata", "--format-version", "1", "--locked"]);
        metadata.args(["--filter-platform", TARGET]);
        let json = process::text(&mut metadata)?;
        serde_json::from_str(&json)
            .map_err(|e| Failure::Environment(format!("cargo metadata is not understood: {e}")))
    }

    /// What is linked when only `package` is built, each with the features it is then built with.
    pub fn linked(&self, package: &str) -> Result<BTreeSet<Linked>, Failure> {
        self.tree(&["--package", package], "normal,no-proc-macro")
    }

    /// The same, and what is run to build it: procedural macros, build scripts and theirs.
    pub fn built(&self, package: &str) -> Result<BTreeSet<Linked>, Failure> {
        self.tree(&["--package", package], "normal,build")
    }

    /// What all programs are built from, in one build.
    pub fn programs(&self) -> Result<BTreeSet<Linked>, Failure> {
        self.tree(&["--workspace"], "normal,build")
    }

    /// The same for all tests.
    pub fn tests(&self) -> Result<BTreeSet<Linked>, Failure> {
        self.tree(&["--workspace"], "normal,build,dev")
    }

    fn tree(&self, packages: &[&str], edges: &str) -> Result<BTreeSet<Linked>, Failure> {
        let mut tree = self.cargo();
        tree.args(["tree", "--locked"]).args(packages).args(["--target", TARGET]);
        tree.args(["--edges", edges, "--prefix", "none"]);
        tree.args(["--format", "{p}|{f}"]);
        let listing = process::text(&mut tree)?;
        let line = |line: &str| {
            let (package, features) = line.split_once('|')?;
            let mut words = package.split(' ');
            let (name, version) = (words.next()?, words.next()?.strip_prefix('v')?);
            Some(Linked {
                name: name.into(),
                version: version.into(),
                features: features.trim_end_matches(" (*)").split(',').map(String::from).collect(),
            })
        };
        Ok(listing.lines().filter_map(line).collect())
    }
}

/// A crate of a binary.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Linked {
    /// Name of the package.
    pub name: String,
    /// Version of the package.
    pub version: String,
    /// Features it is built with.
    pub features: Vec<String>,
}

/// The part of `cargo metadata` that the gates need.
#[derive(Debug, Deserialize)]
pub struct Metadata {
    packages: Vec<Package>,
    resolve: Resolve,
}

/// A package.
#[derive(Debug, Deserialize)]
pub struct Package {
    /// Name in its manifest.
    pub name: String,
    /// Version in its manifest.
    pub version: String,
    /// Its manifest.
    pub manifest_path: PathBuf,
    /// What it builds.
    pub targets: Vec<Target>,
    /// Cargo's name for it.
    pub id: String,
    source: Option<String>,
}

/// Something that a package builds.
#[derive(Debug, Deserialize)]
pub struct Target {
    /// `lib`, `bin`, `test`, `custom-build`, ...
    pub kind: Vec<String>,
    /// The root file.
    pub src_path: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Resolve {
    nodes: Vec<Node>,
}

#[derive(Debug, Deserialize)]
struct Node {
    id: String,
    deps: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    pkg: String,
    dep_kinds: Vec<EdgeKind>,
}

#[derive(Debug, Deserialize)]
struct EdgeKind {
    kind: Option<String>,
}

impl Target {
    /// Whether it is of one of these kinds.
    pub fn is_one_of(&self, kinds: &[&str]) -> bool {
        self.kind.iter().any(|kind| kinds.contains(&kind.as_str()))
    }

    /// Whether it runs before the package is compiled.
    pub fn is_build_script(&self) -> bool {
        self.is_one_of(&["custom-build"])
    }
}

impl Package {
    /// Whether it comes from this tree and not from a registry.
    pub fn is_first_party(&self) -> bool {
        self.source.is_none()
    }

    /// The folder of its manifest.
    pub fn folder(&self) -> &Path {
        self.manifest_path.parent().unwrap_or(Path::new(""))
    }
}

impl Metadata {
    /// Every package of this tree.
    pub fn first_party(&self) -> impl Iterator<Item = &Package> {
        self.packages.iter().filter(|package| package.is_first_party())
    }

    /// The package of this tree with that name.
    pub fn own(&self, name: &str) -> Result<&Package, Failure> {
        let found = self.first_party().find(|package| package.name == name);
        found.ok_or_else(|| Failure::Refused(format!("{name}: no such package in the workspace")))
    }

    /// The package of that name and version, from wherever it comes.
    pub fn version(&self, name: &str, version: &str) -> Option<&Package> {
        let mut packages = self.packages.iter();
        packages.find(|package| package.name == name && package.version == version)
    }

    /// The package's direct dependencies of these kinds.
    pub fn direct(&self, package: &Package, kinds: Kinds) -> Vec<&Package> {
        let by_id: BTreeMap<_, _> = self.packages.iter().map(|p| (p.id.as_str(), p)).collect();
        let node = self.resolve.nodes.iter().find(|node| node.id == package.id);
        let edges = node.map_or(&[][..], |node| &node.deps).iter();
        let of_kind = |edge: &&Edge| {
            let mut found = edge.dep_kinds.iter();
            found.any(|found| match found.kind.as_deref() {
                None => true,
                Some("build") => kinds == Kinds::Built,
                Some(_) => false,
            })
        };
        let target = |edge: &Edge| by_id.get(edge.pkg.as_str()).copied();
        edges.filter(of_kind).filter_map(target).collect()
    }

    /// The package itself and all it reaches by dependencies of these kinds.
    pub fn closure<'a>(&'a self, package: &'a Package, kinds: Kinds) -> Vec<&'a Package> {
        let mut found = vec![package];
        let mut seen = BTreeSet::from([package.id.as_str()]);
        let mut at = 0;
        while let Some(package) = found.get(at).copied() {
            at += 1;
            for dependency in self.direct(package, kinds) {
                if seen.insert(&dependency.id) {
                    found.push(dependency);
                }
            }
        }
        found
    }
}

/// Which dependencies: those of tests never count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kinds {
    /// What is linked.
    Linked,
    /// That, and what build scripts are made of.
    Built,
}

/// `${AEGIS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/aegis}`
pub fn cache() -> Result<PathBuf, Failure> {
    let folder = |name: &str| env::var_os(name).filter(|value| !value.is_empty());
    let base = folder("AEGIS_CACHE").map(PathBuf::from);
    let base = base.or_else(|| Some(Path::new(&folder("XDG_CACHE_HOME")?).join("aegis")));
    let base = base.or_else(|| Some(Path::new(&folder("HOME")?).join(".cache/aegis")));
    base.ok_or_else(|| {
        Failure::Environment("no folder for the cache: set AEGIS_CACHE or HOME".into())
    })
}

/// The cached target folder for these dependencies and this compiler; of the older ones, the two
/// used last are kept.
fn cached_target(root: &Path) -> Result<PathBuf, Failure> {
    let lock = root.join("Cargo.lock");
    let lock = fs::read(&lock).map_err(|e| Failure::file(&lock, &e))?;
    let compiler = process::text(Command::new("rustc").arg("-vV").current_dir(root))?;
    let key = Sha256::new().chain_update(lock).chain_update(compiler).finalize();
    let folder = cache()?.join("target");
    let target = folder.join(hex::encode(&key[..8]));
    fs::create_dir_all(&target).map_err(|e| Failure::file(&target, &e))?;
    let stamp = target.join("used");
    fs::write(&stamp, "").map_err(|e| Failure::file(&stamp, &e))?;
    forget_old(&folder, 3)?;
    Ok(target)
}

fn forget_old(folder: &Path, keep: usize) -> Result<(), Failure> {
    let entries = fs::read_dir(folder).map_err(|e| Failure::file(folder, &e))?;
    let used = |path: PathBuf| Some((path.join("used").metadata().ok()?.modified().ok()?, path));
    let mut targets: Vec<_> = entries.flatten().filter_map(|e| used(e.path())).collect();
    targets.sort();
    for (_, old) in targets.iter().rev().skip(keep) {
        println!("removing the old build folder {}", old.display());
        fs::remove_dir_all(old).map_err(|e| Failure::file(old, &e))?;
    }
    Ok(())
}

fn cargo_path() -> std::ffi::OsString {
    env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}
