//! A process that is confined as an enclave is, and then does the one thing that it is told: for the
//! tests of `aegis_enclave::boot::confine`. It says what the kernel answered, if it lives to.

use std::io::{IsTerminal, Write};
use std::net::UdpSocket;
use std::os::unix::net::UnixDatagram;
use std::process::{Command, ExitCode};
use std::sync::{Barrier, mpsc};
use std::{env, fs, hint, thread};

use aegis_enclave::boot;
use aws_lc_rs::rand;
use memmap2::MmapMut;
use nix::sys::{ptrace, signal};

/// At once; more than the C library has arenas for.
const SESSIONS: usize = 20;

fn main() -> ExitCode {
    let deed = env::args().nth(1).unwrap_or_default();
    let confine = env::args().nth(2).as_deref() == Some("confined");
    let (socket, page) = (UnixDatagram::unbound(), MmapMut::map_anon(4096));
    let (ask, asked) = mpsc::channel::<()>();
    // Begun before it is confined, as the runtime's threads are.
    let other = thread::spawn(move || asked.recv().map(|()| fs::read("/proc/self/stat").is_ok()));
    // As an enclave does, which makes its keys before it is confined.
    let drawn = rand::fill(&mut [0; 32]);
    if drawn.is_err() || confine && boot::confine(libc::AF_UNIX).is_err() {
        return ExitCode::from(3);
    }
    let done = match deed.as_str() {
        "serve" => serve(),
        "open" => fs::File::open("/proc/self/stat").is_ok(),
        "open-in-another-thread" => ask.send(()).is_ok() && matches!(other.join(), Ok(Ok(true))),
        "execve" => Command::new("/bin/true").status().is_ok(),
        "inet" => UdpSocket::bind("127.0.0.1:0").is_ok(),
        "ptrace" => ptrace::traceme().is_ok(),
        "kill" => signal::kill(nix::unistd::Pid::this(), None).is_ok(),
        // Whatever the answer: to get one, the terminal is asked.
        "ioctl" => std::io::stdin().is_terminal() || socket.is_ok(),
        "executable-memory" => page.is_ok_and(|page| page.make_exec().is_ok()),
        _ => return ExitCode::from(2),
    };
    ExitCode::from(u8::from(!done))
}

/// What sessions take, many at once: threads, memory of them that is given back, a lock, random numbers,
/// a socket, output.
fn serve() -> bool {
    let all = Barrier::new(SESSIONS);
    let session = |number: usize| {
        let number = number as u8;
        let pieces = hint::black_box(vec![vec![number; 60 << 10]; 40]);
        all.wait();
        drop(pieces);
        rand::fill(&mut vec![number; 1 << 20]).is_ok()
    };
    let grown = thread::scope(|scope| {
        let all: Vec<_> = (0..SESSIONS).map(|n| scope.spawn(move || session(n))).collect();
        all.into_iter().all(|session| session.join().is_ok_and(|drawn| drawn))
    });
    let socket = UnixDatagram::unbound().is_ok();
    grown && socket && std::io::stdout().write_all(b"served\n").is_ok()
}
