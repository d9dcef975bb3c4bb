//! What `aegis verify` reads: the document in its forms, and the root given in the place of AWS's.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

use aegis_verifier::RootFingerprint;
use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use rustls_pki_types::{CertificateDer, pem::PemObject};
use webpki::anchor_from_trusted_cert;

use crate::failure::Failure;

/// Most bytes read: the largest document in hexadecimal with room for line breaks.
const INPUT_BYTES: u64 = 256 * 1024;

/// The root certificate in the file, which must hold one: the fingerprint of anything else would
/// refuse every document for a reason that is not the true one.
pub(super) fn root(path: &Path) -> Result<RootFingerprint, Failure> {
    let bad = |reason: String| {
        let path = path.display();
        Failure::usage(format!(
            "--root {path} holds no certificate: {reason}; give a root certificate as PEM or DER"
        ))
    };
    let file = read(path)?;
    let certificate = match file.windows(PEM.len()).any(|window| window == PEM) {
        true => CertificateDer::from_pem_slice(&file).map_err(|e| bad(e.to_string()))?,
        false => CertificateDer::from(file),
    };
    anchor_from_trusted_cert(&certificate)
        .map_err(|e| bad(format!("it is not well-formed X.509 ({e:?})")))?;
    Ok(RootFingerprint::of_certificate(&certificate))
}

/// What a section of PEM begins with.
const PEM: &[u8] = b"-----BEGIN";

/// The file's bytes, as many as are ever needed.
pub(super) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let mut bytes = Vec::new();
    let read = match path == Path::new("-") {
        true => io::stdin().take(INPUT_BYTES).read_to_end(&mut bytes),
        false => File::open(path).and_then(|file| file.take(INPUT_BYTES).read_to_end(&mut bytes)),
    };
    read.map_err(|e| {
        let path = path.display();
        Failure::environment(format!(
            "cannot read {path}: {e}; give a file, or - for standard input"
        ))
    })?;
    Ok(bytes)
}

/// The document in the file. Raw ones are never ASCII: the first byte of a COSE_Sign1 is not.
pub(super) fn document(file: &[u8]) -> Vec<u8> {
    if !file.is_ascii() {
        return file.to_vec();
    }
    let text: Vec<u8> = file.iter().copied().filter(|b| !b.is_ascii_whitespace()).collect();
    let url_safe = text.trim_end_with(b'=');
    hex::decode(&text)
        .ok()
        .or_else(|| STANDARD.decode(&text).ok())
        .or_else(|| URL_SAFE_NO_PAD.decode(url_safe).ok())
        .unwrap_or_else(|| file.to_vec())
}

/// `str::trim_end_matches` for bytes.
trait TrimEnd {
    fn trim_end_with(&self, byte: u8) -> &[u8];
}

impl TrimEnd for [u8] {
    fn trim_end_with(&self, byte: u8) -> &[u8] {
        let end = self.iter().rposition(|b| *b != byte).map_or(0, |at| at + 1);
        &self[..end]
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use aegis_dev_attester::{AttestRequest, DevelopmentAttester};
    use aegis_verifier::AWS_NITRO_ROOT_G1_DER;

    use super::*;
    use crate::failure::Exit;

    fn root_of(bytes: &[u8]) -> Result<RootFingerprint, Failure> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        root(file.path())
    }

    fn pem(label: &str, der: &[u8]) -> Vec<u8> {
        let body = STANDARD.encode(der);
        let lines = body.as_bytes().chunks(64).collect::<Vec<_>>().join(&b'\n');
        let text = String::from_utf8(lines).unwrap();
        format!("A remark.\n-----BEGIN {label}-----\n{text}\n-----END {label}-----\n").into()
    }

    #[test]
    fn a_root_is_one_certificate_in_pem_or_der() {
        let aws = AWS_NITRO_ROOT_G1_DER;
        for good in [aws.to_vec(), pem("CERTIFICATE", aws)] {
            assert_eq!(root_of(&good).unwrap(), RootFingerprint::AWS_NITRO_G1);
        }
    }

    #[test]
    fn a_file_that_holds_no_certificate_is_a_usage_error() {
        let aws = AWS_NITRO_ROOT_G1_DER;
        let truncated = aws.split_last().unwrap().1;
        let followed = [aws, b"\0"].concat();
        let bads = [
            b"".to_vec(),
            b"no certificate".to_vec(),
            truncated.to_vec(),
            followed,
            pem("CERTIFICATE", b"no certificate"),
            pem("PUBLIC KEY", aws),
        ];
        for bad in bads {
            let failure = root_of(&bad).unwrap_err();
            assert_eq!(failure.exit, Exit::Usage, "{failure}");
            assert!(failure.message.contains("holds no certificate"), "{failure}");
            assert!(failure.message.contains("PEM or DER"), "{failure}");
        }
    }

    #[test]
    fn raw_hex_and_base64_are_one_document() {
        let request = AttestRequest::default();
        let attester = DevelopmentAttester::ephemeral();
        let raw = attester.attest(&[[7; 48]; 16], &request, 1_800_000_000_000).unwrap();
        let hexadecimal = hex::encode(&raw);
        let lines = hexadecimal.as_bytes().chunks(64).collect::<Vec<_>>().join(&b'\n');
        assert_eq!(document(&raw), raw);
        assert_eq!(document(&lines), raw);
        assert_eq!(document(STANDARD.encode(&raw).as_bytes()), raw);
        assert_eq!(document(URL_SAFE_NO_PAD.encode(&raw).as_bytes()), raw);
        assert_eq!(document(b"no document"), b"no document");
    }
}
