//! A PostgreSQL of the tests' own, from Debian's packages: nothing is installed, nothing of the
//! machine is touched. It ends with the process that started it.

use std::{
    fs::{self, Permissions},
    io::{BufRead, BufReader},
    os::unix::{
        fs::{PermissionsExt, chown},
        process::CommandExt,
    },
    path::PathBuf,
    process::{Child, ChildStdin, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

use sqlx::{Connection, Executor, PgConnection};
use tempfile::TempDir;

/// The server and the library that Debian puts into another package.
const PACKAGES: [&str; 2] = ["postgresql-15", "libpq5"];
/// A user without any rights: a server refuses to run as root.
const NOBODY: u32 = 65534;

struct Server {
    folder: TempDir,
    /// The server's shell ends it when this ends.
    _life: ChildStdin,
    _child: Child,
}

/// The address of a new, empty database.
pub(crate) async fn database() -> String {
    static SERVER: OnceLock<Server> = OnceLock::new();
    static NEXT: AtomicU32 = AtomicU32::new(1);
    let server = SERVER.get_or_init(start);
    let name = format!("test_{}", NEXT.fetch_add(1, Ordering::Relaxed));
    let url = |name: &str| {
        let sockets = server.folder.path().join("sockets").display().to_string();
        format!("postgres://aegis@localhost/{name}?host={sockets}")
    };
    let mut connection = PgConnection::connect(&url("postgres")).await.unwrap();
    connection.execute(format!("CREATE DATABASE {name}").as_str()).await.unwrap();
    connection.close().await.unwrap();
    url(&name)
}

fn start() -> Server {
    let folder = tempfile::Builder::new().prefix("aegis-pg-").tempdir().unwrap();
    fs::set_permissions(folder.path(), Permissions::from_mode(0o755)).unwrap();
    let root = folder.path().join("root");
    for package in packages() {
        done(Command::new("dpkg").arg("-x").arg(package).arg(&root));
    }
    let uid = done(Command::new("id").arg("-u"));
    let is_root = uid.trim() == "0";
    for name in ["data", "sockets"] {
        let path = folder.path().join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, Permissions::from_mode(0o700)).unwrap();
        if is_root {
            chown(&path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
    }
    let bin = root.join("usr/lib/postgresql/15/bin");
    let as_user = |mut command: Command| {
        if is_root {
            command.uid(NOBODY).gid(NOBODY);
        }
        command
            .current_dir(folder.path())
            .env("LD_LIBRARY_PATH", root.join("usr/lib/x86_64-linux-gnu"));
        command
    };
    let mut initdb = Command::new(bin.join("initdb"));
    initdb.args(["--username=aegis", "--auth=trust", "--encoding=UTF8", "--locale=C", "--no-sync"]);
    initdb.arg("--pgdata").arg(folder.path().join("data"));
    done(&mut as_user(initdb));
    // The shell waits for its standard input to end, which it does with this process, however
    // that ends; a server that is killed leaves nothing that a test would miss.
    let mut shell = Command::new("sh");
    shell.arg("-c").arg(
        "\"$0\" -D data -k \"$PWD/sockets\" -c listen_addresses= -c max_connections=200 2>&1 & \
         server=$!; read -r _; kill -QUIT $server; wait $server",
    );
    shell.arg(bin.join("postgres")).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = as_user(shell).spawn().unwrap();
    let (life, out) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut lines = BufReader::new(out).lines().map_while(Result::ok);
    let ready = lines.by_ref().find(|line| line.contains("ready to accept connections"));
    assert!(ready.is_some(), "PostgreSQL did not start");
    // Whoever writes to a pipe that nobody reads waits.
    std::thread::spawn(move || lines.for_each(drop));
    Server { folder, _life: life, _child: child }
}

/// The packages' files, downloaded once into the cache.
fn packages() -> Vec<PathBuf> {
    let var = |name| std::env::var_os(name).map(PathBuf::from);
    let home = || var("XDG_CACHE_HOME").or_else(|| var("HOME").map(|home| home.join(".cache")));
    let cache = var("AEGIS_CACHE").or_else(|| home().map(|cache| cache.join("aegis")));
    let folder = cache.expect("no HOME").join("postgresql-15");
    let found = || -> Option<Vec<PathBuf>> {
        let names = fs::read_dir(&folder).ok()?.flatten().map(|entry| entry.path());
        Some(names.filter(|path| path.extension().is_some_and(|e| e == "deb")).collect())
    };
    if let Some(found) = found().filter(|found| found.len() == PACKAGES.len()) {
        return found;
    }
    eprintln!("downloading Debian packages: {}", PACKAGES.join(" "));
    let partial = folder.with_extension(std::process::id().to_string());
    fs::create_dir_all(partial.join("archives/partial")).unwrap();
    let download = || {
        let mut apt = Command::new("apt-get");
        apt.current_dir(&partial).args(["-o", "DPkg::Lock::Timeout=300", "-o"]);
        apt.arg(format!("Dir::Cache::archives={}", partial.join("archives").display()));
        apt.arg("download").args(PACKAGES).output().unwrap().status.success()
    };
    if !download() {
        // The index is older than what the mirrors have.
        done(Command::new("apt-get").args(["-o", "DPkg::Lock::Timeout=300", "update"]));
        assert!(
            download(),
            "apt-get download {}: see that the network is there",
            PACKAGES.join(" ")
        );
    }
    fs::remove_dir_all(partial.join("archives")).unwrap();
    // Another process may have been faster; both have the same.
    let _ = fs::rename(&partial, &folder);
    let _ = fs::remove_dir_all(&partial);
    found().expect("the cache")
}

/// Runs a program to its end; what it printed.
fn done(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8_lossy(&output.stdout).into_owned()
}
