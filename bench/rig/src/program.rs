//! The real programs as child processes: found or built, watched line by line, ended on drop.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::io::BufRead as _;
use std::io::BufReader;
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::path::PathBuf;
use std::process::Child;
use std::process::ChildStdin;
use std::process::Command;
use std::process::ExitStatus;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::PoisonError;
use std::thread;
use std::time::Duration;
use std::time::SystemTime;

use tokio::sync::watch;

/// How long a program may take until it says that it is ready: a bound on a hang, many times
/// what a loaded machine needs.
const READY: Duration = Duration::from_secs(60);

/// What no program of ours may ever end with: SIGILL, SIGABRT, SIGSEGV, and SIGSYS, which is a system
/// call that a confined enclave may not make (the kernel's log has its number).
const FATAL: [i32; 4] = [4, 6, 11, 31];

/// A program of this workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// `aegis-enclave-dev`
    Enclave,
    /// `aegis-host`
    Host,
    /// `aegis`
    Aegis,
}

impl Binary {
    fn package(self) -> &'static str {
        match self {
            Self::Enclave => "aegis-enclave-dev",
            Self::Host => "aegis-host",
            Self::Aegis => "aegis",
        }
    }

    /// Path of the program, built first when it is missing or older than its sources.
    pub fn path(self) -> io::Result<PathBuf> {
        static BUILD: Mutex<()> = Mutex::new(());
        let _one_at_a_time = BUILD.lock().unwrap_or_else(PoisonError::into_inner);
        let folder = profile_folder()?;
        let path = folder.join(self.package());
        if !fresh(&path) {
            build(self.package(), &folder)?;
        }
        Ok(path)
    }
}

/// The folder of finished programs beside which this test executable lies (`deps/` or it).
fn profile_folder() -> io::Result<PathBuf> {
    let test = env::current_exe()?;
    let folder = test.ancestors().skip(1).find(|folder| !folder.ends_with("deps"));
    folder.map(Path::to_path_buf).ok_or_else(|| io::Error::other("the test lies in no folder"))
}

/// Whether the program is newer than every source file that cargo noted for it. A program built
/// from other sources would make tests pass or fail for code that is not there.
fn fresh(path: &Path) -> bool {
    let time = |path: &Path| fs::metadata(path).and_then(|data| data.modified());
    let (Ok(built), Ok(list)) = (time(path), fs::read_to_string(path.with_extension("d"))) else {
        return false;
    };
    let older =
        |source: &str| time(Path::new(source)).is_ok_and(|changed: SystemTime| changed <= built);
    list.split_once(": ").is_some_and(|(_, sources)| sources.split_whitespace().all(older))
}

/// Builds all programs, as `cargo xtask test` does before the tests: one package alone would have
/// other features, and its dependencies be compiled again.
fn build(package: &str, folder: &Path) -> io::Result<()> {
    eprintln!("rig: {package} is missing or older than its sources: building the workspace");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let target = folder.parent().ok_or_else(|| io::Error::other("no target folder"))?;
    let profile = match folder.file_name().and_then(OsStr::to_str) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let status = Command::new(cargo)
        .args(["build", "--quiet", "--workspace", "--profile", profile])
        .arg("--target-dir")
        .arg(target)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .status()?;
    if !status.success() {
        return Err(io::Error::other(format!("cargo could not build {package}: {status}")));
    }
    // Cargo leaves a program's time alone when a touched source compiles to what was there.
    fs::File::options().append(true).open(folder.join(package))?.set_modified(SystemTime::now())
}

/// Output of a program so far.
#[derive(Clone, Debug, Default)]
struct Output {
    lines: Vec<String>,
    ended: bool,
}

/// A running program. Dropping it closes its stdin and ends it.
#[derive(Debug)]
pub struct Program {
    name: &'static str,
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: watch::Receiver<Output>,
    stderr: watch::Receiver<Output>,
}

impl Program {
    /// Starts a program of the workspace.
    pub fn start(binary: Binary, arguments: &[&OsStr]) -> io::Result<Self> {
        Self::start_at(binary, &binary.path()?, arguments)
    }

    /// Runs a program of the workspace to its end and gives what it printed; one that fails is an
    /// error with what it said.
    pub fn output(binary: Binary, arguments: &[&OsStr]) -> io::Result<Vec<u8>> {
        Self::output_with_code(0, binary, arguments)
    }

    /// The same of a program that ends with this exit code.
    pub fn output_with_code(
        code: i32,
        binary: Binary,
        arguments: &[&OsStr],
    ) -> io::Result<Vec<u8>> {
        let output = Command::new(binary.path()?).args(arguments).output()?;
        match output.status.code() == Some(code) {
            true => Ok(output.stdout),
            false => Err(io::Error::other(String::from_utf8_lossy(&output.stderr).into_owned())),
        }
    }

    /// Starts a program of the workspace from another file than its own, such as a changed copy.
    pub fn start_at(binary: Binary, path: &Path, arguments: &[&OsStr]) -> io::Result<Self> {
        let mut child = Command::new(path)
            .args(arguments)
            // As talkative as a log can be made: what tests scan must not depend on a setting.
            .env("RUST_LOG", "trace")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        let stdin = child.stdin.take();
        let stdout = watch_lines(child.stdout.take());
        let stderr = watch_lines(child.stderr.take());
        Ok(Self { name: binary.package(), child, stdin, stdout, stderr })
    }

    /// Process number.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Waits for a line on stdout in which `find` finds what it looks for.
    pub async fn line<T>(&self, find: impl Fn(&str) -> Option<T>) -> io::Result<T> {
        let mut stdout = self.stdout.clone();
        let search =
            stdout.wait_for(|out| out.ended || out.lines.iter().any(|l| find(l).is_some()));
        let output = match tokio::time::timeout(READY, search).await {
            Ok(Ok(output)) => output.clone(),
            Ok(Err(_)) | Err(_) => Output::default(),
        };
        if let Some(found) = output.lines.iter().find_map(|line| find(line)) {
            return Ok(found);
        }
        if output.ended {
            // Its last words may come a moment after the end of its output.
            let mut stderr = self.stderr.clone();
            let _ = tokio::time::timeout(READY, stderr.wait_for(|errors| errors.ended)).await;
        }
        let said = [output.lines.join("\n"), self.stderr()].join("\n");
        Err(io::Error::other(format!("{} did not say what it should; it said:\n{said}", self.name)))
    }

    /// Lines of stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.borrow().lines.join("\n")
    }

    /// Lines of stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.borrow().lines.join("\n")
    }

    /// Closes stdin, which the programs take as the request to end, and waits for that.
    pub async fn finish(mut self) -> io::Result<ExitStatus> {
        drop(self.stdin.take());
        let mut stdout = self.stdout.clone();
        let ended = stdout.wait_for(|output| output.ended);
        if tokio::time::timeout(READY, ended).await.is_err() {
            return Err(io::Error::other(format!("{} does not end by itself", self.name)));
        }
        self.child.wait()
    }

    /// Ends the program at once, as a crash would.
    pub fn kill(mut self) -> io::Result<ExitStatus> {
        self.child.kill()?;
        self.child.wait()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.stdin.take());
        // A program that has ended already cannot be killed, which is what is wanted.
        let _ = self.child.kill();
        let ended = self.child.wait().ok().and_then(|status| status.signal());
        // A test that only saw the program go away would take its death for what it waited for.
        if let Some(signal) = ended.filter(|signal| FATAL.contains(signal)) {
            let said = format!("{} died of signal {signal}: {}", self.name, self.stderr());
            assert!(thread::panicking(), "{said}");
            eprintln!("{said}");
        }
    }
}

fn watch_lines(output: Option<impl io::Read + Send + 'static>) -> watch::Receiver<Output> {
    let (send, receive) = watch::channel(Output::default());
    thread::spawn(move || {
        if let Some(output) = output {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                send.send_modify(|output| output.lines.push(line));
            }
        }
        send.send_modify(|output| output.ended = true);
    });
    receive
}
