//! `boot-test`: the production kernel with the probe program, asked what it knows about itself.

use std::collections::BTreeMap;
use std::io::Read;
use std::io::Write;
use std::net::Shutdown;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use aegis_eif::Error;
use aegis_eif::boot::Enclave;
use aegis_eif::boot::Options;
use aegis_eif::boot::Parent;
use aegis_eif::boot::Tools;
use aegis_eif::cache::write_atomically;
use aegis_eif::image::NSM_MINOR;
use aegis_eif::make;
use aegis_eif::make::Recipe;
use aegis_eif::recipe::Context;
use aegis_eif::recipe::enclave::Program;
use aegis_eif::recipe::kernel::Variant;
use aegis_eif::release::Release;

use super::confinement;
use super::soak;

/// Where the probe program answers.
const PORT: u32 = 5000;
/// Registers that Nitro locks before the program starts.
const LOCKED_REGISTERS: u16 = 16;
/// At once, to see that none waits behind another.
const STREAMS: u8 = 8;
/// More than every buffer on the way.
const STREAM_BYTES: usize = 1 << 20;
/// Emulated, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);

pub(super) fn run(context: &Context, source: &Path, connections: u32) -> Result<(), Error> {
    let source = source.canonicalize().map_err(Error::file("find", source))?;
    let made = make::once(context, &recipe(source))?;
    let work = context.cache.work_folder("boot-test-")?;
    let path = work.path().join("probe.eif");
    write_atomically(&path, &made.bytes)?;
    let tools = Tools::get(context)?;
    let enclave = Enclave::start(&tools, &path, Parent::new()?, &Options::default())?;
    println!("boot: heartbeat after {:?}", enclave.boot_time());
    measurements(&enclave, &made.release)?;
    documents(&enclave)?;
    surroundings(&enclave, &made.release)?;
    randomness(&enclave)?;
    streams(&enclave)?;
    soak::run(&enclave, PORT, connections)?;
    silence(&enclave)?;
    crash(enclave)?;
    confinement::run(&tools, &path, PORT, PATIENCE)?;
    println!("boot-test: passed, PCR0 {}", made.release.pcr0);
    Ok(())
}

fn recipe(source: PathBuf) -> Recipe {
    Recipe {
        source,
        program: Program::probe(),
        variant: Variant::Production,
        kernel: None,
        init: None,
        files: BTreeMap::new(),
        command_line: None,
        provider_table: None,
        number: None,
    }
}

fn ask(enclave: &Enclave, question: &str) -> Result<String, Error> {
    Ok(String::from_utf8_lossy(&enclave.ask(PORT, question)?).into_owned())
}

fn require(holds: bool, failure: impl FnOnce() -> String) -> Result<(), Error> {
    if holds { Ok(()) } else { Err(Error::Boot(failure())) }
}

/// The security module reports the PCRs that were computed from the image, and has locked them.
fn measurements(enclave: &Enclave, release: &Release) -> Result<(), Error> {
    let answer = ask(enclave, "pcrs")?;
    let lines: Vec<&str> = answer.lines().collect();
    for (index, computed) in [&release.pcr0, &release.pcr1, &release.pcr2].iter().enumerate() {
        let expected = format!("{index} {computed} true");
        require(lines.get(index) == Some(&expected.as_str()), || {
            format!("computed \"{expected}\", /dev/nsm says:\n{answer}")
        })?;
        println!("PCR{index}: reported as computed, {computed}");
    }
    let locked = lines.iter().filter(|line| line.ends_with(" true")).count();
    require(locked == usize::from(LOCKED_REGISTERS), || format!("not all locked:\n{answer}"))
}

/// Two documents over two nonces, each with its own inside.
fn documents(enclave: &Enclave) -> Result<(), Error> {
    for nonce in ["00112233445566778899aabbccddeeff", "ffeeddccbbaa99887766554433221100"] {
        let document = ask(enclave, &format!("document {nonce}"))?;
        require(document.contains(nonce), || format!("document without its nonce: {document}"))?;
    }
    println!("documents: carry the nonce asked for");
    Ok(())
}

/// The command line is the measured one and then the machine's, and there is no network.
fn surroundings(enclave: &Enclave, release: &Release) -> Result<(), Error> {
    let line = ask(enclave, "file /proc/cmdline")?;
    require(line.starts_with(&release.command_line), || format!("command line is {line}"))?;
    let tcp = ask(enclave, "tcp")?;
    require(tcp.starts_with("error: "), || format!("a TCP socket could be made: {tcp}"))?;
    let devices = ask(enclave, "file /proc/misc")?;
    let nsm = format!("{NSM_MINOR} nsm");
    require(devices.lines().any(|line| line.trim() == nsm), || {
        format!("/dev/nsm is not 10:{NSM_MINOR} as in the ramdisk: {devices}")
    })?;
    let interfaces = ask(enclave, "file /proc/net/dev")?;
    let named = interfaces.lines().filter_map(|line| line.split_once(':'));
    let others: Vec<&str> = named.map(|(name, _)| name.trim()).filter(|n| *n != "lo").collect();
    require(others.is_empty(), || format!("network interfaces {others:?}"))?;
    for absent in ["/proc/kcore", "/proc/modules", "/proc/config.gz", "/proc/kallsyms", "/dev/mem"]
    {
        let answer = ask(enclave, &format!("file {absent}"))?;
        require(answer.starts_with("error: "), || format!("{absent} is there: {answer}"))?;
    }
    println!("surroundings: measured command line, no TCP, no interface but lo, no modules");
    Ok(())
}

/// The kernel's generator was ready for the first question of the first program, and the source that
/// feeds it is the security module, at the full weight that its driver claims.
fn randomness(enclave: &Enclave) -> Result<(), Error> {
    let seeded = ask(enclave, "seeded")?;
    require(seeded == "Ok(32)", || format!("the generator was not ready for PID 1: {seeded}"))?;
    for (file, expected) in [("rng_current", "nsm-hwrng"), ("rng_quality", "1000")] {
        let path = format!("/sys/devices/virtual/misc/hw_random/{file}");
        let found = ask(enclave, &format!("file {path}"))?;
        require(found.trim() == expected, || format!("{path} is {found:?}, not {expected}"))?;
    }
    println!("randomness: ready before PID 1, fed by the security module");
    Ok(())
}

/// Bytes come back as sent, from streams at the same time, and the end of one direction is not the
/// end of the other.
fn streams(enclave: &Enclave) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let echo = |seed: u8| scope.spawn(move || echo(enclave, seed));
        let running: Vec<_> = (0..STREAMS).map(echo).collect();
        running.into_iter().try_for_each(|thread| {
            thread.join().unwrap_or_else(|_| Err(Error::Boot("a stream's thread panicked".into())))
        })
    })?;
    println!("vsock: {STREAMS} streams of {STREAM_BYTES} bytes back unchanged, ends one by one");
    Ok(())
}

fn echo(enclave: &Enclave, seed: u8) -> Result<(), Error> {
    let io = |error: std::io::Error| Error::Boot(format!("echo stream {seed}: {error}"));
    let mut stream = enclave.connect(PORT)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(io)?;
    stream.write_all(b"echo\n").map_err(io)?;
    let sent: Vec<u8> = (0..STREAM_BYTES).map(|n| (n / 251) as u8 ^ n as u8 ^ seed).collect();
    let mut writer = stream.try_clone().map_err(io)?;
    let mut received = Vec::with_capacity(sent.len());
    let (written, read) = std::thread::scope(|scope| {
        let written = scope.spawn(|| {
            writer.write_all(&sent)?;
            writer.shutdown(Shutdown::Write)
        });
        let read = stream.read_to_end(&mut received);
        (written.join(), read)
    });
    read.map_err(io)?;
    written.map_err(|_| Error::Boot("a writer panicked".to_owned()))?.map_err(io)?;
    require(received == sent, || {
        format!("echo stream {seed}: {} of {} bytes, or others", received.len(), sent.len())
    })
}

/// The production kernel says nothing on the serial line; what is there is the firmware's.
fn silence(enclave: &Enclave) -> Result<(), Error> {
    let console = enclave.parent().console();
    let spoken = ["Linux version", "Command line:", "probe:"].iter().any(|t| console.contains(t));
    require(!spoken, || format!("the production kernel has a console:\n{console}"))?;
    println!("console: silent");
    Ok(())
}

/// A program that crashes takes the machine with it.
fn crash(mut enclave: Enclave) -> Result<(), Error> {
    // The machine may be gone before it can end the stream properly.
    let _ = enclave.ask(PORT, "crash");
    enclave.wait(PATIENCE)?;
    println!("crash: ended the machine");
    Ok(())
}
