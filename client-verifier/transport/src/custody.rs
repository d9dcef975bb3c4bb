//! Which custodies a client accepts (DESIGN, sections 2 and 3.5).

use aegis_wire::control::Custody;

use crate::ConfigError;

/// The accepted custodies; never empty. *client* unless chosen otherwise by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Custodies {
    client: bool,
    host: bool,
}

impl Custodies {
    /// Only the caller's own provider key, end to end.
    pub const CLIENT: Self = Self { client: true, host: false };

    /// The custodies named.
    pub fn new(named: &[Custody]) -> Result<Self, ConfigError> {
        if named.is_empty() {
            return Err(ConfigError::NoCustody);
        }
        Ok(Self { client: named.contains(&Custody::Client), host: named.contains(&Custody::Host) })
    }

    /// Whether this one is accepted.
    pub fn accepts(self, custody: Custody) -> bool {
        match custody {
            Custody::Client => self.client,
            Custody::Host => self.host,
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn only_what_was_named_is_accepted() {
        assert!(Custodies::new(&[]).is_err());
        let host = Custodies::new(&[Custody::Host]).unwrap();
        assert!(host.accepts(Custody::Host) && !host.accepts(Custody::Client));
        assert!(Custodies::CLIENT.accepts(Custody::Client));
        assert!(!Custodies::CLIENT.accepts(Custody::Host));
    }
}
