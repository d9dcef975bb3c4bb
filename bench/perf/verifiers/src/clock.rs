//! The clock that peers read for themselves, set to the moment of the document.
//!
//! attestation-doc-validation judges certificates by the system's clock and cannot be told another
//! time; leaves live three hours, so every published document would be refused at its chain, before
//! its signature. This program therefore brings a `clock_gettime` of its own, which the linker
//! prefers to the C library's.

use std::ffi::c_int;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rustix::time::ClockId;
use rustix::time::Timespec;
use rustix::time::clock_gettime as real_clock;

/// Milliseconds since the epoch that everything here is told.
static NOW_MS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn set(now_ms: u64) {
    NOW_MS.store(now_ms, Ordering::Relaxed);
}

/// Time this thread has spent computing: what other programs on the machine do does not count.
pub(crate) fn processor_time() -> Duration {
    let Timespec { tv_sec, tv_nsec } = real_clock(ClockId::ThreadCPUTime);
    Duration::new(tv_sec.unsigned_abs(), u32::try_from(tv_nsec).unwrap_or(0))
}

/// Overrides the C library's: the time of day is the one set, any other clock is monotonic.
///
/// # Safety
///
/// `out` points to a writable timespec, as clock_gettime(2) asks of its callers.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn clock_gettime(clock: c_int, out: *mut Timespec) -> c_int {
    let now = if clock == ClockId::Realtime as c_int {
        let now = Duration::from_millis(NOW_MS.load(Ordering::Relaxed));
        Timespec { tv_sec: now.as_secs().cast_signed(), tv_nsec: now.subsec_nanos().into() }
    } else {
        real_clock(ClockId::Monotonic)
    };
    // SAFETY: the caller vouches for the pointer; on 64-bit Linux, rustix's timespec has the
    // kernel's layout, which is C's.
    unsafe { out.write(now) };
    0
}
