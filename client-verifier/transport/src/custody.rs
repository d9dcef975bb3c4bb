//! Which custodies a client accepts (DESIGN, sections 2 and 3.5).

use aegis_wire::{account::Owner, control::Custody, limits::OWNERS};
use http::HeaderValue;

use crate::ConfigError;

/// The accepted custodies; never empty. *client* unless chosen otherwise by name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Custodies {
    client: bool,
    host: bool,
    /// Whose sealed accounts, in order of preference; zero is nobody.
    owners: [Owner; OWNERS],
}

impl Custodies {
    /// Only the caller's own provider key, end to end.
    pub const CLIENT: Self = Self { client: true, host: false, owners: [[0; 32]; OWNERS] };

    /// The custodies named, of which *sealed* is none.
    pub fn new(named: &[Custody]) -> Result<Self, ConfigError> {
        Self::with_owners(named, &[])
    }

    /// The custodies named; *sealed* with the accounts of these owners, the preferred one first.
    pub fn with_owners(named: &[Custody], owners: &[Owner]) -> Result<Self, ConfigError> {
        if named.is_empty() {
            return Err(ConfigError::NoCustody);
        }
        let sealed = named.contains(&Custody::Sealed);
        if sealed == owners.is_empty() || owners.len() > OWNERS || owners.contains(&[0; 32]) {
            return Err(ConfigError::Owners(owners.len()));
        }
        let mut accepted = [[0; 32]; OWNERS];
        accepted[..owners.len()].copy_from_slice(owners);
        let (client, host) = (named.contains(&Custody::Client), named.contains(&Custody::Host));
        Ok(Self { client, host, owners: accepted })
    }

    /// Whether this one is accepted.
    pub fn accepts(self, custody: Custody) -> bool {
        match custody {
            Custody::Client => self.client,
            Custody::Host => self.host,
            Custody::Sealed => self.owners[0] != [0; 32],
        }
    }

    /// The custody of a request that brings no provider key: *sealed* before *host*.
    pub fn without_key(self) -> Option<Custody> {
        [Custody::Sealed, Custody::Host].into_iter().find(|custody| self.accepts(*custody))
    }

    /// The value of `aegis-custody`.
    pub(crate) fn stated(self, custody: Custody) -> HeaderValue {
        let mut text = custody.word().to_owned();
        if custody == Custody::Sealed {
            for owner in self.owners.iter().filter(|owner| **owner != [0; 32]) {
                let digits: String = owner.iter().map(|byte| format!("{byte:02x}")).collect();
                text = format!("{text} {digits}");
            }
        }
        // A word, hexadecimal digits and spaces.
        HeaderValue::try_from(text).expect("words are a header value")
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
        assert!(!host.accepts(Custody::Sealed));
        assert!(Custodies::CLIENT.accepts(Custody::Client));
        assert!(!Custodies::CLIENT.accepts(Custody::Host));
        assert_eq!(Custodies::CLIENT.without_key(), None);
    }

    #[test]
    fn sealed_names_its_owners() {
        let sealed = |owners: &[Owner]| Custodies::with_owners(&[Custody::Sealed], owners);
        assert!(sealed(&[]).is_err(), "of nobody");
        assert!(sealed(&[[1; 32]; OWNERS + 1]).is_err(), "of too many");
        assert!(sealed(&[[0; 32]]).is_err(), "of a key that is none");
        assert!(Custodies::with_owners(&[Custody::Host], &[[1; 32]]).is_err(), "not chosen");
        let two = sealed(&[[0xab; 32], [1; 32]]).unwrap();
        assert!(two.accepts(Custody::Sealed) && !two.accepts(Custody::Host));
        let stated = format!("sealed {} {}", "ab".repeat(32), "01".repeat(32));
        assert_eq!(two.stated(Custody::Sealed), stated.as_str());
        let both = [Custody::Host, Custody::Sealed];
        let both = Custodies::with_owners(&both, &[[1; 32]]).unwrap();
        assert_eq!(both.without_key(), Some(Custody::Sealed));
        assert_eq!(both.stated(Custody::Host), "host");
    }
}
