//! Made-up keys, a log, and bundles that are right unless a test changes one thing.

use aegis_releases::{
    Accepted, Bundle, Draft, Error, Kind, Seen, SignerKey, Trust, UnixSeconds, check, checkpoint,
    cosign,
    log::Tree,
    merkle::{Hash, TreeHead},
    sign, signature_line,
};

pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const DAY: u64 = 24 * 3600;
pub(crate) const ORIGIN: &str = "aegis.example/releases";

/// A key pair from a made-up seed.
pub(crate) fn signer(name: &str, kind: Kind, seed: u8) -> SignerKey {
    SignerKey::from_seed(name, kind, &[seed; 32]).unwrap()
}

/// Everybody's keys.
pub(crate) struct Keys {
    pub(crate) alice: SignerKey,
    pub(crate) bob: SignerKey,
    pub(crate) carol: SignerKey,
    pub(crate) log: SignerKey,
    pub(crate) witnesses: [SignerKey; 2],
}

impl Keys {
    pub(crate) fn new() -> Self {
        Self {
            alice: signer("alice.example", Kind::Signature, 1),
            bob: signer("bob.example", Kind::Signature, 2),
            carol: signer("carol.example", Kind::Signature, 3),
            log: signer("log.example/aegis", Kind::Signature, 4),
            witnesses: [
                signer("witness.example/1", Kind::Witness, 5),
                signer("witness.example/2", Kind::Witness, 6),
            ],
        }
    }

    /// Two of three release keys, one of two witnesses.
    pub(crate) fn trust(&self) -> Trust {
        Trust::parse(&self.trust_text(2, 1)).unwrap()
    }

    pub(crate) fn trust_text(&self, threshold: usize, witnesses: usize) -> String {
        let [alice, bob, carol] = [&self.alice, &self.bob, &self.carol].map(SignerKey::verifier);
        let [one, two] = [&self.witnesses[0], &self.witnesses[1]].map(SignerKey::verifier);
        let log = self.log.verifier();
        format!(
            "[releases]\norigin = \"{ORIGIN}\"\nthreshold = {threshold}\n\
             keys = [\"{alice}\", \"{bob}\", \"{carol}\"]\n\
             [log]\nkey = \"{log}\"\n\
             [witnesses]\nthreshold = {witnesses}\nkeys = [\"{one}\", \"{two}\"]\n"
        )
    }
}

/// A `release.json` as aegis-eif writes it, with made-up measurements.
pub(crate) fn release_json(number: u32) -> String {
    let pcr = |index: u32| hex::encode([(16 * index + number) as u8; 48]);
    let sha = hex::encode([number as u8; 32]);
    format!(
        r#"{{
  "format": "aegis-release/1",
  "number": {number},
  "version": "0.{number}.0",
  "commit": "{commit}",
  "variant": "production",
  "pcr0": "{pcr0}",
  "pcr1": "{pcr1}",
  "pcr2": "{pcr2}",
  "provider_table_sha256": "{sha}",
  "image": {{
    "bytes": 12345,
    "sha256": "{sha}"
  }},
  "sections": [
    {{
      "kind": "kernel",
      "bytes": 12,
      "sha256": "{sha}"
    }}
  ],
  "command_line": "reboot=k panic=30",
  "made_of": {{
    "kernel": {{
      "package": "linux-source-6.12",
      "version": "6.12.117-1~deb12u1",
      "sha256": "{sha}",
      "recipe_sha256": "{sha}"
    }},
    "kernel_config_sha256": "{sha}",
    "program": {{
      "package": "aegis-enclave",
      "rustc": "rustc 1.95.0",
      "rustflags": ["-C", "target-feature=+crt-static"],
      "profile": "release",
      "lockfile_sha256": "{sha}"
    }},
    "packages": {{
      "gcc-12": "12.2.0-14+deb12u1"
    }}
  }}
}}
"#,
        commit = hex::encode([number as u8; 20]),
        pcr0 = pcr(1),
        pcr1 = pcr(2),
        pcr2 = pcr(3),
    )
}

/// The text of list `sequence`: releases 7 and 8, 6 withdrawn, valid for ten days around now.
pub(crate) fn text(sequence: u64) -> String {
    let (seven, eight) = (release_json(7), release_json(8));
    let draft = Draft {
        origin: ORIGIN,
        sequence,
        not_before: UnixSeconds(NOW - DAY),
        not_after: UnixSeconds(NOW + 9 * DAY),
        minimum: 5,
        withdrawn: &[6],
        releases: &[(7, &seven), (8, &eight)],
    };
    draft.text().unwrap()
}

/// A text signed by alice and bob.
pub(crate) fn signed(keys: &Keys, text: &str) -> String {
    sign(text, &keys.alice) + &signature_line(text, &keys.bob)
}

/// A log with its entries.
#[derive(Clone, Default)]
pub(crate) struct Log {
    pub(crate) tree: Tree,
    pub(crate) entries: Vec<Vec<u8>>,
}

impl Log {
    /// Lists 1 to `count`.
    pub(crate) fn of(keys: &Keys, count: u64) -> Self {
        let mut log = Self::default();
        for sequence in 1..=count {
            log.push(signed(keys, &text(sequence)).as_bytes());
        }
        log
    }

    pub(crate) fn push(&mut self, entry: &[u8]) {
        self.tree.push(entry);
        self.entries.push(entry.to_vec());
    }

    pub(crate) fn head(&self) -> TreeHead {
        self.tree.head()
    }

    /// The checkpoint, cosigned by the first witness.
    pub(crate) fn checkpoint(&self, keys: &Keys) -> String {
        let checkpoint = checkpoint::sign(&self.head(), &keys.log);
        let line = cosignature(keys, &checkpoint, &keys.witnesses[0], NOW - 60);
        checkpoint + &line
    }

    /// The bundle of the last entry.
    pub(crate) fn bundle(&self, keys: &Keys) -> Vec<u8> {
        self.bundle_with(&self.checkpoint(keys))
    }

    pub(crate) fn bundle_with(&self, checkpoint: &str) -> Vec<u8> {
        let last = self.entries.len() - 1;
        let list = &self.entries[last];
        self.tree.bundle(last as u64, list, checkpoint.as_bytes(), None).unwrap()
    }
}

/// What a witness without memory gives.
pub(crate) fn cosignature(keys: &Keys, checkpoint: &str, witness: &SignerKey, time: u64) -> String {
    let log = keys.log.verifier();
    let time = UnixSeconds(time);
    cosign(checkpoint.as_bytes(), &log, None, &[], witness, time).unwrap().line
}

/// A bundle whose only list is this note, in a log of its own.
pub(crate) fn bundle_of(keys: &Keys, note: &str) -> Vec<u8> {
    let mut log = Log::of(keys, 2);
    log.push(note.as_bytes());
    log.bundle(keys)
}

pub(crate) fn judge(keys: &Keys, bundle: &[u8], seen: Option<&Seen>) -> Result<Accepted, Error> {
    check(bundle, &keys.trust(), seen, UnixSeconds(NOW))
}

/// The error of a list with this text, signed by two and logged.
pub(crate) fn refused_text(text: &str) -> Error {
    let keys = Keys::new();
    judge(&keys, &bundle_of(&keys, &signed(&keys, text)), None).unwrap_err()
}

/// The error of this note as a list, logged.
pub(crate) fn refused_note(note: impl Fn(&Keys) -> String) -> Error {
    let keys = Keys::new();
    judge(&keys, &bundle_of(&keys, &note(&keys)), None).unwrap_err()
}

/// The error of list 3's bundle after a change to its parts.
pub(crate) fn refused_bundle(change: impl FnOnce(&mut Bundle<'_>)) -> Error {
    let keys = Keys::new();
    let good = Log::of(&keys, 3).bundle(&keys);
    let mut bundle = Bundle::parse(&good).unwrap();
    change(&mut bundle);
    judge(&keys, &bundle.encode(), None).unwrap_err()
}

/// What a client remembers after it accepted this log's last list.
pub(crate) fn seen(keys: &Keys, log: &Log) -> Seen {
    judge(keys, &log.bundle(keys), None).unwrap().seen().clone()
}

/// Another hash.
pub(crate) fn other(hash: Hash) -> Hash {
    let mut bytes = hash.0;
    bytes[31] ^= 1;
    Hash(bytes)
}
