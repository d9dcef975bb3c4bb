//! From source to an image and its manifest, with parts built by their recipes or handed in as
//! files.

use std::collections::BTreeMap;
use std::path::Path;
use std::path::PathBuf;

use crate::Error;
use crate::cache::sha256_hex;
use crate::cpio;
use crate::cpio::Node;
use crate::diff;
use crate::eif::Eif;
use crate::elf;
use crate::image;
use crate::image::Parts;
use crate::recipe::Context;
use crate::recipe::command;
use crate::recipe::enclave;
use crate::recipe::enclave::Program;
use crate::recipe::kernel;
use crate::recipe::kernel::Pin;
use crate::recipe::kernel::Variant;
use crate::recipe::read;
use crate::recipe::toolchain;
use crate::release::KernelSource;
use crate::release::MadeOf;
use crate::release::Origin;
use crate::release::ProgramSource;
use crate::release::Release;

/// What to build an image from.
#[derive(Clone, Debug)]
pub struct Recipe {
    /// The workspace.
    pub source: PathBuf,
    /// The program that becomes `/init`.
    pub program: Program,
    /// With or without console.
    pub variant: Variant,
    /// A kernel and its configuration as files, instead of the kernel recipe.
    pub kernel: Option<(PathBuf, PathBuf)>,
    /// A program as a file, instead of the program recipe.
    pub init: Option<PathBuf>,
    /// Files beside the program, by plain name: what a development image is told.
    pub files: BTreeMap<String, PathBuf>,
    /// Instead of the pinned command line.
    pub command_line: Option<String>,
    /// The provider table within the program, for its digest in the manifest.
    pub provider_table: Option<PathBuf>,
    /// The release's number.
    pub number: Option<u32>,
}

/// A built image.
#[derive(Clone, Debug)]
pub struct Made {
    /// The content.
    pub image: Eif,
    /// The file.
    pub bytes: Vec<u8>,
    /// The manifest.
    pub release: Release,
}

/// Builds what `recipe` names, in its own folder; kernel and dependencies come from the cache.
///
/// # Errors
/// When a part cannot be built or read, or the program could not run as `/init`.
pub fn once(context: &Context, recipe: &Recipe) -> Result<Made, Error> {
    let program = match &recipe.init {
        Some(path) => path.clone(),
        None => enclave::in_place(context, &recipe.source, &recipe.program)?,
    };
    assemble(context, recipe, &program, kernel::once)
}

/// Builds everything again, source copied and output empty, in a folder of another name; the kernel
/// must have come out of two folders alike too (`fresh_kernel` builds it once more).
///
/// # Errors
/// As [`once`].
pub fn again_elsewhere(
    context: &Context,
    recipe: &Recipe,
    fresh_kernel: bool,
) -> Result<Made, Error> {
    let work = context.cache.work_folder("built-again-in-another-folder-")?;
    let program = match &recipe.init {
        Some(path) => path.clone(),
        None => enclave::elsewhere(context, &recipe.source, &recipe.program, work.path())?,
    };
    assemble(context, recipe, &program, |context, variant| {
        kernel::twice(context, variant, fresh_kernel)
    })
}

/// The program of an image, from its ramdisk.
///
/// # Errors
/// When the ramdisk does not read, or has no program.
pub fn program(made: &Made) -> Result<Vec<u8>, Error> {
    let ramdisk = made.image.ramdisks.last().map_or(&[][..], Vec::as_slice);
    match cpio::read(ramdisk)?.remove("init") {
        Some(Node::File { data, .. }) => Ok(data),
        _ => Err(Error::Unfit("the image has no /init".to_owned())),
    }
}

/// Refuses two builds that are not the same image and the same manifest.
///
/// # Errors
/// [`Error::Differs`] with every difference.
pub fn require_same(first: &Made, second: &Made) -> Result<(), Error> {
    let differences = diff::between(&first.image, &second.image);
    if !differences.is_empty() {
        let lines: Vec<String> = differences.iter().map(ToString::to_string).collect();
        return Err(Error::Differs(lines.join("\n")));
    }
    if first.bytes != second.bytes {
        return Err(Error::Differs("the image files differ though their content does not".into()));
    }
    if first.release != second.release {
        let texts = [&first.release, &second.release].map(|r| r.to_bytes());
        let texts = texts.map(|t| String::from_utf8_lossy(&t).into_owned());
        let pairs = texts[0].lines().zip(texts[1].lines()).find(|(l, r)| l != r);
        let (left, right) = pairs.unwrap_or(("fewer fields", "more fields"));
        return Err(Error::Differs(format!("release.json: {left} against {right}")));
    }
    Ok(())
}

fn assemble(
    context: &Context,
    recipe: &Recipe,
    program: &Path,
    build_kernel: impl FnOnce(&Context, Variant) -> Result<kernel::Kernel, Error>,
) -> Result<Made, Error> {
    let pin = Pin::compiled_in()?;
    let (kernel, config) = match &recipe.kernel {
        Some(files) => files.clone(),
        None => {
            let built = build_kernel(context, recipe.variant)?;
            (built.image, built.config)
        }
    };
    let init = read(program)?;
    elf::check_static_pie(&init).map_err(|e| Error::Configuration {
        path: program.to_path_buf(),
        reason: format!("cannot be /init: {e}"),
    })?;
    let pinned_line = pin.command_line(recipe.variant);
    let kernel_bytes = read(&kernel)?;
    let version = version(&recipe.source, &recipe.program)?;
    let files = recipe.files.iter().map(|(name, path)| Ok((name.clone(), read(path)?)));
    let files = files.collect::<Result<_, Error>>()?;
    let image = image::assemble(Parts {
        kernel_version: kernel_version(&kernel_bytes).unwrap_or_else(|| "unknown".to_owned()),
        kernel: kernel_bytes,
        command_line: recipe.command_line.clone().unwrap_or_else(|| pinned_line.to_owned()),
        init,
        program_files: files,
        name: recipe.program.name.clone(),
        version: version.clone(),
    })?;
    let bytes =
        image.to_bytes().map_err(|source| Error::Eif { path: "the new image".into(), source })?;
    let origin = origin(context, recipe, &pin, &read(&config)?, version)?;
    Ok(Made { release: Release::new(&image, &bytes, origin), image, bytes })
}

fn origin(
    context: &Context,
    recipe: &Recipe,
    pin: &Pin,
    config: &[u8],
    version: String,
) -> Result<Origin, Error> {
    let kernel = recipe.kernel.is_none().then(|| KernelSource {
        package: pin.source.package.clone(),
        version: pin.source.version.clone(),
        sha256: pin.source.sha256.clone(),
        recipe_sha256: kernel::recipe_sha256(recipe.variant),
    });
    let built = recipe.kernel.is_none() || recipe.init.is_none();
    Ok(Origin {
        number: recipe.number,
        version,
        commit: commit(&recipe.source)?,
        variant: recipe.variant.name().to_owned(),
        provider_table: recipe.provider_table.as_deref().map(read).transpose()?,
        made_of: MadeOf {
            kernel,
            kernel_config_sha256: sha256_hex(config),
            program: match recipe.init {
                Some(_) => None,
                None => Some(program_source(recipe)?),
            },
            packages: if built { toolchain::check(context)? } else { BTreeMap::new() },
        },
    })
}

fn program_source(recipe: &Recipe) -> Result<ProgramSource, Error> {
    Ok(ProgramSource {
        package: recipe.program.package.clone(),
        rustc: toolchain::rustc(&recipe.source)?,
        rustflags: enclave::recorded_flags(),
        profile: "release".to_owned(),
        lockfile_sha256: sha256_hex(&read(&recipe.source.join("Cargo.lock"))?),
    })
}

/// The version of the program's package as cargo sees it.
fn version(source: &Path, program: &Program) -> Result<String, Error> {
    let mut cargo = command::program("cargo");
    cargo.current_dir(source);
    cargo.args(["pkgid", "--quiet", "--package", &program.package]);
    let id = command::capture(&mut cargo)?;
    let version = id.trim().rsplit(['#', '@']).next().unwrap_or_default();
    Ok(version.to_owned())
}

/// The commit, if the folder is exactly one.
fn commit(source: &Path) -> Result<Option<String>, Error> {
    let git = |arguments: &[&str]| {
        let mut git = command::program("git");
        command::capture(git.arg("-C").arg(source).args(arguments))
    };
    // A source without version control, as from an archive, has no commit to name.
    let Ok(head) = git(&["rev-parse", "HEAD"]) else {
        return Ok(None);
    };
    let changes = git(&["status", "--porcelain"])?;
    Ok(changes.is_empty().then(|| head.trim().to_owned()))
}

/// The release that a bzImage names in its setup header (Linux `Documentation/arch/x86/boot.rst`).
fn kernel_version(kernel: &[u8]) -> Option<String> {
    if kernel.get(0x202..0x206)? != b"HdrS" {
        return None;
    }
    let offset = u16::from_le_bytes(kernel.get(0x20e..0x210)?.try_into().ok()?);
    let text = kernel.get(usize::from(offset) + 0x200..)?;
    let text = std::str::from_utf8(text.get(..text.iter().position(|b| *b == 0)?)?).ok()?;
    text.split_whitespace().next().map(str::to_owned)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn made(init: &[u8], commit: Option<&str>) -> Made {
        let image = image::assemble(Parts {
            kernel: b"kernel".to_vec(),
            kernel_version: "6.12.0".to_owned(),
            command_line: "reboot=k".to_owned(),
            init: init.to_vec(),
            program_files: BTreeMap::new(),
            name: "aegis".to_owned(),
            version: "1".to_owned(),
        });
        let image = image.unwrap();
        let bytes = image.to_bytes().unwrap();
        let origin = Origin {
            number: None,
            version: "1".to_owned(),
            commit: commit.map(str::to_owned),
            variant: "production".to_owned(),
            provider_table: None,
            made_of: MadeOf {
                kernel: None,
                kernel_config_sha256: sha256_hex(b""),
                program: None,
                packages: BTreeMap::new(),
            },
        };
        Made { release: Release::new(&image, &bytes, origin), image, bytes }
    }

    #[test]
    fn equal_builds_are_the_same() {
        require_same(&made(b"one", None), &made(b"one", None)).unwrap();
    }

    #[test]
    fn one_other_byte_in_the_program_is_not_the_same() {
        let error = require_same(&made(b"one", None), &made(b"onf", None)).unwrap_err();
        let text = error.to_string();
        assert!(text.starts_with("not reproducible: ramdisk 1: /init: first differs"), "{text}");
        assert_eq!(error.exit_code(), 1);
    }

    #[test]
    fn one_other_byte_in_the_file_is_not_the_same() {
        let mut other = made(b"one", None);
        other.bytes[9] ^= 1;
        let error = require_same(&made(b"one", None), &other).unwrap_err();
        assert!(error.to_string().contains("the image files differ"), "{error}");
    }

    #[test]
    fn a_manifest_of_another_commit_is_not_the_same() {
        let (one, other) = (made(b"one", Some("aa")), made(b"one", Some("bb")));
        let error = require_same(&one, &other).unwrap_err();
        let text = error.to_string();
        assert!(text.contains("release.json:   \"commit\": \"aa\", against"), "{text}");
    }

    #[test]
    fn the_kernel_names_its_release() {
        let mut kernel = vec![0; 0x300];
        kernel[0x202..0x206].copy_from_slice(b"HdrS");
        kernel[0x20e] = 0x40;
        kernel[0x240..0x250].copy_from_slice(b"6.12.1 (aegis@a)");
        assert_eq!(kernel_version(&kernel).unwrap(), "6.12.1");
        assert_eq!(kernel_version(b"no kernel"), None);
    }
}
