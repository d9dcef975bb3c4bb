//! Small workspaces in a temporary folder, for the tests of the gates.

#![allow(clippy::unwrap_used)]

use std::{fs, path::Path, process::Command};

use tempfile::TempDir;

use crate::{process, workspace::Workspace};

/// A workspace that is removed when dropped.
pub(crate) struct Fixture {
    folder: TempDir,
    pub(crate) workspace: Workspace,
}

impl Fixture {
    /// A git repository with these files and, if it has a manifest, a lockfile.
    pub(crate) fn new(files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let workspace = Workspace { target: root.join("target"), root };
        let fixture = Self { folder, workspace };
        fixture.write(".gitignore", "/target\n");
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture.git(&["init", "--quiet"]);
        fixture.lock();
        fixture
    }

    /// A workspace of packages, each given as (name, folder, dependencies), with empty libraries.
    pub(crate) fn packages(packages: &[(&str, &str, &[&str])]) -> Self {
        let folder_of = |name: &str| packages.iter().find(|p| p.0 == name).unwrap().1;
        let mut files = vec![("Cargo.toml".to_string(), members(packages))];
        for (name, folder, dependencies) in packages {
            let mut manifest = manifest(name);
            for dependency in *dependencies {
                let up = "../".repeat(folder.split('/').count());
                let path = format!("{up}{}", folder_of(dependency));
                manifest += &format!("{dependency} = {{ path = \"{path}\" }}\n");
            }
            files.push((format!("{folder}/Cargo.toml"), manifest));
            files.push((format!("{folder}/src/lib.rs"), "#![no_std]\n".into()));
        }
        let files: Vec<_> = files.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        Self::new(&files)
    }

    /// Writes a file.
    pub(crate) fn write(&self, path: &str, text: &str) {
        let path = self.folder.path().join(path);
        fs::create_dir_all(path.parent().unwrap_or(Path::new("/"))).unwrap();
        fs::write(path, text).unwrap();
    }

    /// Commits everything.
    pub(crate) fn commit(&self) {
        self.git(&["add", "."]);
        let who = ["-c", "user.name=test", "-c", "user.email=test@example.invalid"];
        self.git(&[&who[..], &["commit", "--quiet", "--message", "Test"]].concat());
    }

    fn git(&self, args: &[&str]) {
        let mut git = Command::new("git");
        git.current_dir(self.folder.path()).args(args);
        process::text(&mut git).unwrap();
    }

    /// Writes the lockfile anew.
    pub(crate) fn lock(&self) {
        if self.folder.path().join("Cargo.toml").exists() {
            let mut cargo = self.workspace.cargo();
            process::text(cargo.args(["generate-lockfile", "--offline"])).unwrap();
        }
    }
}

/// A manifest that ends in an open `[dependencies]`.
pub(crate) fn manifest(name: &str) -> String {
    format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[dependencies]\n"
    )
}

fn members(packages: &[(&str, &str, &[&str])]) -> String {
    let folders: Vec<_> = packages.iter().map(|p| format!("\"{}\"", p.1)).collect();
    format!("[workspace]\nresolver = \"3\"\nmembers = [{}]\n", folders.join(", "))
}
