//! A program for the inside of an emulated enclave that answers questions about the machine it runs
//! on.
//!
//! It is PID 1 of the boot test's image, so that kernel, ramdisks, measurements and vsock are shown
//! to work on their own, whatever the enclave's program does. Each connection to port 5000 sends
//! one line, a question, and reads the answer until the end. It runs nowhere else: outside an
//! enclave, vsock leads to the hypervisor.

use std::fs;
use std::io;
use std::io::BufRead;
use std::io::BufReader;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::net::UdpSocket;
use std::process::Command;
use std::process::ExitCode;
use std::sync::OnceLock;

use aegis_enclave::boot;
use aws_nitro_enclaves_nsm_api::api::Request;
use aws_nitro_enclaves_nsm_api::api::Response;
use aws_nitro_enclaves_nsm_api::driver::nsm_init;
use aws_nitro_enclaves_nsm_api::driver::nsm_process_request;
use nix::mount::MsFlags;
use nix::mount::mount;
use nix::sys::reboot::RebootMode;
use nix::sys::reboot::reboot;
use rustix::rand::GetRandomFlags;
use vsock::VMADDR_CID_ANY;
use vsock::VsockListener;
use vsock::VsockStream;

const PARENT_CID: u32 = 3;
const HEARTBEAT_PORT: u32 = 9000;
const HEARTBEAT: u8 = 0xb7;
const QUESTION_PORT: u32 = 5000;
/// Largest single write; see PROTOCOL.md on vsock.
const CHUNK_BYTES: usize = 16 * 1024;

/// What the kernel's generator said to the first question of all, which does not wait.
static SEEDED: OnceLock<String> = OnceLock::new();

fn main() -> ExitCode {
    if std::process::id() != 1 {
        eprintln!("probe: runs as PID 1 of an emulated enclave only; see `aegis-eif boot --help`");
        return ExitCode::from(2);
    }
    if let Err(error) = serve() {
        // Reaches the console of the debug variant; production has none.
        println!("probe: {error}");
    }
    let _ = reboot(RebootMode::RB_AUTOBOOT);
    ExitCode::FAILURE
}

fn serve() -> io::Result<()> {
    // Before anything else runs that could have taken time: is the generator ready already?
    let seeded = rustix::rand::getrandom(&mut [0; 32], GetRandomFlags::NONBLOCK);
    SEEDED.get_or_init(|| format!("{seeded:?}"));
    // For questions about files; the devices come with the ramdisk.
    mount(Some("proc"), "/proc", Some("proc"), MsFlags::empty(), None::<&str>)?;
    mount(Some("sysfs"), "/sys", Some("sysfs"), MsFlags::empty(), None::<&str>)?;
    let nsm = nsm_init();
    let listener = VsockListener::bind_with_cid_port(VMADDR_CID_ANY, QUESTION_PORT)?;
    let mut heart = VsockStream::connect_with_cid_port(PARENT_CID, HEARTBEAT_PORT)?;
    heart.write_all(&[HEARTBEAT])?;
    heart.read_exact(&mut [0])?;
    println!("probe: listening on port {QUESTION_PORT}");
    for stream in listener.incoming() {
        let stream = stream?;
        std::thread::spawn(move || {
            if let Err(error) = answer(stream, nsm) {
                println!("probe: {error}");
            }
        });
    }
    Ok(())
}

fn answer(stream: VsockStream, nsm: i32) -> io::Result<()> {
    let mut writer = stream.try_clone()?;
    let mut reader = BufReader::new(stream);
    let mut question = String::new();
    reader.read_line(&mut question)?;
    let (verb, argument) = question.trim().split_once(' ').unwrap_or((question.trim(), ""));
    match verb {
        "pcrs" => writer.write_all(pcrs(nsm).as_bytes())?,
        "document" => writer.write_all(document(nsm, argument).as_bytes())?,
        "file" => writer.write_all(&fs::read(argument).unwrap_or_else(|e| described(&e)))?,
        "tcp" => {
            let bound = std::net::TcpListener::bind("127.0.0.1:0");
            writer.write_all(&bound.map_or_else(|e| described(&e), |_| b"bound".to_vec()))?;
        }
        "seeded" => writer.write_all(SEEDED.get().map_or("", String::as_str).as_bytes())?,
        "try" => writer.write_all(attempt(argument).as_bytes())?,
        "confine" => {
            boot::prepare()?;
            boot::confine(boot::VSOCK).map_err(io::Error::other)?;
            writer.write_all(b"confined")?;
        }
        "echo" => echo(&mut reader, &mut writer)?,
        "crash" => std::process::abort(),
        other => writer.write_all(format!("unknown question {other:?}").as_bytes())?,
    }
    writer.shutdown(Shutdown::Write)
}

fn described(error: &io::Error) -> Vec<u8> {
    format!("error: {error}").into_bytes()
}

/// A line per register: index, value, whether it is locked.
fn pcrs(nsm: i32) -> String {
    let line = |index| match nsm_process_request(nsm, Request::DescribePCR { index }) {
        Response::DescribePCR { lock, data } => format!("{index} {} {lock}\n", hex::encode(data)),
        other => format!("{index} {other:?}\n"),
    };
    (0..16).map(line).collect()
}

/// An attestation document over the nonce, both in hexadecimal.
fn document(nsm: i32, nonce: &str) -> String {
    let nonce = hex::decode(nonce).unwrap_or_default().into();
    let request = Request::Attestation { user_data: None, nonce: Some(nonce), public_key: None };
    match nsm_process_request(nsm, request) {
        Response::Attestation { document } => hex::encode(document),
        other => format!("error: {other:?}"),
    }
}

/// One thing that an enclave which serves has no use for, and what the kernel says to it.
fn attempt(deed: &str) -> String {
    match deed {
        "execve" => format!("{:?}", Command::new("/init").status()),
        "inet" => format!("{:?}", UdpSocket::bind("127.0.0.1:0")),
        "open" => format!("{:?}", fs::File::open("/proc/meminfo")),
        other => format!("unknown deed {other:?}"),
    }
}

fn echo(reader: &mut impl Read, writer: &mut impl Write) -> io::Result<()> {
    let mut buffer = vec![0; CHUNK_BYTES];
    loop {
        match reader.read(&mut buffer)? {
            0 => return Ok(()),
            count => writer.write_all(&buffer[..count])?,
        }
    }
}
