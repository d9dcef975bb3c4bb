//! What an attack is: a task that a user gives his agent, a malicious program on the way, and what
//! that program wants.

use std::sync::Arc;

use crate::attacker::Attacker;
use crate::attacker::Clock;

/// One prompt of a user: the provider's model answers it with one call of a tool.
#[derive(Clone, Debug)]
pub struct Step {
    /// The command that the provider's model asks for.
    pub command: String,
    /// The system prompt.
    pub system: String,
    /// Name of the tool that is offered.
    pub tool: String,
    /// Header fields beyond those of the SDK.
    pub headers: Vec<(String, String)>,
    /// What the command prints; the next request carries it.
    pub result: String,
    /// The hour of the day on the attacker's clock.
    pub hour: u8,
}

impl Step {
    /// A step with nothing out of the ordinary.
    pub fn new(command: &str) -> Self {
        Self {
            command: command.to_owned(),
            system: "You are a coding agent.".to_owned(),
            tool: "shell".to_owned(),
            headers: Vec::new(),
            result: "done".to_owned(),
            hour: 12,
        }
    }

    /// The same with another system prompt.
    pub fn system(self, system: &str) -> Self {
        Self { system: system.to_owned(), ..self }
    }

    /// The same with another tool.
    pub fn tool(self, tool: &str) -> Self {
        Self { tool: tool.to_owned(), ..self }
    }

    /// The same with one more header field.
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The same with another result.
    pub fn result(self, result: &str) -> Self {
        Self { result: result.to_owned(), ..self }
    }

    /// The same at another hour.
    pub fn hour(self, hour: u8) -> Self {
        Self { hour, ..self }
    }
}

/// What an attacker wants.
#[derive(Clone, Debug)]
pub enum Goal {
    /// The agent runs this line in the last step and in none before it, where it would be noticed
    /// by somebody who tries a router out.
    Run(String),
    /// All of these secrets.
    Take(Vec<String>),
}

/// An attack: one file in `attacks/`.
pub trait Attack: Send + Sync {
    /// Its name in the ledger.
    fn id(&self) -> &'static str;

    /// What the user has the agent do.
    fn task(&self) -> Vec<Step>;

    /// What the attacker wants of it.
    fn goal(&self) -> Goal;

    /// The malicious program, as it is before it has seen anything.
    fn attacker(&self, clock: &Clock) -> Arc<dyn Attacker>;
}
