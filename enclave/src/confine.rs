//! The system calls of an enclave that serves. Every other one ends the process, and with it the
//! machine: none of them is an answer to anything that can come over a leg.
//!
//! The list is what `strace -f` shows of serving, and what the C library may take in its place or when
//! memory is scarce. Not in it because the start is over: opening files, listening, limits.
//! ARCHITECTURE.md says how to make it anew.

use std::collections::BTreeMap;
use std::{hint, sync::Barrier, thread};

use seccompiler::SeccompCmpArgLen::Dword;
use seccompiler::SeccompCmpOp::{self, Eq, MaskedEq};
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCondition, SeccompFilter, SeccompRule, TargetArch,
};

/// The only kind of socket that an image has.
pub const VSOCK: i32 = libc::AF_VSOCK;

/// Whatever their arguments.
const CALLS: [i64; 31] = [
    // Legs.
    libc::SYS_accept4,
    libc::SYS_connect,
    libc::SYS_shutdown,
    libc::SYS_close,
    libc::SYS_getsockopt,
    libc::SYS_fcntl,
    libc::SYS_read,
    libc::SYS_recvfrom,
    libc::SYS_write,
    libc::SYS_writev,
    libc::SYS_sendto,
    libc::SYS_epoll_wait,
    libc::SYS_epoll_pwait,
    libc::SYS_epoll_ctl,
    // Memory and random numbers.
    libc::SYS_munmap,
    libc::SYS_mremap,
    libc::SYS_madvise,
    libc::SYS_brk,
    libc::SYS_getrandom,
    // Threads: their begin, their waiting, their end. What a fork would run needs other calls.
    libc::SYS_clone3,
    libc::SYS_gettid,
    libc::SYS_set_robust_list,
    libc::SYS_rseq,
    libc::SYS_rt_sigprocmask,
    libc::SYS_sigaltstack,
    libc::SYS_sched_getaffinity,
    libc::SYS_sched_yield,
    libc::SYS_futex,
    libc::SYS_clock_gettime,
    libc::SYS_exit,
    libc::SYS_exit_group,
];

/// Calls of which one argument decides: its place, and what it must be.
const BY_ARGUMENT: [(i64, u8, SeccompCmpOp, u64); 5] = [
    // A question to the security module: _IOWR(0x0A, 0, [u8; 32]) of linux/nsm.h.
    (libc::SYS_ioctl, 1, Eq, 0xc020_0a00),
    // How tokio-vsock says that a leg must not block.
    (libc::SYS_ioctl, 1, Eq, libc::FIONBIO),
    (libc::SYS_prctl, 0, Eq, libc::PR_SET_NAME as u64),
    // Memory that nobody can run.
    (libc::SYS_mmap, 2, MaskedEq(libc::PROT_EXEC as u64), 0),
    (libc::SYS_mprotect, 2, MaskedEq(libc::PROT_EXEC as u64), 0),
];

/// Leaves all threads of this process, and those to come, the calls of this module and sockets of
/// one address family, for good, and takes the way to new privileges from them.
pub fn confine(family: i32) -> Result<(), Error> {
    settle_memory();
    let only_family = (libc::SYS_socket, 0, Eq, family as u64);
    let mut rules: BTreeMap<i64, Vec<_>> = CALLS.into_iter().map(|call| (call, vec![])).collect();
    for (call, place, operator, value) in BY_ARGUMENT.into_iter().chain([only_family]) {
        let condition = SeccompCondition::new(place, Dword, operator, value)?;
        rules.entry(call).or_default().push(SeccompRule::new(vec![condition])?);
    }
    let (other, listed) = (SeccompAction::KillProcess, SeccompAction::Allow);
    let filter = SeccompFilter::new(rules, other, listed, TargetArch::x86_64)?;
    seccompiler::apply_filter_all_threads(&BpfProgram::try_from(filter)?)
}

/// More threads than the C library gives an arena each before it counts the processors.
const THREADS: usize = 16;

/// Two things the C library reads from files, once: how the kernel overcommits, when a thread first
/// gives memory back, and how many processors there are, when many threads first take some at once.
/// So both happen now, while files may be opened.
fn settle_memory() {
    let all = Barrier::new(THREADS);
    let take_and_give_back = || {
        let pieces = [0; 16].map(|byte: u8| hint::black_box(vec![byte; 64 << 10]));
        all.wait();
        drop(pieces);
    };
    // A thread that cannot be had ends PID 1, and so the machine, before anything is served.
    thread::scope(|scope| (0..THREADS).for_each(|_| drop(scope.spawn(take_and_give_back))));
}
