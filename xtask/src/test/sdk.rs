//! The official SDKs against `aegis up` with its mock provider: what a new user does.

use std::{
    fs,
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde::Deserialize;

use super::{
    FAILED,
    libtest::Counts,
    one,
    stages::{built, counted},
};
use crate::{failure::Failure, process, workspace::Workspace};

/// Longest wait until `aegis up` listens, and until it has ended after Ctrl-C.
const WAIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

/// Set, they would make `aegis up` use the real provider.
const PROVIDER_KEYS: &[&str] =
    &["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"];

/// What `aegis up` writes when it is ready.
#[derive(Debug, Deserialize)]
struct Ready {
    /// Address of the agent.
    agent: String,
    /// What an SDK sends as its key.
    key: String,
}

/// Starts `aegis up`, runs `bench/sdk/run` against it, and ends it as Ctrl-C does.
pub(super) fn run(workspace: &Workspace) -> Result<Counts, Failure> {
    for tool in ["python3", "node", "npm"] {
        process::text(Command::new(tool).arg("--version"))?;
    }
    if !built(workspace)? {
        return Ok(FAILED);
    }
    let folder = workspace.target.join("sdk");
    fs::create_dir_all(&folder).map_err(|e| Failure::file(&folder, &e))?;
    let mut router = Router::start(workspace, &folder)?;
    let ready = router.ready()?;
    let mut sdks = Command::new(workspace.root.join("bench/sdk/run"));
    sdks.env("AEGIS_TEST_BASE", &ready.agent);
    sdks.env("AEGIS_TEST_KEY", &ready.key);
    let (mut counts, success) = counted(&mut sdks, Counts::of_last_line)?;
    if !success && counts.failed == 0 {
        println!("bench/sdk/run failed before its last line");
        counts += FAILED;
    }
    let ended = router.interrupt()?;
    if !ended {
        println!("aegis up did not end cleanly on Ctrl-C; see {}", router.log.display());
    }
    counts += one(ended);
    Ok(counts)
}

/// `aegis up`, killed with all that it started if it is still there when dropped.
struct Router {
    child: Child,
    ready: PathBuf,
    log: PathBuf,
}

impl Router {
    fn start(workspace: &Workspace, folder: &Path) -> Result<Self, Failure> {
        let (ready, log) = (folder.join("ready.json"), folder.join("up.log"));
        match fs::remove_file(&ready) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                return Err(Failure::file(&ready, &e));
            }
            _ => {}
        }
        let output = fs::File::create(&log).map_err(|e| Failure::file(&log, &e))?;
        let errors = output.try_clone().map_err(|e| Failure::file(&log, &e))?;
        let mut up = Command::new(workspace.target.join("debug/aegis"));
        up.args(["up", "--listen", "127.0.0.1:0", "--ready-file"]).arg(&ready);
        for key in PROVIDER_KEYS {
            up.env_remove(key);
        }
        up.stdin(Stdio::null()).stdout(output).stderr(errors).process_group(0);
        let child = up.spawn().map_err(|e| process::cannot_start(&up, &e))?;
        Ok(Self { child, ready, log })
    }

    /// What it says of itself once it listens.
    fn ready(&mut self) -> Result<Ready, Failure> {
        let deadline = Instant::now() + WAIT;
        while Instant::now() < deadline && self.running() {
            // Absent or half-written until it is ready.
            let text = fs::read_to_string(&self.ready).unwrap_or_default();
            if let Ok(ready) = serde_json::from_str(&text) {
                return Ok(ready);
            }
            thread::sleep(POLL);
        }
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let last = log.lines().last().unwrap_or("it said nothing");
        Err(Failure::Refused(format!("aegis up did not become ready: {last}")))
    }

    /// Ctrl-C; whether it then ended by itself and with success.
    fn interrupt(&mut self) -> Result<bool, Failure> {
        let mut kill = Command::new("kill");
        process::passes(kill.args(["-s", "INT", &self.child.id().to_string()]))?;
        let deadline = Instant::now() + WAIT;
        while Instant::now() < deadline {
            if let Ok(Some(status)) = self.child.try_wait() {
                return Ok(status.success());
            }
            thread::sleep(POLL);
        }
        Ok(false)
    }

    fn running(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(None))
    }
}

impl Drop for Router {
    fn drop(&mut self) {
        if self.running() {
            // Nothing is left to report to: the stage's result stands already.
            let _ = process::stop_group(&mut self.child, "KILL");
        }
    }
}
