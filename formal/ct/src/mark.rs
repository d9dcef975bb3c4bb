//! Marks for memcheck: which bytes are secret.

use std::arch::asm;

/// `VG_USERREQ__MAKE_MEM_UNDEFINED`, `..._MAKE_MEM_DEFINED` and `..._CHECK_MEM_IS_DEFINED` of valgrind's
/// `memcheck.h`.
const MAKE_UNDEFINED: usize = ((b'M' as usize) << 24 | (b'C' as usize) << 16) + 1;
const MAKE_DEFINED: usize = MAKE_UNDEFINED + 1;
const CHECK_DEFINED: usize = MAKE_UNDEFINED + 4;

/// A copy that is undefined to memcheck, with the same bytes.
pub(crate) fn secret(bytes: &[u8]) -> Vec<u8> {
    let copy = bytes.to_vec();
    request(MAKE_UNDEFINED, copy.as_ptr() as usize, copy.len());
    copy
}

/// Declares a value itself (not what it points to) defined.
pub(crate) fn told<T>(value: &T) {
    request(MAKE_DEFINED, std::ptr::from_ref(value) as usize, size_of::<T>());
}

/// Reports a value of which something is undefined.
pub(crate) fn defined<T>(value: &T) {
    request(CHECK_DEFINED, std::ptr::from_ref(value) as usize, size_of::<T>());
}

/// A client request as valgrind's `valgrind.h` has it for x86-64; none outside valgrind.
fn request(what: usize, from: usize, len: usize) {
    let arguments = [what, from, len, 0, 0, 0];
    // SAFETY: the four rotations add up to 128 bits, so `rdi` keeps its value, and exchanging a
    // register with itself does nothing. Valgrind takes the sequence for a call, reads the six words
    // that `rax` points to, and writes `rdx` and its own bookkeeping only.
    unsafe {
        asm!(
            "rol rdi, 3", "rol rdi, 13", "rol rdi, 61", "rol rdi, 51", "xchg rbx, rbx",
            in("rax") arguments.as_ptr(),
            inout("rdx") 0_usize => _,
        );
    }
}
