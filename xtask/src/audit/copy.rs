//! A copy of the tree below the builds of the original, with a target folder of its own, so that no
//! patched program lies where somebody could start it by mistake. The working tree is never
//! touched; files whose content is right keep their time, so that builds stay incremental.

use std::{
    collections::BTreeSet,
    fs,
    fs::File,
    path::{Path, PathBuf},
};

use crate::{failure::Failure, workspace::Workspace};

/// The copy; nobody else uses it while this value lives.
#[derive(Debug)]
pub(super) struct Copy {
    /// Where patches are applied and tests run.
    pub(super) workspace: Workspace,
    /// Where the output of the last program goes.
    pub(super) log: PathBuf,
    /// What it is a copy of.
    pub(super) original: Workspace,
    _lock: File,
}

impl Copy {
    /// The copy of this workspace, made or brought up to date.
    pub(super) fn of(original: &Workspace) -> Result<Self, Failure> {
        Self::at(original, &original.target.join("audit"))
    }

    /// The same in a given folder.
    pub(super) fn at(original: &Workspace, folder: &Path) -> Result<Self, Failure> {
        let workspace = Workspace { root: folder.join("tree"), target: folder.join("target") };
        let root = &workspace.root;
        fs::create_dir_all(root).map_err(|e| Failure::file(root, &e))?;
        let path = folder.join("lock");
        let lock = File::create(&path).map_err(|e| Failure::file(&path, &e))?;
        lock.lock().map_err(|e| Failure::file(&path, &e))?;
        let copy =
            Self { workspace, log: folder.join("log"), original: original.clone(), _lock: lock };
        copy.sync()?;
        Ok(copy)
    }

    /// Makes the copy equal to the original, also when a patch of an earlier run was left in it.
    /// Done once: the original may be edited while patches run.
    fn sync(&self) -> Result<(), Failure> {
        let files: BTreeSet<_> = self.original.files()?.into_iter().collect();
        let (from, to) = (&self.original.root, &self.workspace.root);
        for file in &files {
            copy_if_different(&from.join(file), &to.join(file))?;
        }
        let mut present = Vec::new();
        list(to, &mut present)?;
        for path in present {
            let known = path.strip_prefix(to).is_ok_and(|file| files.contains(file));
            if !known {
                fs::remove_file(&path).map_err(|e| Failure::file(&path, &e))?;
            }
        }
        Ok(())
    }
}

fn copy_if_different(from: &Path, to: &Path) -> Result<(), Failure> {
    let wanted = fs::read(from).map_err(|e| Failure::file(from, &e))?;
    if fs::read(to).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    let folder = to.parent().unwrap_or(to);
    fs::create_dir_all(folder).map_err(|e| Failure::file(folder, &e))?;
    fs::write(to, wanted).map_err(|e| Failure::file(to, &e))?;
    let mode = fs::metadata(from).map_err(|e| Failure::file(from, &e))?.permissions();
    fs::set_permissions(to, mode).map_err(|e| Failure::file(to, &e))
}

fn list(folder: &Path, found: &mut Vec<PathBuf>) -> Result<(), Failure> {
    for entry in fs::read_dir(folder).map_err(|e| Failure::file(folder, &e))? {
        let path = entry.map_err(|e| Failure::file(folder, &e))?.path();
        match path.is_dir() && !path.is_symlink() {
            true => list(&path, found)?,
            false => found.push(path),
        }
    }
    Ok(())
}
