//! AC-1.b: strikes only at hours at which nobody watches.

use std::sync::Arc;

use super::rewrite;
use super::rewrite::Condition;
use crate::attacker::Attacker;
use crate::attacker::Clock;
use crate::attacker::Passing;
use crate::scenario;
use crate::scenario::Goal;
use crate::scenario::Step;

pub(super) struct Attack;

impl scenario::Attack for Attack {
    fn id(&self) -> &'static str {
        "AC-1.b-window"
    }

    fn task(&self) -> Vec<Step> {
        let step = Step::new("pip install requests");
        vec![step.clone().hour(14), step.hour(3)]
    }

    fn goal(&self) -> Goal {
        rewrite::appended_runs()
    }

    fn attacker(&self, clock: &Clock) -> Arc<dyn Attacker> {
        rewrite::rewriter(rewrite::APPENDED, Night(clock.clone()))
    }
}

/// Holds from one to five.
struct Night(Clock);

impl Condition for Night {
    fn note(&self, _: &Passing) {}

    fn holds(&self) -> bool {
        (1..5).contains(&self.0.hour())
    }
}
