//! A program that `aegis up` started: its lines, its last words, its end.
//!
//! A child is in a process group of its own, so that Ctrl-C in a terminal reaches this program
//! alone, which then ends them in order. It ends with its standard input, so it does not outlive a
//! parent that dies.

use std::{
    env,
    path::PathBuf,
    process::{ExitStatus, Stdio},
    time::Duration,
};

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt, BufReader, Lines},
    process::{self, ChildStdin, ChildStdout, Command},
    sync::watch,
    time::timeout,
};

use crate::failure::{Exit, Failure};

/// Time for a program to say that it is ready: the first start of a debug build on a busy machine.
pub(super) const READY: Duration = Duration::from_secs(30);
/// Time for it to end once its standard input has.
const END: Duration = Duration::from_secs(5);
/// Provider keys, which only the host may see.
pub(super) const PROVIDER_KEYS: [&str; 4] =
    ["OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY", "OPENROUTER_API_KEY"];

/// A running program.
pub(super) struct Child {
    name: &'static str,
    process: process::Child,
    stdin: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    /// Whether it said anything on standard error; ends when that does.
    complained: watch::Receiver<bool>,
}

/// The program of that name beside this one.
pub(super) fn program(name: &str) -> Result<PathBuf, Failure> {
    let this = env::current_exe().map_err(|e| {
        Failure::environment(format!(
            "cannot find the folder of this program: {e}; start it by its path"
        ))
    })?;
    let path = this.with_file_name(name);
    if path.is_file() {
        return Ok(path);
    }
    let path = path.display();
    Err(Failure::environment(format!(
        "{path} is missing; build it with: cargo build -p aegis -p aegis-host -p aegis-enclave-dev -p aegis-mock"
    )))
}

/// A command for that program. Provider keys are not passed on.
pub(super) fn command(name: &str) -> Result<Command, Failure> {
    let mut command = Command::new(program(name)?);
    for key in PROVIDER_KEYS {
        command.env_remove(key);
    }
    command.process_group(0).kill_on_drop(true);
    Ok(command)
}

impl Child {
    /// Starts a program that prints JSON lines.
    pub(super) fn start(name: &'static str, mut command: Command) -> Result<Self, Failure> {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().map_err(|e| {
            Failure::environment(format!("cannot start {name}: {e}; build it anew"))
        })?;
        let (stdin, stdout, stderr) =
            (process.stdin.take(), process.stdout.take(), process.stderr.take());
        let (Some(stdout), Some(stderr)) = (stdout, stderr) else {
            return Err(Failure::environment(format!("{name} has no output; start it again")));
        };
        let (said, complained) = watch::channel(false);
        tokio::spawn(pass_on(name, BufReader::new(stderr).lines(), said));
        Ok(Self { name, process, stdin, lines: BufReader::new(stdout).lines(), complained })
    }

    /// The line that it prints when it is ready.
    pub(super) async fn ready(&mut self) -> Result<Value, Failure> {
        match timeout(READY, self.line()).await {
            Ok(Some(line)) => serde_json::from_str(&line).map_err(|e| {
                let name = self.name;
                Failure::environment(format!(
                    "{name} said something else than that it is ready ({e}); build it anew"
                ))
            }),
            Ok(None) => Err(self.died().await),
            Err(_) => Err(Failure::environment(format!(
                "{} is not ready after {READY:?}; look at what it printed, and start again",
                self.name
            ))),
        }
    }

    /// The next line; none once its output has ended.
    pub(super) async fn line(&mut self) -> Option<String> {
        // An error on a pipe is its end.
        self.lines.next_line().await.ok().flatten()
    }

    /// Waits until its output ends, which no healthy program's does, and says why.
    pub(super) async fn died(&mut self) -> Failure {
        while self.line().await.is_some() {}
        let status = timeout(END, self.process.wait()).await;
        let how = match status {
            Ok(Ok(status)) => describe(status),
            _ => "it closed its output".to_owned(),
        };
        while self.complained.changed().await.is_ok() {}
        let why = match *self.complained.borrow() {
            true => "what it said stands above",
            false => "it gave no reason; look at what the operator saw",
        };
        let exit = match status {
            Ok(Ok(status)) => exit(status),
            _ => Exit::Environment,
        };
        let name = self.name;
        Failure { exit, message: format!("{name} ended by itself ({how}): {why}") }
    }

    /// Ends its standard input: it finishes and prints what it still has to.
    pub(super) fn hang_up(&mut self) {
        self.stdin = None;
    }

    /// Waits for its end, and ends it by its number when it takes too long.
    pub(super) async fn end(&mut self) {
        self.hang_up();
        if timeout(END, self.process.wait()).await.is_err() {
            // It is gone already when this fails.
            let _ = self.process.kill().await;
        }
    }
}

fn describe(status: ExitStatus) -> String {
    status.code().map_or_else(|| "ended by a signal".to_owned(), |code| format!("exit code {code}"))
}

/// A part that refused, or that was configured wrongly, makes the whole do so.
pub(super) fn exit(status: ExitStatus) -> Exit {
    match status.code() {
        Some(1) => Exit::Refused,
        Some(2) => Exit::Usage,
        _ => Exit::Environment,
    }
}

/// Shows a child's complaints as they come, under its name once.
async fn pass_on(
    name: &'static str,
    mut lines: Lines<BufReader<process::ChildStderr>>,
    said: watch::Sender<bool>,
) {
    while let Ok(Some(line)) = lines.next_line().await {
        eprintln!("{name}: {}", unnamed(name, &line));
        said.send_replace(true);
    }
}

/// A complaint without the name of the program that it may begin with.
pub(super) fn unnamed<'a>(name: &str, line: &'a str) -> &'a str {
    line.strip_prefix(name).and_then(|rest| rest.strip_prefix(": ")).unwrap_or(line)
}
