//! From a signed payload to a statement. CBOR is read by `ciborium`, which admits many encodings of one
//! value; the statement is then encoded by the enclave's own code and must give the same bytes.

use aegis_wire::{
    control::{COUNTS, Custody, Source},
    receipt::{Content, Statement},
};
use ciborium::Value;

use super::ReceiptError;

/// The statement that a payload encodes.
pub(super) fn statement(payload: &[u8]) -> Result<Statement, ReceiptError> {
    let value: Value = ciborium::from_reader(payload).map_err(|_| ReceiptError::Field("CBOR"))?;
    let statement =
        Fields(value.into_map().map_err(|_| ReceiptError::Field("map"))?).statement()?;
    // Unknown and repeated keys, another version, another order, a longer form: all differ here.
    if statement.encode() != payload {
        return Err(ReceiptError::Field("encoding"));
    }
    Ok(statement)
}

/// The fields that are still to be taken.
struct Fields(Vec<(Value, Value)>);

impl Fields {
    fn statement(mut self) -> Result<Statement, ReceiptError> {
        let pcrs = self.take(2, "measurement", |value| value.into_array().ok())?;
        let pcrs: Option<Vec<_>> = pcrs.into_iter().map(|pcr| pcr.into_bytes().ok()).collect();
        let pcrs = pcrs.and_then(|pcrs| pcrs.try_into().ok());
        let status = self.number(13, "status")?;
        Ok(Statement {
            measurement: pcrs.ok_or(ReceiptError::Field("measurement"))?,
            session: self.bytes(3, "session")?,
            boot: self.bytes(4, "boot")?,
            request: self.number(5, "request")?,
            provider: self.text(6, "provider")?,
            method: self.text(7, "method")?,
            target: self.text(8, "target")?,
            sent: self.content(9, "request body")?,
            status,
            received: self.content(14, "answer body")?,
            provider_id: self.optional(18, Value::into_bytes),
            custody: self.take(19, "custody", |word| Custody::from_word(word.as_text()?))?,
            owner: self.optional(20, Value::into_bytes),
            attempts: self.number(21, "attempts")?,
            source: self.take(22, "source", source)?,
            counts: self.take(23, "counts", counts)?,
            label: self.optional(24, Value::into_text),
            time_ms: self.number(25, "time")?,
            incomplete: self.number(26, "completeness")?,
        })
    }

    /// Four fields from that key on: type, encoding, digest, length.
    fn content(&mut self, key: u64, name: &'static str) -> Result<Content, ReceiptError> {
        Ok(Content {
            kind: self.optional(key, Value::into_bytes),
            encoding: self.optional(key + 1, Value::into_bytes),
            digest: self.bytes(key + 2, name)?,
            bytes: self.number(key + 3, name)?,
        })
    }

    fn value(&mut self, key: u64) -> Option<Value> {
        let at = self.0.iter().position(|(name, _)| *name == Value::from(key))?;
        Some(self.0.swap_remove(at).1)
    }

    fn take<T>(
        &mut self,
        key: u64,
        name: &'static str,
        read: impl FnOnce(Value) -> Option<T>,
    ) -> Result<T, ReceiptError> {
        self.value(key).and_then(read).ok_or(ReceiptError::Field(name))
    }

    /// A value of another type is left out, and the encodings differ.
    fn optional<T>(&mut self, key: u64, read: impl FnOnce(Value) -> Result<T, Value>) -> Option<T> {
        self.value(key).and_then(|value| read(value).ok())
    }

    fn bytes(&mut self, key: u64, name: &'static str) -> Result<Vec<u8>, ReceiptError> {
        self.take(key, name, |value| value.into_bytes().ok())
    }

    fn text(&mut self, key: u64, name: &'static str) -> Result<String, ReceiptError> {
        self.take(key, name, |value| value.into_text().ok())
    }

    fn number(&mut self, key: u64, name: &'static str) -> Result<u64, ReceiptError> {
        self.take(key, name, |value| value.into_integer().ok()?.try_into().ok())
    }
}

fn source(value: Value) -> Option<Source> {
    let code: u8 = value.into_integer().ok()?.try_into().ok()?;
    Source::ALL.iter().copied().find(|source| *source as u8 == code)
}

fn counts(value: Value) -> Option<[Option<u32>; COUNTS]> {
    let mut counts = [None; COUNTS];
    for (slot, count) in value.into_map().ok()? {
        let slot: usize = slot.into_integer().ok()?.try_into().ok()?;
        *counts.get_mut(slot)? = Some(count.into_integer().ok()?.try_into().ok()?);
    }
    Some(counts)
}
