//! AC-2: secrets are taken from header fields. On a wire that shows no fields, from all bytes.

use std::sync::Arc;

use super::steal;
use crate::attacker::Attacker;
use crate::attacker::Clock;
use crate::scenario;
use crate::scenario::Goal;
use crate::scenario::Step;

pub(super) struct Attack;

impl scenario::Attack for Attack {
    fn id(&self) -> &'static str {
        "AC-2-header"
    }

    fn task(&self) -> Vec<Step> {
        let fields = steal::secrets();
        let fields =
            (1..).zip(&fields).map(|(number, secret)| (format!("x-tool-token-{number}"), secret));
        let step = Step::new("ls");
        vec![fields.fold(step, |step, (name, secret)| step.header(&name, secret))]
    }

    fn goal(&self) -> Goal {
        Goal::Take(steal::secrets())
    }

    fn attacker(&self, _: &Clock) -> Arc<dyn Attacker> {
        steal::thief(|passing| {
            if passing.head.is_empty() {
                return vec![passing.body.clone()];
            }
            passing.head.iter().map(|(_, value)| value.clone()).collect()
        })
    }
}
