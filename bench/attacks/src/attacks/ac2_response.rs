//! AC-2: secrets are taken from the bodies of answers.

use super::steal::OfBodies;
use crate::attacker::Direction;

pub(super) const ATTACK: OfBodies = OfBodies { id: "AC-2-response", direction: Direction::Down };
