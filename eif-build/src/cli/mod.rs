//! The command line: what each subcommand is for, with its options, and which function does it.

mod boot;
mod boot_test;
mod confinement;
mod image;
mod look;
mod parts;
mod soak;

use std::path::PathBuf;

use aegis_eif::Error;
use aegis_eif::cache::Cache;
use aegis_eif::recipe::Context;
use aegis_eif::recipe::kernel::Variant;
use clap::Args;
use clap::Parser;
use clap::Subcommand;

/// Builds the enclave image from source, measures and compares images, boots them.
///
/// A measurement (PCR0-2) says what an enclave runs. It is worth something
/// because anybody can build the same source to the same bytes:
///
///   aegis-eif image              build twice in two folders, require equal bytes
///   aegis-eif check DIR          does the image in DIR come from this source?
///   aegis-eif diff A.eif B.eif   if not: which section, file and offset
///
/// Built parts are kept in ${AEGIS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/aegis}.
/// The first build takes about ten minutes; it installs the Debian packages
/// that it needs and says so.
///
/// Exit codes: 0 done, 1 refused by a check, 2 usage or configuration,
/// 3 environment (network, file, missing tool).
#[derive(Parser)]
#[command(name = "aegis-eif", version, verbatim_doc_comment)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Build with whatever compilers are installed. The measurement will be another than the
    /// release's.
    #[arg(long, global = true)]
    any_toolchain: bool,
}

#[derive(Subcommand)]
enum Command {
    /// Everything in one go: build, build again elsewhere, require equal bytes, scan, write the
    /// release.
    ///
    /// The last line is `image reproducible: yes, PCR0 HEX`.
    Image {
        #[command(flatten)]
        recipe: RecipeArguments,
        /// Folder for aegis.eif and release.json.
        #[arg(long, default_value = "target/image")]
        out: PathBuf,
        /// Build the kernel once more even if this recipe has come out of two folders alike before.
        #[arg(long)]
        fresh_kernel: bool,
        /// Boot it on the emulated machine too, and say how long it takes to its heartbeat.
        #[arg(long)]
        boot: bool,
    },
    /// Builds an image once, from source or from parts given as files.
    Build {
        #[command(flatten)]
        recipe: RecipeArguments,
        /// Folder for aegis.eif and release.json.
        #[arg(long, default_value = "target/image")]
        out: PathBuf,
    },
    /// Builds a release twice and writes its five files: image, manifest, measurements, bill of
    /// materials, checksums.
    ///
    /// The source must be exactly a commit. The last line is `image reproducible: yes, PCR0 HEX`.
    Release {
        #[command(flatten)]
        recipe: RecipeArguments,
        /// Folder for the files [default: target/release-NUMBER].
        #[arg(long)]
        out: Option<PathBuf>,
        /// Build the kernel once more even if this recipe has come out of two folders alike before.
        #[arg(long)]
        fresh_kernel: bool,
    },
    /// Builds again in another folder and compares with a release, byte by byte.
    Check {
        /// Folder of a release, or with aegis.eif and release.json only.
        folder: PathBuf,
        #[command(flatten)]
        recipe: RecipeArguments,
        /// Build the kernel once more even if this recipe has come out of two folders alike before.
        #[arg(long)]
        fresh_kernel: bool,
    },
    /// Prints the measurements of an image, or refuses a file that is none.
    Pcrs {
        /// The image.
        image: PathBuf,
        /// As a JSON object with pcr0, pcr1 and pcr2.
        #[arg(long)]
        json: bool,
    },
    /// Says what differs between two images: section, file in the ramdisk, offset. Exit code 1 if
    /// anything.
    Diff {
        /// The first image.
        left: PathBuf,
        /// The second image.
        right: PathBuf,
    },
    /// Builds the kernel, or prints a newer pin for its source.
    Kernel {
        /// With or without console.
        #[arg(long, value_enum, default_value_t = Variant::Production)]
        variant: Variant,
        /// Build it in two folders and require equal bytes.
        #[arg(long)]
        twice: bool,
        /// Print lines for eif-build/kernel/pin.toml that pin the newest package instead.
        #[arg(long, conflicts_with = "twice")]
        repin: bool,
    },
    /// Builds the static program alone and prints its path.
    Program {
        #[command(flatten)]
        program: ProgramArguments,
    },
    /// Gets everything that booting takes on this machine: Debian packages, the kernel, QEMU with the
    /// nitro-enclave machine, vhost-device-vsock; prints the paths of the last two.
    Tools,
    /// Boots an image under QEMU and waits for its heartbeat.
    ///
    /// Prints the vsock socket and keeps the machine until it ends or this program is ended.
    Boot {
        /// The image.
        image: PathBuf,
        /// Show the serial line at the end (the debug variant writes to it).
        #[arg(long)]
        console: bool,
        /// Memory of the machine in MiB.
        #[arg(long, default_value_t = 512)]
        memory_mib: u32,
        /// Virtual CPUs of the machine.
        #[arg(long, default_value_t = 2)]
        cpus: u32,
    },
    /// Boots an image with the probe program and compares the machine's own PCRs with the computed
    /// ones.
    BootTest {
        #[command(flatten)]
        source: SourceArgument,
        /// How many vsock connections must leave no memory behind.
        #[arg(long, default_value_t = 4000)]
        connections: u32,
    },
    /// Requires AWS's image library to write the same bytes and PCRs as this program.
    Oracle {
        #[command(flatten)]
        source: SourceArgument,
        /// Also take this image apart and let the library put it together again.
        #[arg(long)]
        image: Option<PathBuf>,
    },
}

/// The workspace.
#[derive(Args)]
struct SourceArgument {
    /// Folder of the workspace.
    #[arg(long, default_value = ".")]
    source: PathBuf,
}

/// Which program.
#[derive(Args)]
struct ProgramArguments {
    #[command(flatten)]
    source: SourceArgument,
    /// Which program becomes /init.
    #[arg(long, value_enum, default_value_t = ProgramName::Enclave)]
    program: ProgramName,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum ProgramName {
    /// aegis-enclave, for production.
    Enclave,
    /// aegis-enclave-dev, with the development attester, for QEMU.
    Development,
    /// The boot test's.
    Probe,
}

/// What an image is built from.
#[derive(Args)]
struct RecipeArguments {
    #[command(flatten)]
    program: ProgramArguments,
    /// With or without console.
    #[arg(long, value_enum, default_value_t = Variant::Production)]
    variant: Variant,
    /// A bzImage, instead of building the pinned kernel.
    #[arg(long, requires = "kernel_config")]
    kernel: Option<PathBuf>,
    /// The configuration of that bzImage.
    #[arg(long, requires = "kernel")]
    kernel_config: Option<PathBuf>,
    /// The kernel's command line, instead of the one in eif-build/kernel/pin.toml.
    #[arg(long)]
    command_line: Option<String>,
    /// A static program, instead of building one.
    #[arg(long)]
    init: Option<PathBuf>,
    /// The provider table in the program [default: enclave/providers.table in the source].
    #[arg(long)]
    table: Option<PathBuf>,
    /// Folder with the development root (`aegis-enclave-dev root --state DIR`), for --program
    /// development only.
    #[arg(long, value_name = "DIR")]
    development_root: Option<PathBuf>,
    /// The mock provider's root certificate, for --program development only.
    #[arg(long, value_name = "PEM")]
    mock_root: Option<PathBuf>,
    /// Number of the release.
    #[arg(long)]
    number: Option<u32>,
}

/// Does what the arguments say.
pub(crate) fn run(arguments: Arguments) -> Result<(), Error> {
    let context = || -> Result<Context, Error> {
        Ok(Context { cache: Cache::of_environment()?, any_toolchain: arguments.any_toolchain })
    };
    match arguments.command {
        Command::Image { recipe, out, fresh_kernel, boot } => {
            image::twice(&context()?, recipe, &out, fresh_kernel, boot)
        }
        Command::Build { recipe, out } => image::once(&context()?, recipe, &out),
        Command::Release { recipe, out, fresh_kernel } => {
            image::release(&context()?, recipe, out, fresh_kernel)
        }
        Command::Check { folder, recipe, fresh_kernel } => {
            image::check(&context()?, recipe, &folder, fresh_kernel)
        }
        Command::Pcrs { image, json } => look::pcrs(&image, json),
        Command::Diff { left, right } => look::diff(&left, &right),
        Command::Kernel { repin: true, .. } => parts::repin(&context()?),
        Command::Kernel { variant, twice, .. } => parts::kernel(&context()?, variant, twice),
        Command::Program { program } => parts::program(&context()?, &program),
        Command::Tools => parts::tools(&context()?),
        Command::Boot { image, console, memory_mib, cpus } => {
            boot::boot(&context()?, &image, console, memory_mib, cpus)
        }
        Command::BootTest { source, connections } => {
            boot_test::run(&context()?, &source.source, connections)
        }
        Command::Oracle { source, image } => {
            parts::oracle(&context()?, &source.source, image.as_deref())
        }
    }
}
