//! Files that only their owner may read: virtual keys and local tokens.

use std::{
    fs::{self, OpenOptions},
    io::{self, Read, Write},
    os::unix::fs::{MetadataExt, OpenOptionsExt},
    path::Path,
};

use zeroize::Zeroizing;

/// Longest secret in bytes; one line with a key in it.
const SECRET_BYTES: u64 = 4096;

/// The secret in a file, without the white space around it. A file that others may read or that
/// is no regular file is refused.
pub fn read(path: &Path) -> io::Result<Zeroizing<String>> {
    let file = fs::File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a regular file"));
    }
    if meta.mode() & 0o077 != 0 {
        return Err(io::Error::other("others may read it; make it private with chmod 600"));
    }
    let mut text = Zeroizing::new(String::new());
    file.take(SECRET_BYTES).read_to_string(&mut text)?;
    Ok(Zeroizing::new(text.trim().to_owned()))
}

/// Writes a secret to a new file with mode 0600; an existing file is not touched.
pub fn create(path: &Path, secret: &str) -> io::Result<()> {
    let mut options = OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(0o600).open(path)?;
    writeln!(file, "{secret}")
}

/// A new secret that begins with `prefix`: 32 random bytes in hexadecimal.
pub fn random(prefix: &str) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(bytes.as_mut_slice())
        .map_err(|_| io::Error::other("the system gives no random bytes"))?;
    Ok(Zeroizing::new(format!("{prefix}{}", hex::encode(*bytes))))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_written_for_its_owner_alone_and_read_back() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create(&path, "aegis-vk-test-1").unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(read(&path).unwrap().as_str(), "aegis-vk-test-1");
        assert!(create(&path, "another").is_err());
    }

    #[test]
    fn a_file_that_others_may_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        create(&path, "aegis-vk-test-1").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        assert!(read(&path).unwrap_err().to_string().contains("chmod 600"));
        assert!(read(folder.path()).is_err());
    }
}
