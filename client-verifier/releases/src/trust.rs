//! The trust file (SPEC.md, section 4): whose word is taken for which images are good. The one
//! place where keys and thresholds stand; who may write it decides everything.

use serde::Deserialize;

use crate::{
    key::{KeyError, Kind, VerifierKey, is_name},
    limits::KEYS,
    macros::refusals,
};

refusals! {
    /// A trust file that cannot be used.
    TrustError {
        /// Not TOML of the documented fields.
        Toml { /// What the parser says, without values.
            reason: String } = "toml", "it is not TOML of the documented fields: {reason}";
        /// A name that no list can have.
        Origin = "origin", "releases.origin is empty or has a space or a plus";
        /// A key that is none.
        Key { /// Where.
            field: &'static str, /// Which one, from 1.
            at: usize, /// Why.
            error: KeyError } = "key", "key {at} of {field} cannot be used: {error}";
        /// One key in two places: it would count as two.
        KeyTwice { /// Its name.
            key: String } = "key_twice", "the key pair of {key} stands in it twice";
        /// More keys than anybody needs.
        TooManyKeys { /// Where.
            field: &'static str } = "too_many_keys", "{field} has more than 16 keys";
        /// A threshold that nothing, or everything, meets.
        Threshold { /// Where.
            field: &'static str, /// As written.
            threshold: usize, /// How many keys there are.
            keys: usize } = "threshold", "{field} is {threshold}, and there are {keys} keys";
    }
}

/// Keys and thresholds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    pub(crate) origin: String,
    pub(crate) releases: Quorum,
    pub(crate) log: VerifierKey,
    pub(crate) witnesses: Quorum,
}

/// Keys of which so many must sign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Quorum {
    pub(crate) keys: Vec<VerifierKey>,
    pub(crate) threshold: usize,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    releases: Releases,
    log: Log,
    witnesses: Witnesses,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Releases {
    origin: String,
    threshold: usize,
    keys: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Log {
    key: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Witnesses {
    threshold: usize,
    keys: Vec<String>,
}

impl Trust {
    /// Reads a trust file.
    pub fn parse(text: &str) -> Result<Self, TrustError> {
        let file: File = toml::from_str(text)
            .map_err(|error| TrustError::Toml { reason: error.message().to_owned() })?;
        let File { releases, log, witnesses } = file;
        if !is_name(&releases.origin) {
            return Err(TrustError::Origin);
        }
        let log = key("log.key", 1, &log.key, Kind::Signature)?;
        let trust = Self {
            releases: Quorum {
                keys: keys("releases.keys", &releases.keys, Kind::Signature)?,
                threshold: releases.threshold,
            },
            witnesses: Quorum {
                keys: keys("witnesses.keys", &witnesses.keys, Kind::Witness)?,
                threshold: witnesses.threshold,
            },
            origin: releases.origin,
            log,
        };
        trust.releases.is_sound("releases.threshold", 1)?;
        // A log without witnesses still cannot show one client two lists: history holds that.
        trust.witnesses.is_sound("witnesses.threshold", 0)?;
        trust.has_no_key_twice()?;
        Ok(trust)
    }

    /// Which product's lists these keys sign.
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// The log's key.
    pub fn log(&self) -> &VerifierKey {
        &self.log
    }

    /// Who signs lists.
    pub fn releases(&self) -> &Quorum {
        &self.releases
    }

    /// Who watches the log.
    pub fn witnesses(&self) -> &Quorum {
        &self.witnesses
    }

    fn has_no_key_twice(&self) -> Result<(), TrustError> {
        let all = || self.releases.keys.iter().chain([&self.log]).chain(&self.witnesses.keys);
        for (at, key) in all().enumerate() {
            if all().take(at).any(|other| other.is_same_pair(key)) {
                return Err(TrustError::KeyTwice { key: key.name().to_owned() });
            }
        }
        Ok(())
    }
}

impl Quorum {
    /// The keys.
    pub fn keys(&self) -> &[VerifierKey] {
        &self.keys
    }

    /// How many of them must sign.
    pub fn threshold(&self) -> usize {
        self.threshold
    }

    fn is_sound(&self, field: &'static str, least: usize) -> Result<(), TrustError> {
        let (threshold, keys) = (self.threshold, self.keys.len());
        match (least..=keys).contains(&threshold) {
            true => Ok(()),
            false => Err(TrustError::Threshold { field, threshold, keys }),
        }
    }
}

fn keys(field: &'static str, texts: &[String], kind: Kind) -> Result<Vec<VerifierKey>, TrustError> {
    if texts.len() > KEYS {
        return Err(TrustError::TooManyKeys { field });
    }
    texts.iter().zip(1..).map(|(text, at)| key(field, at, text, kind)).collect()
}

fn key(field: &'static str, at: usize, text: &str, kind: Kind) -> Result<VerifierKey, TrustError> {
    let key = VerifierKey::parse(text).and_then(|key| key.of_kind(kind));
    key.map_err(|error| TrustError::Key { field, at, error })
}
