//! An image on QEMU's `nitro-enclave` machine, and the parent's side of its vsock.
//!
//! [`Enclave::start`] comes back when the image has sent its heartbeat. From then on the host
//! reaches port P of the enclave with [`Enclave::connect`]. What the enclave dials at its parent
//! arrives at a listener that [`Parent::listen`] made, before the start if the enclave dials early.
//! Everything ends with the value: both programs are killed, the folder is removed.
//!
//! The machine's NSM signs nothing (its documents carry 64 zero bytes for a signature), so a
//! verifier must refuse them; its PCRs are right.

use std::fs::File;
use std::io::Read;
use std::io::Write;
use std::os::unix::net::UnixListener;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::time::Duration;
use std::time::Instant;

use crate::Error;
use crate::recipe::command;
use crate::recipe::qemu::Qemu;

/// The port on which an image says that it is up, and what it says; AWS's own.
pub const HEARTBEAT_PORT: u32 = 9000;
/// Sent by the enclave, echoed by the parent.
pub const HEARTBEAT: u8 = 0xb7;

/// The programs that make up the machine.
#[derive(Clone, Debug)]
pub struct Tools {
    /// The emulator.
    pub qemu: Qemu,
    /// `vhost-device-vsock`.
    pub vsock_device: PathBuf,
}

impl Tools {
    /// The tools from the cache, built first if they are not there.
    ///
    /// # Errors
    /// When a source cannot be had or a build fails.
    pub fn get(context: &crate::recipe::Context) -> Result<Self, Error> {
        Ok(Self {
            qemu: crate::recipe::qemu::get(context)?,
            vsock_device: crate::recipe::vsock_device::get(context)?,
        })
    }
}

/// The machine's size and how long to wait for it.
#[derive(Clone, Debug)]
pub struct Options {
    /// Virtual CPUs.
    pub cpus: u32,
    /// Memory.
    pub memory_mib: u32,
    /// From the start of QEMU to the heartbeat. Emulation on a busy machine is slow.
    pub heartbeat_within: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { cpus: 2, memory_mib: 512, heartbeat_within: Duration::from_secs(120) }
    }
}

/// The folder with the parent's sockets, before there is a machine.
#[derive(Debug)]
pub struct Parent {
    folder: tempfile::TempDir,
}

impl Parent {
    /// An empty folder; short, because socket paths are.
    ///
    /// # Errors
    /// What the file system says.
    pub fn new() -> Result<Self, Error> {
        let temporary = std::env::temp_dir();
        let builder = tempfile::Builder::new().prefix("eif").tempdir();
        Ok(Self { folder: builder.map_err(Error::file("make a folder in", &temporary))? })
    }

    /// The socket by which a host reaches the enclave: connect, send `CONNECT P\n`, read `OK n\n`.
    /// What the enclave sends to its parent's port P arrives at this path with `_P` added.
    pub fn vsock_path(&self) -> PathBuf {
        self.folder.path().join("vsock")
    }

    /// Listens where the enclave will connect to `port` of its parent.
    ///
    /// # Errors
    /// When the port is taken.
    pub fn listen(&self, port: u32) -> Result<UnixListener, Error> {
        let path = self.folder.path().join(format!("vsock_{port}"));
        UnixListener::bind(&path).map_err(Error::file("listen at", &path))
    }

    /// What the machine's serial line has said: the kernel's log in the debug variant, else nothing
    /// of ours.
    pub fn console(&self) -> String {
        let text = std::fs::read(self.folder.path().join("console.log")).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

/// A running machine.
#[derive(Debug)]
pub struct Enclave {
    // Fields drop in this order: first the programs, then the folder that they use.
    qemu: Running,
    vsock_device: Running,
    parent: Parent,
    started: Instant,
    boot: Duration,
}

impl Enclave {
    /// Boots `image` and waits for its heartbeat.
    ///
    /// # Errors
    /// [`Error::Boot`] when the machine ends or says nothing in time, with the end of its console.
    pub fn start(
        tools: &Tools,
        image: &Path,
        parent: Parent,
        options: &Options,
    ) -> Result<Self, Error> {
        let heart = parent.listen(HEARTBEAT_PORT)?;
        heart.set_nonblocking(true).map_err(Error::file("use", &parent.vsock_path()))?;
        let vsock_device = start_vsock_device(tools, &parent)?;
        let started = Instant::now();
        let qemu = start_qemu(tools, image, &parent, options)?;
        let mut enclave = Self { qemu, vsock_device, parent, started, boot: Duration::ZERO };
        enclave.await_heartbeat(&heart, options.heartbeat_within)?;
        enclave.boot = enclave.started.elapsed();
        Ok(enclave)
    }

    /// From the start of QEMU to the heartbeat.
    pub fn boot_time(&self) -> Duration {
        self.boot
    }

    /// The parent's sockets and the console.
    pub fn parent(&self) -> &Parent {
        &self.parent
    }

    /// A stream to a port on which the enclave listens.
    ///
    /// # Errors
    /// When nothing listens there.
    pub fn connect(&self, port: u32) -> Result<UnixStream, Error> {
        let path = self.parent.vsock_path();
        let io = |error: std::io::Error| Error::Boot(format!("vsock port {port}: {error}"));
        let mut stream = UnixStream::connect(&path).map_err(io)?;
        stream.write_all(format!("CONNECT {port}\n").as_bytes()).map_err(io)?;
        // Byte by byte: what follows the line belongs to the caller.
        let mut line = Vec::new();
        while line.last() != Some(&b'\n') {
            let mut byte = [0];
            if stream.read(&mut byte).map_err(io)? == 0 || line.len() > 64 {
                return Err(Error::Boot(format!("vsock port {port}: nothing listens there")));
            }
            line.push(byte[0]);
        }
        if !line.starts_with(b"OK ") {
            let line = String::from_utf8_lossy(&line).into_owned();
            return Err(Error::Boot(format!("vsock port {port}: the device says {line:?}")));
        }
        Ok(stream)
    }

    /// Sends one line to a port, ends that direction, and reads the answer to its end.
    ///
    /// # Errors
    /// When nothing listens there or the answer breaks off.
    pub fn ask(&self, port: u32, question: &str) -> Result<Vec<u8>, Error> {
        let io = |error: std::io::Error| Error::Boot(format!("vsock port {port}: {error}"));
        let mut stream = self.connect(port)?;
        stream.write_all(format!("{question}\n").as_bytes()).map_err(io)?;
        stream.shutdown(std::net::Shutdown::Write).map_err(io)?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).map_err(io)?;
        Ok(answer)
    }

    /// Waits until the machine ends by itself.
    ///
    /// # Errors
    /// When it has not after `within`.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus, Error> {
        let deadline = Instant::now() + within;
        loop {
            if let (_, Some(status)) = self.qemu.ended()? {
                return Ok(status);
            }
            if Instant::now() >= deadline {
                return Err(Error::Boot(format!("still running after {within:?}")));
            }
            std::thread::sleep(POLL);
        }
    }

    fn await_heartbeat(&mut self, heart: &UnixListener, within: Duration) -> Result<(), Error> {
        let deadline = Instant::now() + within;
        loop {
            match heart.accept() {
                Ok((stream, _)) => return echo_heartbeat(stream, within),
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::Boot(format!("heartbeat: {error}"))),
            }
            for (name, ended) in [self.qemu.ended()?, self.vsock_device.ended()?] {
                if let Some(status) = ended {
                    return Err(self.failed(format!("{name} ended before it ({status})")));
                }
            }
            if Instant::now() >= deadline {
                return Err(self.failed(format!("none within {within:?}")));
            }
            std::thread::sleep(POLL);
        }
    }

    fn failed(&self, reason: String) -> Error {
        let console = self.parent.console();
        let lines: Vec<&str> = console.lines().collect();
        let tail = lines[lines.len().saturating_sub(12)..].join("\n");
        Error::Boot(format!("heartbeat: {reason}; the console ends with:\n{tail}"))
    }
}

/// How often to look whether a program has ended or made its socket: neither can be waited for with
/// a deadline by the standard library alone.
const POLL: Duration = Duration::from_millis(10);

fn echo_heartbeat(mut stream: UnixStream, within: Duration) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::Boot(format!("heartbeat: {error}"));
    stream.set_nonblocking(false).map_err(io)?;
    stream.set_read_timeout(Some(within)).map_err(io)?;
    let mut byte = [0];
    stream.read_exact(&mut byte).map_err(io)?;
    if byte[0] != HEARTBEAT {
        return Err(Error::Boot(format!(
            "heartbeat: {:#04x} instead of {HEARTBEAT:#04x}",
            byte[0]
        )));
    }
    stream.write_all(&byte).map_err(io)
}

fn start_vsock_device(tools: &Tools, parent: &Parent) -> Result<Running, Error> {
    let socket = parent.file("device");
    let mut program = command::program(&tools.vsock_device);
    program.arg("--vm").arg(format!(
        "guest-cid=16,socket={},uds-path={}",
        socket.display(),
        parent.vsock_path().display()
    ));
    let mut running = Running::start("vhost-device-vsock", &program, &parent.file("device.log"))?;
    let deadline = Instant::now() + Duration::from_secs(30);
    while !(socket.exists() && parent.vsock_path().exists()) {
        if let (_, Some(status)) = running.ended()? {
            let log = std::fs::read_to_string(parent.file("device.log")).unwrap_or_default();
            return Err(Error::Boot(format!("vhost-device-vsock ended ({status}): {log}")));
        }
        if Instant::now() >= deadline {
            return Err(Error::Boot("vhost-device-vsock made no socket within 30 s".to_owned()));
        }
        std::thread::sleep(POLL);
    }
    Ok(running)
}

fn start_qemu(
    tools: &Tools,
    image: &Path,
    parent: &Parent,
    options: &Options,
) -> Result<Running, Error> {
    let image = image.canonicalize().map_err(Error::file("find", image))?;
    let mut program = command::program(&tools.qemu.program);
    // The parent's identity becomes PCR3 and PCR4 and says nothing about the image.
    program.arg("-M").arg(
        "nitro-enclave,vsock=vsock,id=enclave,parent-id=i-0123456789abcdef0,\
         parent-role=arn:aws:iam::123456789012:role/aegis-test",
    );
    program.arg("-L").arg(&tools.qemu.firmware).args(["-accel", "tcg", "-cpu", "max"]);
    program.args(["-nographic", "-no-reboot", "-monitor", "none"]);
    program.arg("-smp").arg(options.cpus.to_string());
    program.arg("-m").arg(format!("{}M", options.memory_mib));
    program.arg("-kernel").arg(&image);
    // Appended to the measured command line by the machine, not measured. The first two give an
    // emulated clock that keeps time, the last a machine that ends at a reboot.
    program.arg("-append").arg(format!("{} reboot=t", clock()));
    program.arg("-chardev");
    program.arg(format!("socket,id=vsock,path={}", parent.file("device").display()));
    Running::start("qemu-system-x86_64", &program, &parent.file("console.log"))
}

/// The host's clock rate, which the emulated CPU's time stamp counter has too.
fn clock() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mhz = info.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split(": ").nth(1));
    match mhz.and_then(|mhz| mhz.trim().parse::<f64>().ok()) {
        Some(mhz) => format!("tsc_early_khz={:.0} tsc=reliable", mhz * 1000.0),
        None => String::new(),
    }
}

/// Runs its arguments until they end or standard input does. A parent that is killed cannot kill its
/// children, but its end of a pipe closes.
const LEASH: &str = r#"
exec 3<&0
"$@" </dev/null 3<&- &
child=$!
{ read -r _ <&3; kill -KILL "$child"; } 2>/dev/null &
watcher=$!
wait "$child"
status=$?
kill "$watcher" 2>/dev/null
exit "$status"
"#;

/// A program that ends with its value, or with this process.
#[derive(Debug)]
struct Running {
    name: &'static str,
    child: Child,
}

impl Running {
    fn start(name: &'static str, program: &Command, log: &Path) -> Result<Self, Error> {
        let output = File::create(log).map_err(Error::file("write", log))?;
        let errors = output.try_clone().map_err(Error::file("write", log))?;
        let child = command::program("sh")
            .args(["-c", LEASH, "sh"])
            .arg(program.get_program())
            .args(program.get_args())
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .map_err(|source| Error::Spawn { program: name.to_owned(), source })?;
        Ok(Self { name, child })
    }

    /// The program's name, and how it ended if it has.
    fn ended(&mut self) -> Result<(&'static str, Option<ExitStatus>), Error> {
        let name = self.name;
        let status = self.child.try_wait();
        let status = status.map_err(|e| Error::Boot(format!("waiting for {name}: {e}")))?;
        Ok((name, status))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // Fails only for a program that has been waited for already.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn shell(script: &str, log: &Path) -> Running {
        let mut program = command::program("sh");
        program.args(["-c", script]);
        Running::start("shell", &program, log).unwrap()
    }

    #[test]
    fn a_program_ends_with_its_value() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let running = shell("echo $$; exec sleep 1000", &log);
        let process = loop {
            if let Ok(number) = std::fs::read_to_string(&log).unwrap().trim().parse::<u32>() {
                break format!("/proc/{number}/comm");
            }
            std::thread::yield_now();
        };
        assert!(Path::new(&process).exists());
        drop(running);
        assert!(!Path::new(&process).exists());
    }

    #[test]
    fn the_heartbeat_is_echoed_and_no_other_byte() {
        let (mut enclave, parent) = UnixStream::pair().unwrap();
        enclave.write_all(&[HEARTBEAT]).unwrap();
        echo_heartbeat(parent, Duration::from_secs(60)).unwrap();
        let mut echoed = [0];
        enclave.read_exact(&mut echoed).unwrap();
        assert_eq!(echoed, [HEARTBEAT]);
        let (mut enclave, parent) = UnixStream::pair().unwrap();
        enclave.write_all(&[1]).unwrap();
        let error = echo_heartbeat(parent, Duration::from_secs(60)).unwrap_err();
        assert_eq!(error.to_string(), "boot: heartbeat: 0x01 instead of 0xb7");
    }

    #[test]
    fn its_status_is_passed_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut running = shell("exit 7", &folder.path().join("log"));
        // Waiting for the child itself would end its standard input, and so the program.
        let status = loop {
            match running.ended().unwrap() {
                (_, Some(status)) => break status,
                _ => std::thread::yield_now(),
            }
        };
        assert_eq!(status.code(), Some(7));
    }
}
