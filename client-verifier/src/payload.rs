//! Step `payload`: the map of nine keys that the NSM signs.
//!
//! Known keys, each at most once, in any order, and no others. All are ranges of the received
//! bytes.

use alloc::vec::Vec;

use crate::cbor::MapLength;
use crate::cbor::Reader;
use crate::error::Key;
use crate::error::PayloadError;
use crate::limits::MAX_CABUNDLE_ENTRIES;
use crate::limits::MAX_CERTIFICATE_BYTES;
use crate::limits::MAX_FIELD_BYTES;
use crate::limits::MAX_MODULE_ID_BYTES;
use crate::limits::MAX_PCRS;
use crate::pcr::Pcr;
use crate::pcr::PcrIndex;
use crate::pcr::Pcrs;

/// A well-formed payload.
#[derive(Debug)]
pub(crate) struct Payload<'a> {
    pub(crate) module_id: &'a str,
    pub(crate) timestamp_ms: u64,
    pub(crate) pcrs: Pcrs,
    /// The leaf certificate, DER.
    pub(crate) certificate: &'a [u8],
    /// The CA certificates, DER, the root first. Never empty.
    pub(crate) cabundle: Vec<&'a [u8]>,
    pub(crate) public_key: Option<&'a [u8]>,
    pub(crate) user_data: Option<&'a [u8]>,
    pub(crate) nonce: Option<&'a [u8]>,
}

/// What was read so far.
#[derive(Default)]
struct Fields<'a> {
    seen: Vec<Key>,
    module_id: Option<&'a str>,
    digest: Option<()>,
    timestamp_ms: Option<u64>,
    pcrs: Option<Pcrs>,
    certificate: Option<&'a [u8]>,
    cabundle: Option<Vec<&'a [u8]>>,
    public_key: Option<&'a [u8]>,
    user_data: Option<&'a [u8]>,
    nonce: Option<&'a [u8]>,
}

impl<'a> Payload<'a> {
    /// Reads a payload.
    pub(crate) fn parse(payload: &'a [u8]) -> Result<Self, PayloadError> {
        let mut reader = Reader::new(payload);
        let mut fields = Fields::default();
        // The loop ends: every entry takes at least a byte, and at most nine are accepted.
        match reader.map_of_any_length()? {
            MapLength::Definite(entries) => {
                for _ in 0..entries {
                    fields.read_entry(&mut reader)?;
                }
            }
            MapLength::Indefinite => {
                while !reader.end_of_map() {
                    fields.read_entry(&mut reader)?;
                }
            }
        }
        match reader.remaining() {
            0 => fields.complete(),
            count => Err(PayloadError::TrailingBytes { count }),
        }
    }
}

impl<'a> Fields<'a> {
    fn read_entry(&mut self, reader: &mut Reader<'a>) -> Result<(), PayloadError> {
        let offset = reader.offset();
        let name = reader.text()?;
        let key = Key::ALL
            .into_iter()
            .find(|key| key.name() == name)
            .ok_or(PayloadError::UnknownKey { offset })?;
        if self.seen.contains(&key) {
            return Err(PayloadError::DuplicateKey { key });
        }
        self.seen.push(key);
        match (reader.null(), key) {
            (true, Key::PublicKey | Key::UserData | Key::Nonce) => Ok(()),
            (true, key) => Err(PayloadError::NullKey { key }),
            (false, key) => self.read_value(key, reader),
        }
    }

    fn read_value(&mut self, key: Key, reader: &mut Reader<'a>) -> Result<(), PayloadError> {
        match key {
            Key::ModuleId => self.module_id = Some(read_module_id(reader)?),
            Key::Digest => self.digest = Some(read_digest(reader)?),
            Key::Timestamp => self.timestamp_ms = Some(read_timestamp(reader)?),
            Key::Pcrs => self.pcrs = Some(read_pcrs(reader)?),
            Key::Certificate => self.certificate = Some(read_certificate(reader)?),
            Key::CaBundle => self.cabundle = Some(read_cabundle(reader)?),
            // A key of no bytes is no key; the other two may be empty, as published ones are.
            Key::PublicKey => self.public_key = Some(read_field(reader, key, 1)?),
            Key::UserData => self.user_data = Some(read_field(reader, key, 0)?),
            Key::Nonce => self.nonce = Some(read_field(reader, key, 0)?),
        }
        Ok(())
    }

    fn complete(self) -> Result<Payload<'a>, PayloadError> {
        let Self {
            seen: _,
            module_id,
            digest,
            timestamp_ms,
            pcrs,
            certificate,
            cabundle,
            public_key,
            user_data,
            nonce,
        } = self;
        let missing = |key| PayloadError::MissingKey { key };
        let () = digest.ok_or(missing(Key::Digest))?;
        Ok(Payload {
            module_id: module_id.ok_or(missing(Key::ModuleId))?,
            timestamp_ms: timestamp_ms.ok_or(missing(Key::Timestamp))?,
            pcrs: pcrs.ok_or(missing(Key::Pcrs))?,
            certificate: certificate.ok_or(missing(Key::Certificate))?,
            cabundle: cabundle.ok_or(missing(Key::CaBundle))?,
            public_key,
            user_data,
            nonce,
        })
    }
}

fn read_module_id<'a>(reader: &mut Reader<'a>) -> Result<&'a str, PayloadError> {
    let module_id = reader.text()?;
    if !(1..=MAX_MODULE_ID_BYTES).contains(&module_id.len()) {
        return Err(PayloadError::ModuleIdLength { found_bytes: module_id.len() });
    }
    // It is printed by whoever verifies; control characters would be printed with it.
    match module_id.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(module_id),
        false => Err(PayloadError::ModuleIdNotPrintable),
    }
}

fn read_digest(reader: &mut Reader<'_>) -> Result<(), PayloadError> {
    match reader.text()? {
        "SHA384" => Ok(()),
        _ => Err(PayloadError::DigestNotSha384),
    }
}

fn read_timestamp(reader: &mut Reader<'_>) -> Result<u64, PayloadError> {
    match reader.unsigned()? {
        0 => Err(PayloadError::TimestampZero),
        timestamp_ms => Ok(timestamp_ms),
    }
}

fn read_pcrs(reader: &mut Reader<'_>) -> Result<Pcrs, PayloadError> {
    let found = reader.map()?;
    if !(1..=MAX_PCRS as u64).contains(&found) {
        return Err(PayloadError::PcrCount { found });
    }
    let mut pcrs = Pcrs::EMPTY;
    for _ in 0..found {
        let found = reader.unsigned()?;
        let index = u8::try_from(found)
            .ok()
            .and_then(PcrIndex::new)
            .ok_or(PayloadError::PcrIndexTooLarge { found })?;
        let value = reader.bytes()?;
        let value = value
            .try_into()
            .map_err(|_| PayloadError::PcrLength { index, found_bytes: value.len() })?;
        if !pcrs.insert(index, Pcr::new(value)) {
            return Err(PayloadError::DuplicatePcr { index });
        }
    }
    Ok(pcrs)
}

fn read_certificate<'a>(reader: &mut Reader<'a>) -> Result<&'a [u8], PayloadError> {
    let certificate = reader.bytes()?;
    match certificate.len() {
        1..=MAX_CERTIFICATE_BYTES => Ok(certificate),
        found_bytes => Err(PayloadError::CertificateLength { found_bytes }),
    }
}

fn read_cabundle<'a>(reader: &mut Reader<'a>) -> Result<Vec<&'a [u8]>, PayloadError> {
    let found = reader.array()?;
    if !(1..=MAX_CABUNDLE_ENTRIES as u64).contains(&found) {
        return Err(PayloadError::CaBundleCount { found });
    }
    let mut cabundle = Vec::new();
    for _ in 0..found {
        let certificate = reader.bytes()?;
        if !(1..=MAX_CERTIFICATE_BYTES).contains(&certificate.len()) {
            let (entry, found_bytes) = (cabundle.len(), certificate.len());
            return Err(PayloadError::CaBundleEntryLength { entry, found_bytes });
        }
        cabundle.push(certificate);
    }
    Ok(cabundle)
}

fn read_field<'a>(
    reader: &mut Reader<'a>,
    key: Key,
    min_bytes: usize,
) -> Result<&'a [u8], PayloadError> {
    let field = reader.bytes()?;
    match (min_bytes..=MAX_FIELD_BYTES).contains(&field.len()) {
        true => Ok(field),
        false => Err(PayloadError::FieldLength { key, found_bytes: field.len() }),
    }
}
