//! What the enclave is: its inner TLS key, its receipt key, its evidence and its clock. The keys
//! are made at boot and never leave.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use aegis_nsm::{Attester, Claims};
use aegis_wire::binding::{self, Exporter, Spki};
use aegis_wire::session::{self, Evidence, Opening};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{time_provider::TimeProvider, version::TLS13};

use crate::BootError;

pub(crate) struct Identity {
    pub(crate) server: Arc<ServerConfig>,
    spki: Vec<u8>,
    receipt_key: KeyPair,
    attester: Box<dyn Attester>,
    clock: Mutex<Clock>,
}

/// Time of the latest evidence, and when it was taken by the monotonic clock.
struct Clock {
    evidence: Duration,
    taken: Instant,
}

impl Identity {
    pub(crate) fn new(attester: Box<dyn Attester>) -> Result<Self, BootError> {
        let make =
            |algorithm| KeyPair::generate_for(algorithm).map_err(|_| "no key pair can be made");
        let (key, receipt_key) =
            (make(&rcgen::PKCS_ECDSA_P256_SHA256)?, make(&rcgen::PKCS_ECDSA_P384_SHA384)?);
        let server = server_config(&key).ok_or("no key pair can be made")?;
        let spki = key.subject_public_key_info();
        let clock = Mutex::new(Clock { evidence: Duration::ZERO, taken: Instant::now() });
        let identity = Self { server: Arc::new(server), spki, receipt_key, attester, clock };
        identity.attest(&[0; 48]).ok_or("the attester gives no evidence")?;
        Ok(identity)
    }

    /// Evidence bound to this key, that session and that question.
    pub(crate) fn evidence(
        &self,
        opening: &[u8; Opening::LEN],
        exporter: &Exporter,
    ) -> Option<Vec<u8>> {
        let document = self.attest(&binding::nonce(opening, Spki(&self.spki), exporter))?;
        let receipt_key = self.receipt_key.subject_public_key_info();
        Evidence { document, receipt_key }.encode().ok()
    }

    /// Takes evidence for the clock when the latest is old.
    pub(crate) fn refresh_clock(&self) {
        if self.lock().taken.elapsed() > aegis_wire::limits::EVIDENCE_AGE {
            // Without fresh evidence the monotonic clock goes on from the last.
            let _ = self.attest(&[0; 48]);
        }
    }

    fn attest(&self, nonce: &[u8; 48]) -> Option<Vec<u8>> {
        let user_data = binding::user_data(Spki(&self.receipt_key.subject_public_key_info()));
        let claims = Claims { public_key: &self.spki, user_data: &user_data, nonce };
        let document = self.attester.attest(claims).ok()?;
        let evidence = Duration::from_millis(aegis_nsm::timestamp_ms(&document)?);
        let mut clock = self.lock();
        // Never backwards: a later question cannot make an expired certificate valid again.
        *clock = Clock { evidence: evidence.max(clock.now()), taken: Instant::now() };
        Some(document)
    }

    fn lock(&self) -> MutexGuard<'_, Clock> {
        self.clock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Clock {
    fn now(&self) -> Duration {
        self.evidence + self.taken.elapsed()
    }
}

impl TimeProvider for Identity {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(self.lock().now()))
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity")
    }
}

/// One set of algorithms for both directions: TLS 1.3, post-quantum hybrid first.
pub(crate) fn crypto() -> Arc<CryptoProvider> {
    use aws_lc_rs::kx_group::{SECP256R1, X25519, X25519MLKEM768};
    let kx_groups = vec![X25519MLKEM768, X25519, SECP256R1];
    Arc::new(CryptoProvider { kx_groups, ..aws_lc_rs::default_provider() })
}

fn server_config(key: &KeyPair) -> Option<ServerConfig> {
    let certificate = CertificateParams::default().self_signed(key).ok()?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).ok()?;
    let mut config = ServerConfig::builder_with_provider(crypto())
        .with_protocol_versions(&[&TLS13])
        .ok()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], private)
        .ok()?;
    config.alpn_protocols = vec![session::ALPN.to_vec()];
    config.send_tls13_tickets = 0;
    config.session_storage = Arc::new(NoServerSessionStorage {});
    Some(config)
}
