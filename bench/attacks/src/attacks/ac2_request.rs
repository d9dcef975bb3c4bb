//! AC-2: secrets are taken from the bodies of requests.

use super::steal::OfBodies;
use crate::attacker::Direction;

pub(super) const ATTACK: OfBodies = OfBodies { id: "AC-2-request", direction: Direction::Up };
