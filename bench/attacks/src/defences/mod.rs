//! The three client-side defences of arXiv 2604.08407, reimplemented from their description, on the
//! corpus of these attacks: a policy gate that fails closed, screening of answers for anomalies, and
//! an append-only log. None of them needs anything of a router, and none knows what the provider
//! said; they judge what arrives.

mod gate;
mod log;
mod screening;

use std::io;
use std::time::Instant;

use crate::api;
use crate::attacks;
use crate::report::Found;
use crate::run;
use crate::run::Executor;
use crate::scenario::Goal;
use crate::scenario::Step;

pub use gate::Gate;
pub use log::Log;
pub use screening::Screening;

/// Commands of an agent that does its work, one a line; a `#` begins a comment.
const BENIGN: &str = include_str!("benign.txt");

/// The benign commands: every second one, from the first or from the second.
pub fn benign(half: usize) -> Vec<&'static str> {
    let lines = BENIGN.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines.skip(half).step_by(2).collect()
}

/// A defence that judges a tool call before it is executed.
pub trait Defence {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Whether the command may run.
    fn admits(&self, command: &str) -> bool;
}

/// What one defence did with both corpora.
#[derive(Clone, Debug)]
pub struct Judged {
    /// What it is called.
    pub name: &'static str,
    /// For each class of attacks: how many of its calls were refused, of how many.
    pub refused: [(usize, usize); 4],
    /// Benign commands refused, of how many.
    pub false_positives: (usize, usize),
    /// Time for one judgement.
    pub microseconds: f64,
}

/// The classes, in the order of [`Judged::refused`].
pub const CLASSES: [&str; 4] = ["AC-1", "AC-1.a", "AC-1.b", "AC-2"];

/// What reaches the agent under an attack: the commands of its last step, in each variant.
pub struct Attacked {
    /// Index into [`CLASSES`].
    pub class: usize,
    /// A command as it arrived.
    pub command: String,
}

/// Runs every attack against the baseline and keeps what arrived.
pub async fn attacked() -> io::Result<Vec<Attacked>> {
    let mut corpus = Vec::new();
    for attack in attacks::all() {
        let class = class_of(attack.id());
        let class =
            class.ok_or_else(|| io::Error::other(format!("{} has no class", attack.id())))?;
        let executors = Executor::small(&api::variants());
        for arrived in run::arrived_at_baseline(attack.as_ref(), &executors).await? {
            corpus.extend(arrived.into_iter().map(|command| Attacked { class, command }));
        }
        // An attack of class AC-2 leaves the calls as they are; there must have been some.
        let silent = matches!(attack.goal(), Goal::Take(_));
        if corpus.iter().filter(|call| call.class == class).count() == 0 && !silent {
            return Err(io::Error::other(format!("{} brought no call", attack.id())));
        }
    }
    Ok(corpus)
}

/// Judges both corpora. The screening has learned from the first half of the benign commands; all
/// defences are judged on the second.
pub fn judge(defence: &dyn Defence, corpus: &[Attacked]) -> Judged {
    let benign = benign(1);
    let begun = Instant::now();
    let mut refused = [(0, 0); 4];
    for call in corpus {
        let (count, of) = &mut refused[call.class];
        *count += usize::from(!defence.admits(&call.command));
        *of += 1;
    }
    let wrong = benign.iter().filter(|command| !defence.admits(command)).count();
    let judgements = corpus.len() + benign.len();
    let microseconds = begun.elapsed().as_secs_f64() * 1e6 / judgements as f64;
    let false_positives = (wrong, benign.len());
    Judged { name: defence.name(), refused, false_positives, microseconds }
}

/// The benign commands that an agent does not get as the provider sent them, on the sealed path with
/// a host that behaves.
pub async fn benign_changed_by_sealing() -> io::Result<(usize, usize)> {
    let steps: Vec<Step> = benign(1).into_iter().map(Step::new).collect();
    let arrived = run::arrived_on_sealed(&steps).await?;
    let pairs = arrived.iter().zip(&steps);
    let changed = pairs.filter(|(arrived, step)| ***arrived != [step.command.clone()]).count();
    Ok((changed, steps.len()))
}

/// The table that sets the defences beside the sealed path.
pub fn table(
    judged: &[Judged],
    log: &Log,
    found: &[Found],
    benign_changed: (usize, usize),
) -> String {
    let share = |(count, of): (usize, usize)| format!("{count} of {of}");
    let mut text = String::from(
        "| defence | AC-1 | AC-1.a | AC-1.b | AC-2 | benign commands refused | cost of a call |\n\
         |---|---|---|---|---|---|---|\n",
    );
    for row in judged {
        let classes: Vec<_> = row.refused.iter().map(|pair| share(*pair)).collect();
        let (classes, wrong) = (classes.join(" | "), share(row.false_positives));
        text += &format!("| {} | {classes} | {wrong} | {:.1} us |\n", row.name, row.microseconds);
    }
    text += &format!(
        "| append-only log | found afterwards | found afterwards | found afterwards | never | none | \
         {:.1} us, {} bytes |\n",
        log.microseconds(),
        log.bytes_per_call(),
    );
    let mut stopped = [(0, 0); 4];
    for row in found {
        if let Some(class) = class_of(row.id) {
            stopped[class].0 += usize::from(!row.through());
            stopped[class].1 += 1;
        }
    }
    let stopped: Vec<_> = stopped.into_iter().map(|pair| share(pair) + " attacks").collect();
    let (stopped, changed) = (stopped.join(" | "), share(benign_changed));
    text + &format!("| sealed path | {stopped} | {changed} | measured in bench/perf |\n")
}

/// The class of an attack, by its name.
fn class_of(id: &str) -> Option<usize> {
    CLASSES.iter().rposition(|class| {
        let rest = id.strip_prefix(class);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    })
}
