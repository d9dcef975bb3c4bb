//! Release lists for tests: made-up keys, one signer, one log, one witness.

use aegis_releases::{
    Draft, Kind, SignerKey, Trust, UnixSeconds, checkpoint, cosign, log::Tree, sign,
};

pub const ORIGIN: &str = "aegis.example/releases";

/// Makes lists and remembers what it logged.
pub struct Lists {
    signer: SignerKey,
    log: SignerKey,
    witness: SignerKey,
    tree: Tree,
}

/// What a list says besides its number.
pub struct Says<'a> {
    pub releases: &'a [(u32, String)],
    pub withdrawn: &'a [u32],
    pub not_before: u64,
    pub not_after: u64,
}

impl Lists {
    pub fn new() -> Self {
        let key = |name, kind, seed| SignerKey::from_seed(name, kind, &[seed; 32]).unwrap();
        Self {
            signer: key("signer.example", Kind::Signature, 1),
            log: key("log.example", Kind::Signature, 2),
            witness: key("witness.example", Kind::Witness, 3),
            tree: Tree::default(),
        }
    }

    pub fn trust(&self) -> Trust {
        Trust::parse(&self.trust_text()).unwrap()
    }

    pub fn trust_text(&self) -> String {
        let [signer, log, witness] =
            [&self.signer, &self.log, &self.witness].map(SignerKey::verifier);
        format!(
            "[releases]\norigin = \"{ORIGIN}\"\nthreshold = 1\nkeys = [\"{signer}\"]\n\
             [log]\nkey = \"{log}\"\n[witnesses]\nthreshold = 1\nkeys = [\"{witness}\"]\n"
        )
    }

    /// The next list, as a bundle.
    pub fn bundle(&mut self, sequence: u64, says: &Says<'_>) -> Vec<u8> {
        let releases: Vec<_> =
            says.releases.iter().map(|(number, json)| (*number, json.as_str())).collect();
        let draft = Draft {
            origin: ORIGIN,
            sequence,
            not_before: UnixSeconds(says.not_before),
            not_after: UnixSeconds(says.not_after),
            minimum: 1,
            withdrawn: says.withdrawn,
            releases: &releases,
        };
        let list = sign(&draft.text().unwrap(), &self.signer);
        self.tree.push(list.as_bytes());
        let head = self.tree.head();
        let checkpoint = checkpoint::sign(&head, &self.log);
        let log = self.log.verifier();
        let time = UnixSeconds(says.not_before);
        let witness = &self.witness;
        let line = cosign(checkpoint.as_bytes(), &log, None, &[], witness, time).unwrap().line;
        let checkpoint = checkpoint + &line;
        self.tree.bundle(head.size - 1, list.as_bytes(), checkpoint.as_bytes(), None).unwrap()
    }
}

/// A `release.json` with these measurements.
pub fn release_json(number: u32, pcrs: [&[u8]; 3]) -> String {
    let [pcr0, pcr1, pcr2] = pcrs.map(hex::encode);
    let sha = "00".repeat(32);
    format!(
        "{{\"format\":\"aegis-release/1\",\"number\":{number},\"version\":\"0.1.0\",\"commit\":null,\
         \"variant\":\"production\",\"pcr0\":\"{pcr0}\",\"pcr1\":\"{pcr1}\",\"pcr2\":\"{pcr2}\",\
         \"provider_table_sha256\":null,\"image\":{{\"bytes\":1,\"sha256\":\"{sha}\"}},\
         \"sections\":[],\"command_line\":\"\",\"made_of\":{{\"kernel\":null,\
         \"kernel_config_sha256\":\"{sha}\",\"program\":null,\"packages\":{{}}}}}}\n"
    )
}
