//! What was found, beside what the ledger expects.

use std::io;

use crate::adaptive;
use crate::adaptive::Adaptive;
use crate::adaptive::Verdict;
use crate::api;
use crate::attacks;
use crate::place;
use crate::place::Place;
use crate::place::Trust;
use crate::run;
use crate::run::Ending;
use crate::run::Executor;
use crate::scenario::Attack;

/// The endings of one attack in one place, one for each variant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endings(pub Vec<Ending>);

impl Endings {
    /// Whether the attack succeeded in every variant.
    pub fn all_succeed(&self) -> bool {
        !self.0.is_empty() && self.0.iter().all(|ending| *ending == Ending::Success)
    }

    /// Whether it succeeded in any.
    pub fn any_succeeds(&self) -> bool {
        self.0.contains(&Ending::Success)
    }

    /// The one word for all variants, or each that differs.
    pub fn words(&self) -> String {
        let mut words: Vec<String> = self.0.iter().map(Ending::to_string).collect();
        words.dedup();
        words.join(" / ")
    }
}

/// One attack, live in both.
#[derive(Clone, Debug)]
pub struct Found {
    /// Its name.
    pub id: &'static str,
    /// In the plaintext router.
    pub baseline: Endings,
    /// In the host's place, in the order of [`place::PLACES`].
    pub sealed: Vec<Endings>,
}

impl Found {
    /// Runs an attack everywhere.
    pub async fn run(
        attack: &dyn Attack,
        executors: &[Executor<'_>],
        trust: Trust,
    ) -> io::Result<Self> {
        let baseline = Self::at_baseline(attack, executors).await?;
        let sealed = Self::at_sealed(attack, executors, trust).await?;
        Ok(Self { id: attack.id(), baseline, sealed })
    }

    /// Runs it in the plaintext router.
    pub async fn at_baseline(
        attack: &dyn Attack,
        executors: &[Executor<'_>],
    ) -> io::Result<Endings> {
        run::against_baseline(attack, executors, true).await.map(Endings)
    }

    /// Runs it in every place on the sealed path.
    pub async fn at_sealed(
        attack: &dyn Attack,
        executors: &[Executor<'_>],
        trust: Trust,
    ) -> io::Result<Vec<Endings>> {
        let mut sealed = Vec::new();
        for place in place::PLACES {
            sealed.push(Endings(run::against_sealed(attack, executors, place, trust).await?));
        }
        Ok(sealed)
    }

    /// In this place.
    pub fn at(&self, place: Place) -> &Endings {
        &self.sealed[place as usize]
    }

    /// Whether anything got through the sealed path.
    pub fn through(&self) -> bool {
        self.sealed.iter().any(Endings::any_succeeds)
    }
}

/// The attacks with these names; all of them when there are none.
pub fn chosen(only: &[String]) -> Vec<Box<dyn Attack>> {
    attacks::all().into_iter().filter(|attack| is_chosen(attack.id(), only)).collect()
}

/// The adaptive attacks with these names; all of them when there are none.
pub fn chosen_adaptive(only: &[String]) -> Vec<Adaptive> {
    adaptive::all().into_iter().filter(|attack| is_chosen(attack.id, only)).collect()
}

fn is_chosen(id: &str, only: &[String]) -> bool {
    only.is_empty() || only.iter().any(|name| id.starts_with(name.as_str()))
}

/// Two variants, which differ from attack to attack so that a few attacks meet all of them: the
/// tests' bound on their time.
pub fn two_variants(number: usize) -> Vec<Executor<'static>> {
    let all = api::variants();
    let at = |n: usize| all[n % all.len()];
    // An even and an odd one: not streamed, streamed, of two APIs.
    Executor::small(&[at(number * 2), at(number * 2 + 3)])
}

/// The table, a line for each attack.
pub fn table(found: &[Found]) -> String {
    let mut text = String::from(
        "| attack | baseline | sealed: wire | sealed: as the enclave | sealed: as the provider |\n\
         |---|---|---|---|---|\n",
    );
    for row in found {
        let sealed = row.sealed.iter().map(|endings| format!(" {} |", endings.words()));
        let sealed: String = sealed.collect();
        text += &format!("| `{}` | {} |{sealed}\n", row.id, row.baseline.words());
    }
    text
}

/// `N attacks: B succeed against the baseline, S through the sealed path`
pub fn last_line(found: &[Found]) -> String {
    let baseline = found.iter().filter(|row| row.baseline.all_succeed()).count();
    let through = found.iter().filter(|row| row.through()).count();
    let all = found.len();
    format!(
        "{all} attacks: {baseline} succeed against the baseline, {through} through the sealed path"
    )
}

/// The table of the adaptive attacks.
pub fn adaptive_table(found: &[(&str, Verdict)]) -> String {
    let rows = found.iter().map(|(id, verdict)| format!("| `{id}` | {verdict} |\n"));
    format!("| adaptive attack | outcome |\n|---|---|\n{}", rows.collect::<String>())
}

/// `N adaptive attacks without a baseline, K got through: NAMES`
pub fn adaptive_line(found: &[(&str, Verdict)]) -> String {
    let through = found.iter().filter(|(_, verdict)| is_through(verdict)).count();
    let names: Vec<&str> = found.iter().map(|(id, _)| *id).collect();
    let (all, names) = (found.len(), names.join(", "));
    format!("{all} adaptive attacks without a baseline, {through} got through: {names}")
}

/// Whether an adaptive attack got through.
pub fn is_through(verdict: &Verdict) -> bool {
    matches!(verdict, Verdict::Through(_))
}

/// Whether every attack succeeds against the baseline and none gets through the sealed path.
pub fn holds(found: &[Found]) -> bool {
    found.iter().all(|row| row.baseline.all_succeed() && !row.through())
}
