//! Enclaves that are machines: images with the shipped programs on QEMU's `nitro-enclave` machine.
//!
//! [`Programs`] builds what the images hold, once for each run, from a copy of the source at a fixed
//! place in the cache: the place shows in the flags of a build, and dependencies compiled there
//! serve the next run, wherever its checkout is. [`Image`] lays one out, [`Image::boot`] starts it.

use std::collections::BTreeMap;
use std::collections::BTreeSet;
use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;

use aegis_eif::boot;
use aegis_eif::boot::Options;
use aegis_eif::boot::Parent;
use aegis_eif::boot::Tools;
use aegis_eif::cache::Cache;
use aegis_eif::make;
use aegis_eif::make::Made;
use aegis_eif::make::Recipe;
use aegis_eif::recipe::Context;
use aegis_eif::recipe::enclave;
use aegis_eif::recipe::enclave::Program;
use aegis_eif::recipe::kernel::Variant;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::Pcr;

/// The table of the production rows, in the source.
pub const TABLE: &str = "enclave/providers.table";
/// One byte of it: the first provider's name ends in another letter.
const BYTE: [&str; 2] = ["authority api.openai.com\n", "authority api.openai.con\n"];

/// The two programs that may be `/init`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Init {
    /// `aegis-enclave`
    Production,
    /// `aegis-enclave-dev`
    Development,
}

/// The programs of one source tree, built as for a release.
#[derive(Debug)]
pub struct Programs {
    context: Context,
    tools: Tools,
    tree: PathBuf,
    /// As the source is, and with one other byte in the table.
    built: [BTreeMap<&'static str, PathBuf>; 2],
    _lock: File,
}

impl Init {
    const ALL: [Self; 2] = [Self::Production, Self::Development];

    fn program(self) -> Program {
        match self {
            Self::Production => Program::enclave(),
            Self::Development => Program::development_enclave(),
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Production => "production",
            Self::Development => "development",
        }
    }
}

impl Programs {
    /// Builds both programs, and both again with one byte of the provider table changed. Nobody else
    /// builds there while this value lives.
    pub fn build() -> io::Result<Self> {
        let cache = Cache::of_environment().map_err(io::Error::other)?;
        let folder = cache.root().join("boot");
        let tree = folder.join("tree");
        fs::create_dir_all(&tree)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let context = Context { cache, any_toolchain: false };
        let tools = Tools::get(&context).map_err(io::Error::other)?;
        copy_source(&tree)?;
        let mut built = [BTreeMap::new(), BTreeMap::new()];
        for (programs, name) in built.iter_mut().zip(["as-it-is", "changed"]) {
            if name == "changed" {
                change_a_byte(&tree)?;
            }
            for init in Init::ALL {
                let path = enclave::in_place(&context, &tree, &init.program());
                let kept = folder.join(format!("{}-{name}", init.name()));
                fs::copy(path.map_err(io::Error::other)?, &kept)?;
                programs.insert(init.name(), kept);
            }
        }
        Ok(Self { context, tools, tree, built, _lock: lock })
    }

    /// With what they were built.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// An image with one of them, and `files` beside it.
    pub fn image(
        &self,
        init: Init,
        changed: bool,
        files: &[(&str, &Path)],
    ) -> io::Result<Image<'_>> {
        let [as_it_is, with_other_table] = &self.built;
        let programs = if changed { with_other_table } else { as_it_is };
        let recipe = Recipe {
            source: self.tree.clone(),
            program: init.program(),
            variant: Variant::Production,
            kernel: None,
            init: programs.get(init.name()).cloned(),
            files: files
                .iter()
                .map(|(name, path)| (name.to_string(), path.to_path_buf()))
                .collect(),
            command_line: None,
            provider_table: None,
            number: None,
        };
        let made = make::once(&self.context, &recipe).map_err(io::Error::other)?;
        Ok(Image { tools: &self.tools, made })
    }

    /// The mock's rows, which follow them in the development table.
    pub fn mock_rows(&self) -> io::Result<String> {
        fs::read_to_string(source().join("enclave/dev/mock.table"))
    }

    /// The production table as it is in the source, or with that one byte changed: what a host has
    /// that runs such an image.
    pub fn table(&self, changed: bool) -> io::Result<String> {
        let text = fs::read_to_string(source().join(TABLE))?;
        Ok(if changed { text.replacen(BYTE[0], BYTE[1], 1) } else { text })
    }
}

/// An image and its measurements.
#[derive(Debug)]
pub struct Image<'a> {
    tools: &'a Tools,
    made: Made,
}

impl Image<'_> {
    /// PCR0, 1 and 2 as computed from its bytes.
    pub fn measurement(&self) -> ImageMeasurement {
        let release = &self.made.release;
        let [pcr0, pcr1, pcr2] = [&release.pcr0, &release.pcr1, &release.pcr2]
            .map(|hex| Pcr::from_hex(hex).expect("a manifest's PCRs are 96 hexadecimal digits"));
        ImageMeasurement { pcr0, pcr1, pcr2 }
    }

    /// Starts a machine with it; comes back with its heartbeat.
    pub fn boot(&self, parent: Parent) -> io::Result<boot::Enclave> {
        let file = tempfile::NamedTempFile::new()?;
        fs::write(file.path(), &self.made.bytes)?;
        boot::Enclave::start(self.tools, file.path(), parent, &Options::default())
            .map_err(io::Error::other)
    }
}

/// The workspace that this was compiled in.
fn source() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here)
}

/// Makes `tree` equal to the source as git sees it. Files whose content is right keep their time, so
/// that only what changed is compiled.
fn copy_source(tree: &Path) -> io::Result<()> {
    let mut git = Command::new("git");
    git.current_dir(source());
    git.args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"]);
    let listing = git.output()?;
    if !listing.status.success() {
        return Err(io::Error::other("git cannot list the source's files"));
    }
    let listing = String::from_utf8_lossy(&listing.stdout);
    let names = listing.split('\0').filter(|name| source().join(name).is_file());
    let names: BTreeSet<_> = names.map(PathBuf::from).collect();
    remove_others(tree, tree, &names)?;
    for name in &names {
        let to = tree.join(name);
        let wanted = fs::read(source().join(name))?;
        if fs::read(&to).is_ok_and(|present| present == wanted) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(tree))?;
        fs::write(&to, wanted)?;
    }
    Ok(())
}

/// What is not in the source must not be built.
fn remove_others(tree: &Path, folder: &Path, names: &BTreeSet<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() && !path.is_symlink() {
            remove_others(tree, &path, names)?;
        } else if !path.strip_prefix(tree).is_ok_and(|name| names.contains(name)) {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

fn change_a_byte(tree: &Path) -> io::Result<()> {
    let path = tree.join(TABLE);
    let text = fs::read_to_string(&path)?;
    let changed = text.replacen(BYTE[0], BYTE[1], 1);
    if changed == text {
        return Err(io::Error::other(format!("{TABLE} has no line {:?}", BYTE[0])));
    }
    fs::write(path, changed)
}
