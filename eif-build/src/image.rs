//! Aegis' own layout of an image: which files stand in which ramdisk, and the metadata.
//!
//! Ramdisk 0 is the platform: mount points and three device nodes. Ramdisk 1 is the program: `/init`
//! and the files it reads. So PCR1 changes with the platform and PCR2 with the program, and nothing
//! else is there: no shell, no libc, no package manager.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::cpio;
use crate::cpio::CpioError;
use crate::cpio::Node;
use crate::cpio::Tree;
use crate::eif::Eif;

/// Minor number of `/dev/nsm` (its major is that of all miscellaneous devices, 10).
pub const NSM_MINOR: u32 = 256;

/// What an image is made of.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The bzImage.
    pub kernel: Vec<u8>,
    /// Its release, as in `6.12.1`; goes into the metadata only.
    pub kernel_version: String,
    /// The kernel's command line.
    pub command_line: String,
    /// The static program that runs as PID 1.
    pub init: Vec<u8>,
    /// Further files beside `/init`, by plain name.
    pub program_files: BTreeMap<String, Vec<u8>>,
    /// The image's name in the metadata.
    pub name: String,
    /// The image's version in the metadata.
    pub version: String,
}

/// Lays the parts out as an image.
///
/// # Errors
/// When a program file has a path instead of a plain name.
pub fn assemble(parts: Parts) -> Result<Eif, CpioError> {
    let metadata = metadata(&parts);
    let ramdisks =
        vec![cpio::write(&platform())?, cpio::write(&program(parts.init, parts.program_files))?];
    Ok(Eif { kernel: parts.kernel, command_line: parts.command_line, metadata, ramdisks })
}

/// Mount points, and the devices that are there before `/init` has mounted anything, so that it need
/// not. The kernel opens the console for PID 1, and where there is none Rust's runtime opens
/// `/dev/null` three times or aborts. The security module's driver takes the first minor number that
/// the kernel gives away; `aegis-eif boot-test` compares it with `/proc/misc`.
fn platform() -> Tree {
    let mut tree: Tree = ["dev", "proc", "sys", "tmp"]
        .into_iter()
        .map(|path| (path.to_owned(), Node::Folder))
        .collect();
    for (name, major, minor) in [("console", 5, 1), ("null", 1, 3), ("nsm", 10, NSM_MINOR)] {
        let node = Node::CharacterDevice { major, minor };
        tree.insert(format!("dev/{name}"), node);
    }
    tree
}

fn program(init: Vec<u8>, files: BTreeMap<String, Vec<u8>>) -> Tree {
    let mut tree: Tree = files
        .into_iter()
        .map(|(path, data)| (path, Node::File { data, executable: false }))
        .collect();
    tree.insert("init".to_owned(), Node::File { data: init, executable: true });
    tree
}

/// The fields that AWS's tools write and `nitro-cli describe-eif` shows, all of them fixed by the
/// parts.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Metadata<'a> {
    image_name: &'a str,
    image_version: &'a str,
    build_metadata: BuildMetadata<'a>,
    docker_info: BTreeMap<&'a str, &'a str>,
    custom_metadata: BTreeMap<&'a str, &'a str>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct BuildMetadata<'a> {
    build_time: &'a str,
    build_tool: &'a str,
    build_tool_version: &'a str,
    operating_system: &'a str,
    kernel_version: &'a str,
}

fn metadata(parts: &Parts) -> Vec<u8> {
    let metadata = Metadata {
        image_name: &parts.name,
        image_version: &parts.version,
        build_metadata: BuildMetadata {
            // A build has no time of its own: two builds of one source are one image.
            build_time: "1970-01-01T00:00:00+00:00",
            build_tool: "aegis-eif",
            build_tool_version: env!("CARGO_PKG_VERSION"),
            operating_system: "Linux",
            kernel_version: &parts.kernel_version,
        },
        docker_info: BTreeMap::new(),
        custom_metadata: BTreeMap::new(),
    };
    // Strings and maps with string keys always serialise.
    serde_json::to_vec(&metadata).expect("metadata is plain strings")
}
