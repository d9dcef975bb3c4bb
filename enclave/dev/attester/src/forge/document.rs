//! A document: what it shall say, and its parts once signed.

use super::cbor;
use super::chain::IssuedChain;

/// What a document shall say. Every field is a place for a defect, before it is signed.
#[derive(Clone, Debug)]
pub struct DocumentSpec {
    /// The content of the protected header.
    pub protected: Vec<u8>,
    /// Encoded keys and values of the payload's map.
    pub entries: Vec<(Vec<u8>, Vec<u8>)>,
    /// Whether the payload's map is of indefinite length.
    pub indefinite: bool,
    /// A change to the payload as a whole.
    pub edit_payload: Option<fn(&mut Vec<u8>)>,
}

/// The parts of a signed document, each an encoded item that can still be spoilt.
#[derive(Clone, Debug)]
pub struct SignedDocument {
    /// Encoded tags before the array.
    pub tags: Vec<u8>,
    /// The head of the array.
    pub array_head: Vec<u8>,
    /// The protected header, a byte string.
    pub protected: Vec<u8>,
    /// The unprotected header, a map.
    pub unprotected: Vec<u8>,
    /// The payload, a byte string.
    pub payload: Vec<u8>,
    /// The signature, a byte string.
    pub signature: Vec<u8>,
    /// Whatever follows.
    pub trailing: Vec<u8>,
}

impl DocumentSpec {
    /// A document as the NSM makes it: nine keys, 16 PCRs, made-up measurements, the three optional
    /// fields null.
    pub fn like_aws(chain: &IssuedChain, timestamp_ms: u64) -> Self {
        let cabundle: Vec<_> = chain.cabundle.iter().map(|der| cbor::bytes(der)).collect();
        let entries = [
            ("module_id", cbor::text("i-0000000000aegis0-enc0000000000000000")),
            ("digest", cbor::text("SHA384")),
            ("timestamp", cbor::unsigned(timestamp_ms)),
            ("pcrs", Vec::new()),
            ("certificate", cbor::bytes(chain.leaf().der())),
            ("cabundle", cbor::array(&cabundle)),
            ("public_key", cbor::NULL.to_vec()),
            ("user_data", cbor::NULL.to_vec()),
            ("nonce", cbor::NULL.to_vec()),
        ];
        let mut spec = Self {
            protected: cbor::map(&[(cbor::integer(1), cbor::integer(-35))]),
            entries: entries.map(|(key, value)| (cbor::text(key), value)).to_vec(),
            indefinite: false,
            edit_payload: None,
        };
        let pcrs: Vec<[u8; 48]> = (0..16).map(|index| [index + 1; 48]).collect();
        spec.set_pcrs(pcrs.iter().map(<[u8; 48]>::as_slice));
        spec
    }

    /// Sets the encoded value of a key, which may be a new one.
    pub fn set(&mut self, key: &str, value: Vec<u8>) {
        let key = cbor::text(key);
        match self.entries.iter_mut().find(|(known, _)| *known == key) {
            Some(entry) => entry.1 = value,
            None => self.entries.push((key, value)),
        }
    }

    /// Removes a key.
    pub fn remove(&mut self, key: &str) {
        let key = cbor::text(key);
        self.entries.retain(|(known, _)| *known != key);
    }

    /// Sets `module_id`.
    pub fn set_module_id(&mut self, module_id: &str) {
        self.set("module_id", cbor::text(module_id));
    }

    /// Sets `pcrs`, counted from 0.
    pub fn set_pcrs<'a>(&mut self, pcrs: impl Iterator<Item = &'a [u8]>) {
        self.set_numbered_pcrs((0..).zip(pcrs));
    }

    /// Sets `pcrs`, each with its number.
    pub fn set_numbered_pcrs<'a>(&mut self, pcrs: impl Iterator<Item = (u64, &'a [u8])>) {
        let entries: Vec<_> =
            pcrs.map(|(index, value)| (cbor::unsigned(index), cbor::bytes(value))).collect();
        self.set("pcrs", cbor::map(&entries));
    }

    /// Sets `public_key`, or null.
    pub fn set_public_key(&mut self, public_key: Option<&[u8]>) {
        self.set("public_key", cbor::bytes_or_null(public_key));
    }

    /// Sets `user_data`, or null.
    pub fn set_user_data(&mut self, user_data: Option<&[u8]>) {
        self.set("user_data", cbor::bytes_or_null(user_data));
    }

    /// Sets `nonce`, or null.
    pub fn set_nonce(&mut self, nonce: Option<&[u8]>) {
        self.set("nonce", cbor::bytes_or_null(nonce));
    }

    /// Signs the document with the key of the chain's leaf.
    pub fn sign(&self, chain: &IssuedChain) -> SignedDocument {
        self.sign_payload(self.payload(), chain)
    }

    /// Signs other bytes in place of the payload.
    pub fn sign_payload(&self, payload: Vec<u8>, chain: &IssuedChain) -> SignedDocument {
        let (protected, payload) = (cbor::bytes(&self.protected), cbor::bytes(&payload));
        // Sig_structure of RFC 9052, section 4.4.
        let external_data = cbor::bytes(&[]);
        let signed = cbor::array(&[
            cbor::text("Signature1"),
            protected.clone(),
            external_data,
            payload.clone(),
        ]);
        SignedDocument {
            tags: Vec::new(),
            array_head: cbor::head(4, 4),
            protected,
            unprotected: cbor::map(&[]),
            payload,
            signature: cbor::bytes(&chain.leaf().sign_es384(&signed)),
            trailing: Vec::new(),
        }
    }

    /// The payload.
    pub fn payload(&self) -> Vec<u8> {
        let mut payload = cbor::map(&self.entries);
        if self.indefinite {
            payload[0] = 0xbf;
            payload.push(0xff);
        }
        if let Some(edit) = self.edit_payload {
            edit(&mut payload);
        }
        payload
    }
}

impl SignedDocument {
    /// The document.
    pub fn encode(&self) -> Vec<u8> {
        let Self { tags, array_head, protected, unprotected, payload, signature, trailing } = self;
        [tags, array_head, protected, unprotected, payload, signature, trailing]
            .into_iter()
            .flatten()
            .copied()
            .collect()
    }
}
