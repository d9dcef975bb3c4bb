//! The one thing an `/init` must be: a static, position-independent x86-64 program.
//!
//! A program that asks for an interpreter would find none in the ramdisk and the machine would end
//! without a word, so images with such a program are not made.

/// Why a file cannot be `/init`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ElfError {
    /// Not a little-endian 64-bit ELF file.
    #[error("not a 64-bit ELF program")]
    NotElf,
    /// For another processor.
    #[error("built for ELF machine {machine}, the enclave's is 62 (x86-64)")]
    Machine {
        /// `e_machine`.
        machine: u16,
    },
    /// At a fixed address.
    #[error("not position-independent; build it with -C target-feature=+crt-static")]
    Fixed,
    /// Dynamically linked.
    #[error("dynamically linked; build it with -C target-feature=+crt-static")]
    Dynamic,
}

const EM_X86_64: u16 = 62;
const ET_DYN: u16 = 3;
const PT_INTERP: u32 = 3;

/// Checks that `program` can run as `/init`.
///
/// # Errors
/// When it cannot.
pub fn check_static_pie(program: &[u8]) -> Result<(), ElfError> {
    let u16_at = |at: usize| -> Option<u16> {
        Some(u16::from_le_bytes(program.get(at..at + 2)?.try_into().ok()?))
    };
    // Class 64, little-endian.
    if program.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(ElfError::NotElf);
    }
    let machine = u16_at(18).ok_or(ElfError::NotElf)?;
    if machine != EM_X86_64 {
        return Err(ElfError::Machine { machine });
    }
    if u16_at(16) != Some(ET_DYN) {
        return Err(ElfError::Fixed);
    }
    let begin = program.get(32..40).and_then(|b| b.try_into().ok()).map(u64::from_le_bytes);
    let begin = begin.and_then(|b| usize::try_from(b).ok()).ok_or(ElfError::NotElf)?;
    let (size, count) = (u16_at(54).ok_or(ElfError::NotElf)?, u16_at(56).ok_or(ElfError::NotElf)?);
    for index in 0..usize::from(count) {
        let at = index.checked_mul(usize::from(size)).and_then(|n| n.checked_add(begin));
        let kind = at.and_then(|at| program.get(at..at.checked_add(4)?));
        let kind = kind.and_then(|b| b.try_into().ok()).map(u32::from_le_bytes);
        if kind.ok_or(ElfError::NotElf)? == PT_INTERP {
            return Err(ElfError::Dynamic);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    /// A header with one program header of the given kind.
    fn program(kind: u32) -> Vec<u8> {
        let mut elf = vec![0; 64 + 56];
        elf[..6].copy_from_slice(b"\x7fELF\x02\x01");
        elf[16..18].copy_from_slice(&ET_DYN.to_le_bytes());
        elf[18..20].copy_from_slice(&EM_X86_64.to_le_bytes());
        elf[32..40].copy_from_slice(&64u64.to_le_bytes());
        elf[54..56].copy_from_slice(&56u16.to_le_bytes());
        elf[56..58].copy_from_slice(&1u16.to_le_bytes());
        elf[64..68].copy_from_slice(&kind.to_le_bytes());
        elf
    }

    #[test]
    fn a_static_program_passes() {
        assert_eq!(check_static_pie(&program(1)), Ok(()));
    }

    #[test]
    fn this_test_is_dynamically_linked() {
        let me = std::fs::read(std::env::current_exe().unwrap()).unwrap();
        assert_eq!(check_static_pie(&me), Err(ElfError::Dynamic));
        assert_eq!(check_static_pie(&program(PT_INTERP)), Err(ElfError::Dynamic));
    }

    #[test]
    fn other_files_are_refused() {
        assert_eq!(check_static_pie(b"#!/bin/sh\n"), Err(ElfError::NotElf));
        let mut arm = program(1);
        arm[18] = 183;
        assert_eq!(check_static_pie(&arm), Err(ElfError::Machine { machine: 183 }));
        let mut fixed = program(1);
        fixed[16] = 2;
        assert_eq!(check_static_pie(&fixed), Err(ElfError::Fixed));
    }

    #[test]
    fn no_truncation_is_read_past_its_end() {
        for length in 0..program(1).len() - 52 {
            assert!(check_static_pie(&program(1)[..length]).is_err(), "{length} bytes accepted");
        }
    }
}
