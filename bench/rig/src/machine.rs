//! Enclaves that are machines: images with the shipped programs on QEMU's `nitro-enclave` machine.
//!
//! [`Programs`] builds what the images hold, unless it has them of this very source, from a copy of it at
//! a fixed place in the cache: the place shows in the flags of a build, and dependencies compiled there
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
use aegis_eif::sbom::Bill;
use aegis_verifier::ImageMeasurement;
use aegis_verifier::Pcr;
use sha2::Digest as _;
use sha2::Sha256;

/// The table of the production rows, in the source.
pub const TABLE: &str = "enclave/providers.table";
/// One byte of it: the first provider's name ends in another letter.
const BYTE: [&str; 2] = ["authority api.openai.com\n", "authority api.openai.con\n"];

/// What decides the bytes of the programs: their source, and how they are built.
const MADE_OF: [&str; 6] =
    [".cargo/", "Cargo.lock", "Cargo.toml", "eif-build/", "enclave/", "rust-toolchain.toml"];

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
    /// Where they are.
    built: PathBuf,
    _lock: File,
}

impl Init {
    fn program(self) -> Program {
        match self {
            Self::Production => Program::enclave(),
            Self::Development => Program::development_enclave(),
        }
    }

    /// The file's name; one with another byte in its table is another file.
    fn file(self, changed: bool) -> &'static str {
        match (self, changed) {
            (Self::Production, false) => "production",
            (Self::Development, false) => "development",
            (Self::Production, true) => "production-changed",
            (Self::Development, true) => "development-changed",
        }
    }
}

impl Programs {
    /// Has both programs, and the development one also with one byte of the provider table changed.
    /// Nobody else builds there while this value lives.
    pub fn build() -> io::Result<Self> {
        let cache = Cache::of_environment().map_err(io::Error::other)?;
        let folder = cache.root().join("boot");
        let (tree, built) = (folder.join("tree"), folder.join("programs"));
        fs::create_dir_all(&tree)?;
        fs::create_dir_all(&built)?;
        let lock = File::create(folder.join("lock"))?;
        lock.lock()?;
        let context = Context { cache, any_toolchain: false };
        let tools = Tools::get(&context).map_err(io::Error::other)?;
        let source = copy_source(&tree)?;
        let programs = Self { context, tools, tree, built, _lock: lock };
        programs.make(&source)?;
        Ok(programs)
    }

    /// Builds them from the tree, whose digest is `source`, if what is there is from another one.
    fn make(&self, source: &str) -> io::Result<()> {
        let made_of = self.built.join("made-of");
        if fs::read_to_string(&made_of).is_ok_and(|made_of| made_of == source) {
            return Ok(());
        }
        match fs::remove_file(&made_of) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let build = |init: Init, changed: bool| {
            let path = enclave::in_place(&self.context, &self.tree, &init.program());
            fs::copy(path.map_err(io::Error::other)?, self.built.join(init.file(changed)))
        };
        let table = self.tree.join(TABLE);
        let as_it_is = fs::read_to_string(&table)?;
        fs::write(&table, with_another_byte(&as_it_is)?)?;
        let changed = build(Init::Development, true);
        // The tree is the source again, whatever became of it.
        fs::write(&table, as_it_is)?;
        changed?;
        build(Init::Production, false)?;
        build(Init::Development, false)?;
        fs::write(made_of, source)
    }

    /// With what they were built.
    pub fn context(&self) -> &Context {
        &self.context
    }

    /// An image with one of them, and `files` beside it. Of the production program there is none with
    /// another table.
    pub fn image(
        &self,
        init: Init,
        changed: bool,
        files: &[(&str, &Path)],
    ) -> io::Result<Image<'_>> {
        let files = files.iter().map(|(name, path)| (name.to_string(), path.to_path_buf()));
        let program = Some(self.built.join(init.file(changed)));
        let recipe = Recipe { files: files.collect(), ..self.recipe(init, program) };
        let made = make::once(&self.context, &recipe).map_err(io::Error::other)?;
        Ok(Image { tools: &self.tools, made })
    }

    /// The bill of materials of the production image, as a release has it.
    pub fn bill(&self) -> io::Result<Vec<u8>> {
        let recipe = self.recipe(Init::Production, None);
        let bill = make::once(&self.context, &recipe).and_then(|made| {
            Bill::of(&self.tree, &recipe.program, &made.release, &make::program(&made)?)
        });
        Ok(bill.map_err(io::Error::other)?.to_bytes())
    }

    /// With this program, or with the one that the tree makes.
    fn recipe(&self, init: Init, program: Option<PathBuf>) -> Recipe {
        Recipe {
            source: self.tree.clone(),
            program: init.program(),
            variant: Variant::Production,
            kernel: None,
            init: program,
            files: BTreeMap::new(),
            command_line: None,
            provider_table: None,
            number: None,
        }
    }

    /// The mock's rows, which follow them in the development table.
    pub fn mock_rows(&self) -> io::Result<String> {
        fs::read_to_string(source().join("enclave/dev/mock.table"))
    }

    /// The production table as it is in the source, or with that one byte changed: what a host has
    /// that runs such an image.
    pub fn table(&self, changed: bool) -> io::Result<String> {
        let text = fs::read_to_string(source().join(TABLE))?;
        if changed { with_another_byte(&text) } else { Ok(text) }
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

/// Makes `tree` equal to the source as git sees it, and gives the digest of what programs are made of.
/// Files whose content is right keep their time, so that only what changed is compiled.
fn copy_source(tree: &Path) -> io::Result<String> {
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
    let mut made_of = Sha256::new();
    for name in &names {
        let to = tree.join(name);
        let wanted = fs::read(source().join(name))?;
        if MADE_OF.iter().any(|part| name.to_string_lossy().starts_with(part)) {
            made_of.update(format!("{} {}\n", name.display(), wanted.len()));
            made_of.update(&wanted);
        }
        if fs::read(&to).is_ok_and(|present| present == wanted) {
            continue;
        }
        fs::create_dir_all(to.parent().unwrap_or(tree))?;
        fs::write(&to, wanted)?;
    }
    Ok(hex::encode(made_of.finalize()))
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

fn with_another_byte(table: &str) -> io::Result<String> {
    let changed = table.replacen(BYTE[0], BYTE[1], 1);
    if changed == table {
        return Err(io::Error::other(format!("{TABLE} has no line {:?}", BYTE[0])));
    }
    Ok(changed)
}
