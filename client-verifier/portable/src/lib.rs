//! The verifier where there is no operating system: what compiles here needs no std.
//!
//! This library brings the panic handler and the allocator that std would bring. Were std linked by
//! any crate below, rustc would find two panic handlers and refuse.

#![no_std]

use core::alloc::GlobalAlloc;
use core::alloc::Layout;
use core::panic::PanicInfo;

use aegis_verifier::Challenge;
use aegis_verifier::Policy;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;

/// Whether AWS made the document, whatever runs in the enclave.
pub fn is_genuine(document: &[u8], now_secs: u64) -> bool {
    let policy = Policy::dangerous_any_measurement(TrustAnchor::aws_nitro());
    let challenge = Challenge::dangerous_without_nonce();
    aegis_verifier::verify(document, &policy, &challenge, UnixTime::from_secs(now_secs)).is_ok()
}

/// An allocator that has nothing to give: this library is compiled, never run.
struct Nothing;

// SAFETY: null is how an allocator says that there is no memory; so nothing is ever given back.
unsafe impl GlobalAlloc for Nothing {
    unsafe fn alloc(&self, _layout: Layout) -> *mut u8 {
        core::ptr::null_mut()
    }

    unsafe fn dealloc(&self, _pointer: *mut u8, _layout: Layout) {}
}

#[global_allocator]
static ALLOCATOR: Nothing = Nothing;

#[panic_handler]
fn panic(_info: &PanicInfo<'_>) -> ! {
    loop {
        core::hint::spin_loop();
    }
}
