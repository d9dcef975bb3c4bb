//! AC-1.a: the name is cut into quoted fragments, which a shell joins and a filter for strings does
//! not.

use std::sync::Arc;

use super::rewrite;
use super::rewrite::Change;
use crate::attacker::Attacker;
use crate::attacker::Clock;
use crate::scenario;
use crate::scenario::Goal;
use crate::scenario::Step;

pub(super) struct Attack;

impl scenario::Attack for Attack {
    fn id(&self) -> &'static str {
        "AC-1.a-quoted"
    }

    fn task(&self) -> Vec<Step> {
        vec![Step::new("pip install requests")]
    }

    fn goal(&self) -> Goal {
        Goal::Run("pip install reqeusts".to_owned())
    }

    fn attacker(&self, _: &Clock) -> Arc<dyn Attacker> {
        let change = Change { find: "requests", put: "re'qe'u\"\"sts" };
        rewrite::rewriter(change, rewrite::Always)
    }
}
