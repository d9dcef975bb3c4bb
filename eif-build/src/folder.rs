//! A release as it is published: five files in one folder, each of which follows from the source.
//!
//! `SHA256SUMS` is for whoever has only `sha256sum`; it proves nothing by itself, since whoever
//! changes a file can change it too. What proves is to build the folder again and compare.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Error;
use crate::cache::sha256_hex;
use crate::cache::write_atomically;
use crate::make::Made;
use crate::recipe::read;
use crate::release::Release;
use crate::sbom::Bill;

/// The image.
pub const IMAGE: &str = "aegis.eif";
/// The manifest.
pub const MANIFEST: &str = "release.json";
/// The measurements as `aegis agent --accept` reads them.
pub const PCRS: &str = "pcrs.json";
/// The bill of materials.
pub const BILL: &str = "sbom.cdx.json";
/// Digests of the others.
pub const SUMS: &str = "SHA256SUMS";

/// The files of a release by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Folder(BTreeMap<String, Vec<u8>>);

#[derive(Serialize)]
struct Accepted<'a> {
    release: u32,
    pcr0: &'a str,
    pcr1: &'a str,
    pcr2: &'a str,
}

impl Folder {
    /// The files of what was made.
    ///
    /// # Errors
    /// When it has no number or no commit: then it is no release.
    pub fn of(made: &Made, bill: &Bill) -> Result<Self, Error> {
        let release = &made.release;
        let number = release.number.ok_or_else(|| Error::Unfit("it has no number".to_owned()))?;
        if release.commit.is_none() {
            let reason = "its source is not exactly a commit: commit or put away what differs";
            return Err(Error::Unfit(reason.to_owned()));
        }
        let files = [
            (IMAGE, made.bytes.clone()),
            (MANIFEST, release.to_bytes()),
            (PCRS, pcrs(number, release)),
            (BILL, bill.to_bytes()),
        ];
        let files = files.map(|(name, data)| (name.to_owned(), data));
        Ok(Self::summed(BTreeMap::from(files)))
    }

    fn summed(mut files: BTreeMap<String, Vec<u8>>) -> Self {
        let line = |(name, data): (&String, &Vec<u8>)| format!("{}  {name}\n", sha256_hex(data));
        let sums: String = files.iter().map(line).collect();
        files.insert(SUMS.to_owned(), sums.into_bytes());
        Self(files)
    }

    /// Writes the files, `SHA256SUMS` last.
    ///
    /// # Errors
    /// When there is something else in the folder, or what the file system says.
    pub fn write(&self, folder: &Path) -> Result<(), Error> {
        std::fs::create_dir_all(folder).map_err(Error::file("make", folder))?;
        if let Some(name) = names(folder)?.into_iter().find(|name| !self.0.contains_key(name)) {
            return Err(Error::Configuration {
                path: folder.join(name),
                reason: "is no file of a release; name an empty folder with --out".to_owned(),
            });
        }
        for (name, data) in self.0.iter().filter(|(name, _)| *name != SUMS) {
            write_atomically(&folder.join(name), data)?;
        }
        write_atomically(&folder.join(SUMS), self.file(SUMS))
    }

    /// Reads a folder: these five files and no other, with the digests that it claims.
    ///
    /// # Errors
    /// [`Error::Differs`] naming the file that is missing, too many or another than its digest says.
    pub fn read(folder: &Path) -> Result<Self, Error> {
        let present = names(folder)?;
        let whole = [IMAGE, MANIFEST, PCRS, BILL, SUMS];
        if let Some(missing) = whole.iter().find(|name| !present.contains(&name.to_string())) {
            return Err(Error::Differs(format!("the release has no {missing}")));
        }
        if let Some(other) = present.iter().find(|name| !whole.contains(&name.as_str())) {
            return Err(Error::Differs(format!("{other} is no file of a release")));
        }
        let mut files = BTreeMap::new();
        for name in whole {
            files.insert(name.to_owned(), read(&folder.join(name))?);
        }
        let claimed = Self(files);
        let mut rest = claimed.0.clone();
        rest.remove(SUMS);
        claimed.require_equal(&Self::summed(rest))?;
        Ok(claimed)
    }

    /// One of the files; empty when there is none of that name.
    pub fn file(&self, name: &str) -> &[u8] {
        self.0.get(name).map_or(&[], Vec::as_slice)
    }

    /// Refuses another folder in which a file differs, and names it.
    ///
    /// # Errors
    /// [`Error::Differs`] with the file and its first line that differs.
    pub fn require_equal(&self, other: &Self) -> Result<(), Error> {
        for (name, left) in &self.0 {
            let right = other.file(name);
            if left != right {
                let lines = [left, right].map(|data| String::from_utf8_lossy(data).into_owned());
                let pair = lines[0].lines().zip(lines[1].lines()).find(|(l, r)| l != r);
                let (left, right) = pair.unwrap_or(("more or fewer lines", "the expected ones"));
                let shown = |line: &str| line.trim().chars().take(200).collect::<String>();
                let (left, right) = (shown(left), shown(right));
                return Err(Error::Differs(format!("{name}: {left} instead of {right}")));
            }
        }
        Ok(())
    }
}

fn pcrs(number: u32, release: &Release) -> Vec<u8> {
    let Release { pcr0, pcr1, pcr2, .. } = release;
    let accepted = [Accepted { release: number, pcr0, pcr1, pcr2 }];
    // Numbers and strings always serialise.
    let mut text = serde_json::to_vec_pretty(&accepted).expect("measurements are plain data");
    text.push(b'\n');
    text
}

fn names(folder: &Path) -> Result<Vec<String>, Error> {
    let entries = std::fs::read_dir(folder).map_err(Error::file("read", folder))?;
    let mut names = Vec::new();
    for entry in entries {
        let name = entry.map_err(Error::file("read", folder))?.file_name();
        names.push(name.to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn written() -> (tempfile::TempDir, Folder) {
        let place = tempfile::tempdir().unwrap();
        let files = [IMAGE, MANIFEST, PCRS, BILL]
            .map(|name| (name.to_owned(), format!("content of {name}\n").into_bytes()));
        let folder = Folder::summed(BTreeMap::from(files));
        folder.write(place.path()).unwrap();
        (place, folder)
    }

    fn refusal(change: impl FnOnce(&Path)) -> String {
        let (place, _) = written();
        change(place.path());
        let error = Folder::read(place.path()).unwrap_err();
        assert_eq!(error.exit_code(), 1);
        error.to_string()
    }

    #[test]
    fn what_is_written_is_read_back() {
        let (place, folder) = written();
        assert_eq!(Folder::read(place.path()).unwrap(), folder);
    }

    #[test]
    fn a_changed_file_is_named() {
        for name in [IMAGE, MANIFEST, PCRS, BILL] {
            let said = refusal(|at| std::fs::write(at.join(name), "other").unwrap());
            assert!(said.starts_with("not reproducible: SHA256SUMS: "), "{said}");
            assert!(said.contains(&format!("  {name} instead of ")), "{said}");
        }
        let said = refusal(|at| std::fs::write(at.join(SUMS), "").unwrap());
        assert!(said.contains("SHA256SUMS"), "{said}");
    }

    #[test]
    fn a_missing_file_and_one_too_many_are_named() {
        for name in [IMAGE, MANIFEST, PCRS, BILL, SUMS] {
            let said = refusal(|at| std::fs::remove_file(at.join(name)).unwrap());
            assert_eq!(said, format!("not reproducible: the release has no {name}"));
        }
        let said = refusal(|at| std::fs::write(at.join("run.sh"), "").unwrap());
        assert_eq!(said, "not reproducible: run.sh is no file of a release");
    }

    #[test]
    fn a_folder_that_agrees_with_itself_and_not_with_the_rebuilt_one_is_refused() {
        let (_place, folder) = written();
        for name in [IMAGE, MANIFEST, PCRS, BILL] {
            let mut files = folder.0.clone();
            files.remove(SUMS);
            files.insert(name.to_owned(), b"forged\n".to_vec());
            let error = Folder::summed(files).require_equal(&folder).unwrap_err().to_string();
            // The sums come first, and name the file.
            assert!(error.contains(name), "{error}");
        }
    }

    #[test]
    fn a_folder_with_other_things_is_not_written_to() {
        let place = tempfile::tempdir().unwrap();
        std::fs::write(place.path().join("thesis.tex"), "mine").unwrap();
        let (_other, folder) = written();
        let error = folder.write(place.path()).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains("thesis.tex"), "{error}");
    }
}
