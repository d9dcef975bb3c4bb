//! What must not be in a production image, looked for byte by byte.
//!
//! A scan proves little by what it does not find; it is here to notice that a build went wrong in a
//! way that nobody thought of: a development crate linked in, a shell packed, a folder of the
//! builder shown.

use crate::eif::Eif;

/// Byte strings, and what their presence means. Only ramdisks are looked at: the kernel has names
/// of files that it would run if they were there.
const FORBIDDEN: [(&str, &str); 11] = [
    ("aegis-dev-attester", "the development attester is linked in"),
    ("aegis_dev_attester", "the development attester is linked in"),
    (".mock.aegis.test", "mock rows of the development table"),
    ("/bin/sh", "a shell, or a program that starts one"),
    ("/bin/bash", "a shell, or a program that starts one"),
    ("busybox", "a shell"),
    ("/etc/passwd", "a user database"),
    ("apt-get", "a package manager"),
    ("/var/lib/dpkg", "a package manager"),
    ("/root/", "a folder of whoever built this"),
    ("/home/", "a folder of whoever built this"),
];

/// One thing found that must not be there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Which ramdisk.
    pub ramdisk: usize,
    /// Where in it.
    pub offset: usize,
    /// The byte string.
    pub text: &'static str,
    /// What it means.
    pub meaning: &'static str,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { ramdisk, offset, text, meaning } = self;
        write!(f, "ramdisk {ramdisk} has {text:?} at offset {offset}: {meaning}")
    }
}

/// Everything forbidden in the ramdisks of `image`, each at its first place.
pub fn forbidden(image: &Eif) -> Vec<Finding> {
    let mut found = Vec::new();
    for (ramdisk, data) in image.ramdisks.iter().enumerate() {
        for (text, meaning) in FORBIDDEN {
            let mut windows = data.windows(text.len());
            if let Some(offset) = windows.position(|w| w == text.as_bytes()) {
                found.push(Finding { ramdisk, offset, text, meaning });
            }
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(program: &str) -> Eif {
        Eif {
            kernel: b"/bin/sh is a name that every kernel has".to_vec(),
            command_line: String::new(),
            metadata: Vec::new(),
            ramdisks: vec![b"dev".to_vec(), program.as_bytes().to_vec()],
        }
    }

    #[test]
    fn each_forbidden_string_is_found() {
        for (text, meaning) in FORBIDDEN {
            let found = forbidden(&image(&format!("..{text}..")));
            assert_eq!(found, [Finding { ramdisk: 1, offset: 2, text, meaning }]);
        }
    }

    #[test]
    fn an_ordinary_program_passes() {
        assert_eq!(forbidden(&image("/aegis/enclave/src/main.rs /cargo/registry/src")), []);
    }
}
