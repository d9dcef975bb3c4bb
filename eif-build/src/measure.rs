//! The measurements of an image, as the Nitro hypervisor takes them before it starts the enclave.
//!
//! A PCR starts as 48 zero bytes and is extended once: SHA-384 over (zeros, SHA-384 over the
//! parts). PCR0 covers kernel, command line and all ramdisks; PCR1 kernel, command line and the
//! first ramdisk (the platform); PCR2 the other ramdisks (the program). Metadata, the header and
//! the order of sections of different kinds are not measured. Nor is the rest of the machine:
//! memory size, CPU count, and whatever a hypervisor appends to the command line.

use std::fmt;

use sha2::Digest;
use sha2::Sha384;

use crate::eif::Eif;

/// One platform configuration register.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Pcr(pub [u8; 48]);

impl Pcr {
    /// A register after its one extension by the digest of `parts` in a row.
    pub fn extended_by(parts: &[&[u8]]) -> Self {
        let mut inner = Sha384::new();
        for part in parts {
            inner.update(part);
        }
        let mut outer = Sha384::new();
        outer.update([0u8; 48]);
        outer.update(inner.finalize());
        Self(outer.finalize().into())
    }
}

impl fmt::Display for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Pcr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The three registers that say what an image is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Measurements {
    /// The whole image.
    pub pcr0: Pcr,
    /// Kernel, command line and first ramdisk.
    pub pcr1: Pcr,
    /// The ramdisks after the first.
    pub pcr2: Pcr,
}

impl Measurements {
    /// What an enclave started from `image` will report.
    pub fn of(image: &Eif) -> Self {
        let platform = [image.kernel.as_slice(), image.command_line.as_bytes()];
        let ramdisks: Vec<&[u8]> = image.ramdisks.iter().map(Vec::as_slice).collect();
        let (first, program) = ramdisks.split_at(ramdisks.len().min(1));
        Self {
            pcr0: Pcr::extended_by(&[&platform, ramdisks.as_slice()].concat()),
            pcr1: Pcr::extended_by(&[&platform, first].concat()),
            pcr2: Pcr::extended_by(program),
        }
    }
}

impl fmt::Display for Measurements {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PCR0 {}\nPCR1 {}\nPCR2 {}", self.pcr0, self.pcr1, self.pcr2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image() -> Eif {
        Eif {
            kernel: b"kernel".to_vec(),
            command_line: "reboot=k".to_owned(),
            metadata: b"{}".to_vec(),
            ramdisks: vec![b"platform".to_vec(), b"program".to_vec()],
        }
    }

    #[test]
    fn a_register_is_extended_once_from_zero() {
        // SHA-384(48 zeros || SHA-384("kernelreboot=k")), by coreutils:
        // (head -c48 /dev/zero; printf kernelreboot=k | sha384sum | xxd -r -p) | sha384sum
        let pcr = Pcr::extended_by(&[b"kernel", b"reboot=k"]);
        assert_eq!(pcr.to_string(), include_str!("../tests/data/pcr-of-two-parts.txt").trim());
    }

    #[test]
    fn the_program_moves_pcr0_and_pcr2_only() {
        let (before, mut changed) = (Measurements::of(&image()), image());
        changed.ramdisks[1][0] ^= 1;
        let after = Measurements::of(&changed);
        assert_ne!(before.pcr0, after.pcr0);
        assert_eq!(before.pcr1, after.pcr1);
        assert_ne!(before.pcr2, after.pcr2);
    }

    #[test]
    fn the_platform_moves_pcr0_and_pcr1_only() {
        for change in [
            |e: &mut Eif| e.kernel[0] ^= 1,
            |e: &mut Eif| e.command_line.push('x'),
            |e: &mut Eif| e.ramdisks[0][0] ^= 1,
        ] {
            let (before, mut changed) = (Measurements::of(&image()), image());
            change(&mut changed);
            let after = Measurements::of(&changed);
            assert_ne!(before.pcr0, after.pcr0);
            assert_ne!(before.pcr1, after.pcr1);
            assert_eq!(before.pcr2, after.pcr2);
        }
    }

    #[test]
    fn metadata_is_not_measured() {
        let mut changed = image();
        changed.metadata = b"{\"other\":1}".to_vec();
        assert_eq!(Measurements::of(&image()), Measurements::of(&changed));
    }
}
