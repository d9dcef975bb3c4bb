//! AC-2: secrets are taken from the bodies of answers.

use std::sync::Arc;

use super::steal;
use crate::attacker::Attacker;
use crate::attacker::Clock;
use crate::attacker::Direction;
use crate::scenario;
use crate::scenario::Goal;
use crate::scenario::Step;

pub(super) struct Attack;

impl scenario::Attack for Attack {
    fn id(&self) -> &'static str {
        "AC-2-response"
    }

    fn task(&self) -> Vec<Step> {
        vec![steal::careless_step()]
    }

    fn goal(&self) -> Goal {
        Goal::Take(steal::secrets())
    }

    fn attacker(&self, _: &Clock) -> Arc<dyn Attacker> {
        steal::thief(|passing| match passing.direction {
            Direction::Up => Vec::new(),
            Direction::Down => steal::body_of(passing),
        })
    }
}
