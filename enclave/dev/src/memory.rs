//! What memory an emulated machine has left and what its program holds, told to whoever looks whether an
//! enclave grows: two files of the kernel, for one byte on a port that only development images have.
//!
//! A confined program opens no file. So the files are opened before, each to be read once, and a
//! machine answers so many questions and no more.

use std::fs::File;
use std::io::{self, Read};

use nix::mount::{MsFlags, mount};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_vsock::{VMADDR_CID_ANY, VsockAddr, VsockListener};

/// Where the question is put.
const PORT: u32 = 5999;
/// How often it is answered.
const ANSWERS: usize = 64;
/// What the machine has, and what the program holds.
const FILES: [&str; 2] = ["/proc/meminfo", "/proc/self/status"];

/// The port, and the files of every answer.
pub(crate) struct Memory {
    port: VsockListener,
    answers: Vec<[File; 2]>,
}

impl Memory {
    /// Opens everything; to be called before system calls are given up.
    pub(crate) fn open() -> io::Result<Self> {
        mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
        let answer = |_| {
            let [machine, program] = FILES.map(File::open);
            Ok([machine?, program?])
        };
        let answers = (0..ANSWERS).map(answer).collect::<io::Result<_>>()?;
        let port = VsockListener::bind(VsockAddr::new(VMADDR_CID_ANY, PORT))?;
        Ok(Self { port, answers })
    }

    /// Answers until the files are used up.
    pub(crate) async fn tell(mut self) {
        while let Some(files) = self.answers.pop() {
            let Ok((mut leg, _)) = self.port.accept().await else { continue };
            // A question is one byte; whoever has asked nothing may still be about to.
            let Ok(_) = leg.read_u8().await else { continue };
            let mut text = Vec::new();
            files.into_iter().for_each(|file| read(file, &mut text));
            // Whoever asked may be gone.
            let _ = leg.write_all(&text).await;
        }
    }
}

/// Reads and nothing else: `read_to_end` would first ask the file for its length.
fn read(mut file: File, text: &mut Vec<u8>) {
    let mut part = [0; 4096];
    while let Ok(count @ 1..) = file.read(&mut part) {
        text.extend_from_slice(&part[..count]);
    }
}
