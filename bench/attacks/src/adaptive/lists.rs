//! Release lists with made-up keys, as an operator holds them: its own, and ones that it made up.

use std::fs;
use std::io;
use std::path::Path;
use std::time::SystemTime;

use aegis_client::Releases;
use aegis_client::ReleasesError;
use aegis_client::Source;
use aegis_client::StateError;
use aegis_client::StateFile;
use aegis_releases::Draft;
use aegis_releases::Kind;
use aegis_releases::SignerKey;
use aegis_releases::Trust;
use aegis_releases::UnixSeconds;
use aegis_releases::checkpoint;
use aegis_releases::cosign;
use aegis_releases::log::Tree;
use aegis_releases::sign;
use aegis_rig::publisher::release_json;
use aegis_rig::user::User;

const ORIGIN: &str = "aegis.example/releases";
const DAY_S: u64 = 24 * 3600;

/// A publisher with its log and its witness.
pub(super) struct Publisher {
    signer: SignerKey,
    log: SignerKey,
    witness: SignerKey,
    tree: Tree,
}

impl Publisher {
    /// Keys from these seeds: signer, log, witness.
    pub(super) fn with_keys([signer, log, witness]: [u8; 3]) -> io::Result<Self> {
        let key = |name, kind, seed: u8| {
            SignerKey::from_seed(name, kind, &[seed; 32])
                .map_err(|_| io::Error::other("no key of that name"))
        };
        Ok(Self {
            signer: key("signer.example", Kind::Signature, signer)?,
            log: key("log.example", Kind::Signature, log)?,
            witness: key("witness.example", Kind::Witness, witness)?,
            tree: Tree::default(),
        })
    }

    /// What a client of this publisher is given to trust.
    pub(super) fn trust(&self) -> io::Result<Trust> {
        let [signer, log, witness] =
            [&self.signer, &self.log, &self.witness].map(SignerKey::verifier);
        let text = format!(
            "[releases]\norigin = \"{ORIGIN}\"\nthreshold = 1\nkeys = [\"{signer}\"]\n\
             [log]\nkey = \"{log}\"\n[witnesses]\nthreshold = 1\nkeys = [\"{witness}\"]\n"
        );
        Trust::parse(&text).map_err(|error| io::Error::other(error.to_string()))
    }

    /// The next list of the log: release 7, and 8 unless it is withdrawn. It begins so many days
    /// before now and holds for two.
    pub(super) fn list(
        &mut self,
        sequence: u64,
        withdrawn: &[u32],
        age: u64,
    ) -> io::Result<Vec<u8>> {
        let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_secs();
        let not_before = UnixSeconds(now - age * DAY_S);
        let draft = Draft {
            origin: ORIGIN,
            sequence,
            not_before,
            not_after: UnixSeconds(not_before.0 + 2 * DAY_S),
            minimum: 1,
            withdrawn,
            releases: &[(7, &release(7)), (8, &release(8))],
        };
        let told = |what: &str| io::Error::other(format!("{what} of a list cannot be made"));
        let text = draft.text().map_err(|_| told("the text"))?;
        let list = sign(&text, &self.signer);
        self.tree.push(list.as_bytes());
        let head = self.tree.head();
        let checkpoint = checkpoint::sign(&head, &self.log);
        let line = cosign(
            checkpoint.as_bytes(),
            &self.log.verifier(),
            None,
            &[],
            &self.witness,
            not_before,
        );
        let checkpoint = checkpoint + &line.map_err(|_| told("the cosignature"))?.line;
        let bundle = self.tree.bundle(head.size - 1, list.as_bytes(), checkpoint.as_bytes(), None);
        bundle.ok_or_else(|| told("the bundle"))
    }
}

/// The entry of a made-up release, whose measurements repeat its number.
fn release(number: u32) -> String {
    let pcr = format!("{number:02}").repeat(48);
    release_json(number, [&pcr; 3])
}

/// Has the shipped client take a list that the host hands out, with what it remembers in `state`:
/// the step that refuses it, or `None` when it is believed.
pub(super) async fn refused_at(
    user: &User,
    trust: &Trust,
    state: &Path,
    bundle: &[u8],
) -> io::Result<Option<String>> {
    let file = state.with_extension("bundle");
    fs::write(&file, bundle)?;
    let (source, state) = (Source::File(file), StateFile::new(state));
    let releases = Releases { source, trust: trust.clone(), state };
    match releases.look(&user.router).await {
        Ok(_) => Ok(None),
        Err(ReleasesError::State(StateError::Refused(error))) => {
            Ok(Some(format!("release list: {}", error.step().name())))
        }
        Err(error) => Err(io::Error::other(error)),
    }
}

/// The verdict on lists of which each must have been refused.
pub(super) fn all_refused(steps: Vec<Option<String>>) -> super::Verdict {
    let mut codes: Vec<String> = Vec::new();
    for step in steps {
        match step {
            None => return super::Verdict::Through("a false list was believed".to_owned()),
            Some(step) if codes.contains(&step) => {}
            Some(step) => codes.push(step),
        }
    }
    super::Verdict::Refused(codes)
}
