//! What can go wrong, each with the thing, the reason and the next step; and the exit code it
//! means.

use std::path::Path;
use std::path::PathBuf;

use crate::cpio::CpioError;
use crate::eif::EifError;

/// Any failure of this crate.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file is not an image.
    #[error("{path}: {source}", path = path.display())]
    Eif {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: EifError,
    },
    /// A ramdisk cannot be written or read.
    #[error("ramdisk: {0}")]
    Cpio(#[from] CpioError),
    /// A file could not be read, written, moved or removed.
    #[error("cannot {verb} {path}: {source}", path = path.display())]
    File {
        /// What was tried.
        verb: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A pin or manifest does not parse.
    #[error("{path}: {reason}", path = path.display())]
    Configuration {
        /// The file.
        path: PathBuf,
        /// What is wrong with it and what to do.
        reason: String,
    },
    /// The final kernel configuration is not what the fragments ask for.
    #[error("the kernel's final .config differs from the fragments: {}", differences.join("; "))]
    KernelConfig {
        /// One entry for each option.
        differences: Vec<String>,
    },
    /// A pinned source can be had no more.
    #[error("{thing} cannot be had: {reason}; {next_step}")]
    Unavailable {
        /// The pinned thing.
        thing: String,
        /// What was looked at.
        reason: String,
        /// What to do.
        next_step: String,
    },
    /// Something that this crate pins is there in another version.
    #[error("{thing} is {found}, the recipe pins {expected}; {next_step}")]
    Pin {
        /// The pinned thing.
        thing: String,
        /// The recipe's version or digest.
        expected: String,
        /// What is there.
        found: String,
        /// What to do.
        next_step: String,
    },
    /// A compiler of another version than the pinned one.
    #[error(
        "{package} is {found}, the image is built with {expected}: another version gives another \
         measurement; install that version, or say --any-toolchain"
    )]
    Toolchain {
        /// The Debian package.
        package: String,
        /// The pinned version.
        expected: String,
        /// The installed version.
        found: String,
    },
    /// A program could not be started.
    #[error("cannot run {program}: {source}; install it or put it on PATH")]
    Spawn {
        /// The program.
        program: String,
        /// The system's reason.
        source: std::io::Error,
    },
    /// A program ended with an error.
    #[error("{program} failed ({status}): {tail}")]
    Command {
        /// The command line.
        program: String,
        /// How it ended.
        status: String,
        /// The last lines it wrote.
        tail: String,
    },
    /// Two builds differ.
    #[error("not reproducible: {0}")]
    Differs(String),
    /// An image that may not become a release.
    #[error("not fit for release: {0}")]
    Unfit(String),
    /// The emulated machine did not do what it was to do.
    #[error("boot: {0}")]
    Boot(String),
}

impl Error {
    /// A failure of `verb` on `path`, for `map_err`.
    pub fn file(verb: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_path_buf();
        move |source| Self::File { verb, path, source }
    }

    /// The exit code of a program that ends with this error: 1 refused by a check, 2 usage or
    /// configuration, 3 environment.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Eif { .. } | Self::Cpio(_) | Self::Differs(_) | Self::Pin { .. } => 1,
            Self::KernelConfig { .. } | Self::Boot(_) | Self::Unfit(_) => 1,
            Self::Configuration { .. } => 2,
            Self::File { .. } | Self::Spawn { .. } | Self::Command { .. } => 3,
            Self::Toolchain { .. } | Self::Unavailable { .. } => 3,
        }
    }
}
