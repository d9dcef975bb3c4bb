//! Codex CLI and Claude Code as the agents: unmodified, from their registry, without a question to
//! a user, in a network namespace that has nothing but its loopback.

pub mod install;
pub mod namespace;
pub mod registry;

use std::fs;
use std::io;
use std::path::Path;
use std::path::PathBuf;
use std::process::Output;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;

use crate::agent::Base;
use crate::agent::Done;
use crate::agent::Failed;
use crate::api::Api;
use crate::api::Variant;
use crate::scenario::Step;
use crate::shell::Shell;

/// A bound on a hang: either takes a few seconds.
const PATIENCE: Duration = Duration::from_secs(180);

/// The programs that are shims for these agents. They need the others for themselves.
const SHIMS: [&str; 7] = ["pip", "pip3", "npm", "npx", "curl", "wget", "ls"];

/// A coding agent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Agent {
    /// OpenAI's, which speaks Responses.
    Codex,
    /// Anthropic's, which speaks Messages.
    ClaudeCode,
}

/// Both.
pub const AGENTS: [Agent; 2] = [Agent::Codex, Agent::ClaudeCode];

impl std::fmt::Display for Agent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Codex => "Codex CLI",
            Self::ClaudeCode => "Claude Code",
        })
    }
}

impl Agent {
    /// The API that it speaks.
    pub fn variant(self) -> Variant {
        let api = match self {
            Self::Codex => Api::Responses,
            Self::ClaudeCode => Api::Messages,
        };
        Variant { api, streamed: true }
    }

    /// Takes one step of a task: gives the agent the prompt and waits until it is done.
    pub async fn step(
        self,
        packages: &Path,
        base: &Base,
        registry: &registry::Registry,
        step: &Step,
    ) -> io::Result<Done> {
        let shell = Shell::with(&SHIMS, Some(registry.address()), &step.result)?;
        let home = tempfile::TempDir::new()?;
        let work = home.path().join("work");
        fs::create_dir(&work)?;
        let path = format!("{}:/usr/bin:/bin", shell.programs().display());
        // A login shell would put the system's programs first again.
        fs::write(home.path().join(".profile"), format!("export PATH='{path}'\n"))?;
        let mut command = self.command(packages, home.path(), base, step)?;
        let ended = command
            .env("HOME", home.path())
            .env("PATH", path)
            .env("TERM", "dumb")
            .current_dir(work)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(PATIENCE, ended).await.ok().transpose()?;
        let failed = output.as_ref().map_or(Some(Failed::Broken), failure);
        Ok(Done { ran: shell.take()?, arrived: Vec::new(), failed })
    }

    fn command(
        self,
        packages: &Path,
        home: &Path,
        base: &Base,
        step: &Step,
    ) -> io::Result<Command> {
        let prompt = format!("{} Please run: {}", step.system, step.command);
        let url = format!("http://{}", base.address);
        let mut headers = step.headers.clone();
        let mut command = Command::new(self.program(packages));
        command.env_clear();
        match self {
            Self::Codex => {
                headers.push(script("exec_command", "cmd", &step.command));
                let folder = home.join(".codex");
                fs::create_dir(&folder)?;
                fs::write(folder.join("config.toml"), codex_settings(&url, &headers))?;
                command.env("BENCH_KEY", &base.key).env("CODEX_HOME", folder);
                command.args(["exec", "--dangerously-bypass-approvals-and-sandbox"]);
                command.args(["--skip-git-repo-check", &prompt]);
            }
            Self::ClaudeCode => {
                headers.push(script("Bash", "command", &step.command));
                let lines: Vec<_> = headers.iter().map(|(n, v)| format!("{n}: {v}")).collect();
                command
                    .env("ANTHROPIC_BASE_URL", format!("{url}/anthropic"))
                    .env("ANTHROPIC_API_KEY", &base.key)
                    .env("ANTHROPIC_CUSTOM_HEADERS", lines.join("\n"))
                    .env("CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC", "1")
                    .env("CLAUDE_CODE_MAX_RETRIES", "0")
                    .env("DISABLE_AUTOUPDATER", "1")
                    // It refuses to run without questions as root unless it is told this.
                    .env("IS_SANDBOX", "1");
                command.args(["-p", &prompt, "--dangerously-skip-permissions"]);
            }
        }
        Ok(command)
    }

    fn program(self, packages: &Path) -> PathBuf {
        let modules = packages.join("node_modules");
        match self {
            Self::Codex => {
                modules.join("@openai/codex-linux-x64/vendor/x86_64-unknown-linux-musl/bin/codex")
            }
            Self::ClaudeCode => modules.join("@anthropic-ai/claude-code-linux-x64/claude"),
        }
    }
}

/// The field by which the mock knows what its model asks for.
fn script(tool: &str, argument: &str, value: &str) -> (String, String) {
    let call = format!("call;tool={tool};argument={argument};value={value}");
    ("x-mock-behavior".to_owned(), call)
}

fn codex_settings(url: &str, headers: &[(String, String)]) -> String {
    let headers: Vec<_> =
        headers.iter().map(|(name, value)| format!("{name:?} = {value:?}")).collect();
    format!(
        "model = \"gpt-mock\"\nmodel_provider = \"bench\"\n[model_providers.bench]\n\
         name = \"bench\"\nbase_url = \"{url}/openai/v1\"\nenv_key = \"BENCH_KEY\"\n\
         wire_api = \"responses\"\nrequest_max_retries = 0\nstream_max_retries = 0\n\
         http_headers = {{ {} }}\n",
        headers.join(", ")
    )
}

/// The sentences by which users of these agents know an error, with its code: neither agent shows
/// the code in every case.
const SENTENCES: [(&str, &str); 3] = [
    ("verification failed at step", "verification_failed"),
    ("upstream_tls", "upstream_tls"),
    ("Whoever answered in the provider's place could not prove to be", "upstream_tls"),
];

/// What an agent that did not come through said last.
fn failure(output: &Output) -> Option<Failed> {
    if output.status.success() {
        return None;
    }
    let said = [&output.stdout[..], &output.stderr[..]].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    let code = SENTENCES.iter().find(|(sentence, _)| said.contains(sentence));
    Some(Failed::Refused(code.map_or("another error", |(_, code)| code).to_owned(), said))
}
