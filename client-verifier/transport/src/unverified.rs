//! An inner TLS session whose far end has yet to show evidence (PROTOCOL.md, section 3).

use aegis_padding::Padded;
use aegis_verifier::UnixTime;
use aegis_wire::{
    binding::EXPORTER_LABEL,
    limits,
    session::{ALPN, Evidence, Mode, Opening},
};
use aws_lc_rs::rand;
use rustls::CertificateError;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    Attested, Error, Session, Transcript, Trust,
    error::Stage,
    inner,
    trust::Shown,
    tunnel::{Outer, ended},
};

/// Bytes to and from an enclave, inside the inner TLS.
pub(crate) type Inner = TlsStream<Outer>;

/// An inner TLS session with somebody. It can be asked for evidence and for nothing else.
pub struct Unverified {
    stream: Inner,
    spki: Vec<u8>,
    place: String,
    padding: bool,
}

impl Unverified {
    pub(crate) fn new(stream: Inner, place: String) -> Result<Self, Error> {
        let tls = stream.get_ref().1;
        if tls.alpn_protocol() != Some(ALPN) {
            return Err(Error::Handshake(rustls::Error::NoApplicationProtocol));
        }
        let spki = inner::spki(tls.peer_certificates())
            .ok_or_else(|| Error::Handshake(CertificateError::BadEncoding.into()))?;
        Ok(Self { stream, spki, place, padding: false })
    }

    /// Whether HTTP is to travel in padded frames (PROTOCOL.md, section 3.3): the host sees how many
    /// of which size there are and no lengths, at the price of bytes.
    #[must_use]
    pub fn padded(self, padding: bool) -> Self {
        Self { padding, ..self }
    }

    /// Asks for evidence that names this key, this session and this question, and judges it. Only
    /// from here on can a request be sent.
    pub async fn verify(
        mut self,
        mode: Mode,
        trust: &Trust,
        now: impl FnOnce() -> UnixTime,
    ) -> Result<Session, Error> {
        let transcript = self.question(mode).await?;
        let enclave = trust.judge(&Shown::of(&transcript), now())?;
        // A policy made by `Trust` accepts nothing but its own sets, so one of them matched.
        let release = trust.release(&enclave).ok_or(Error::NoEvidence)?;
        let attested = Attested::new(enclave, release, transcript);
        let started = match self.padding {
            true => Session::start(Padded::new(self.stream), mode, attested).await,
            false => Session::start(self.stream, mode, attested).await,
        };
        started.map_err(|_| ended(self.place, Stage::Http))
    }

    /// Asks for evidence and ends the session: for whoever judges by a policy of his own, and sends
    /// nothing.
    pub async fn evidence(mut self, mode: Mode) -> Result<Shown, Error> {
        self.question(mode).await.map(|transcript| Shown::of(&transcript))
    }

    async fn question(&mut self, mode: Mode) -> Result<Transcript, Error> {
        let mut nonce = [0; 32];
        rand::fill(&mut nonce)
            .map_err(|_| Error::Handshake(rustls::Error::FailedToGetRandomBytes))?;
        let opening = Opening { mode, padding: self.padding, nonce }.encode();
        let evidence = match timeout(limits::HANDSHAKE, self.ask(&opening)).await {
            Ok(evidence) => evidence?,
            Err(_) => return Err(ended(self.place.clone(), Stage::Evidence)),
        };
        let exporter = self
            .stream
            .get_ref()
            .1
            .export_keying_material([0; 32], EXPORTER_LABEL, Some(&nonce))
            .map_err(Error::Handshake)?;
        let Self { spki, .. } = self;
        let Evidence { document, receipt_key } = evidence;
        Ok(Transcript { opening, spki: spki.clone(), exporter, document, receipt_key })
    }

    /// Reads exactly the answer: what follows it is HTTP.
    async fn ask(&mut self, opening: &[u8; Opening::LEN]) -> Result<Evidence, Error> {
        let place = self.place.clone();
        let lost = |_| ended(place.clone(), Stage::Evidence);
        self.stream.write_all(opening).await.map_err(lost)?;
        self.stream.flush().await.map_err(lost)?;
        let mut answer = Vec::with_capacity(limits::EVIDENCE_BYTES);
        self.read(&mut answer, Evidence::UNAVAILABLE.len()).await?;
        if answer == Evidence::UNAVAILABLE {
            return Err(Error::NoEvidence);
        }
        loop {
            match Evidence::decode(&answer).map_err(Error::Frame)? {
                Some((evidence, _)) => return Ok(evidence),
                None => {
                    let missing = missing(&answer);
                    self.read(&mut answer, missing).await?;
                }
            }
        }
    }

    async fn read(&mut self, answer: &mut Vec<u8>, more: usize) -> Result<(), Error> {
        let at = answer.len();
        answer.resize(at + more, 0);
        match self.stream.read_exact(&mut answer[at..]).await {
            Ok(_) => Ok(()),
            Err(_) => Err(ended(self.place.clone(), Stage::Evidence)),
        }
    }
}

/// How many bytes the next piece of an incomplete answer has: the rest of the length that is being
/// read, or of the part that it announces.
fn missing(answer: &[u8]) -> usize {
    let mut end = 2;
    loop {
        let Some(&[a, b]) = answer.get(end..end + 2) else {
            return end + 2 - answer.len();
        };
        end += 2 + usize::from(u16::from_be_bytes([a, b]));
        if end > answer.len() {
            return end - answer.len();
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[test]
    fn an_answer_is_read_to_its_last_byte_and_no_further() {
        let evidence = Evidence { document: vec![7; 300], receipt_key: vec![9; 120] };
        let mut wire = evidence.encode().unwrap();
        let len = wire.len();
        wire.extend_from_slice(b"HTTP begins here");
        let mut read = 2;
        while Evidence::decode(&wire[..read]).unwrap().is_none() {
            read += missing(&wire[..read]);
            assert!(read <= len, "{read} of {len}");
        }
        assert_eq!(read, len);
    }
}
