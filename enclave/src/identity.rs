//! What the enclave is: its inner TLS key, its receipt key, its evidence and its clock. The keys
//! are made at boot and never leave.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use ::aws_lc_rs::encoding::AsDer;
use ::aws_lc_rs::rand::SystemRandom;
use ::aws_lc_rs::signature::{self, EcdsaKeyPair, KeyPair as _};
use aegis_nsm::{Attester, Claims};
use aegis_wire::account;
use aegis_wire::binding::{self, Exporter, Spki};
use aegis_wire::receipt::{self, Statement};
use aegis_wire::session::{self, Evidence, Opening};
use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::{PrivateKeyDer, UnixTime};
use rustls::server::{NoServerSessionStorage, ServerConfig};
use rustls::{time_provider::TimeProvider, version::TLS13};

use crate::BootError;

const NO_KEY: BootError = "no key pair can be made";

pub(crate) struct Identity {
    pub(crate) server: Arc<ServerConfig>,
    /// PCR0, 1 and 2 of this image.
    pub(crate) measurement: [Vec<u8>; 3],
    spki: Vec<u8>,
    receipt_key: EcdsaKeyPair,
    receipt_spki: Vec<u8>,
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
        let key = KeyPair::generate().ok().ok_or(NO_KEY)?;
        let receipt_key = EcdsaKeyPair::generate(&signature::ECDSA_P384_SHA384_FIXED_SIGNING);
        let receipt_key = receipt_key.ok().ok_or(NO_KEY)?;
        let receipt_spki = receipt_key.public_key().as_der().ok().ok_or(NO_KEY)?.as_ref().to_vec();
        let server = Arc::new(server_config(&key).ok_or(NO_KEY)?);
        let (spki, measurement) = (key.subject_public_key_info(), Default::default());
        let clock = Mutex::new(Clock { evidence: Duration::ZERO, taken: Instant::now() });
        let mut identity =
            Self { server, measurement, spki, receipt_key, receipt_spki, attester, clock };
        let evidence = identity.attest(&[0; 48]).ok_or("the attester gives no evidence")?;
        identity.measurement =
            aegis_nsm::measurement(&evidence).ok_or("the evidence names no measurement")?;
        Ok(identity)
    }

    /// Evidence bound to this key and to the session of this nonce.
    pub(crate) fn evidence(&self, nonce: &[u8; 48]) -> Option<Vec<u8>> {
        let (document, receipt_key) = (self.attest(nonce)?, self.receipt_spki.clone());
        Evidence { document, receipt_key }.encode().ok()
    }

    /// How a sealed account names this enclave.
    pub(crate) fn name(&self) -> [u8; 32] {
        account::enclave(&self.spki)
    }

    /// Seconds since 1970 by the enclave's clock.
    pub(crate) fn now_s(&self) -> u64 {
        self.lock().now().as_secs()
    }

    /// The nonce of the document for an opening on a session.
    pub(crate) fn nonce(&self, opening: &[u8; Opening::LEN], exporter: &Exporter) -> [u8; 48] {
        binding::nonce(opening, Spki(&self.spki), exporter)
    }

    /// A receipt: this statement at this time, signed.
    pub(crate) fn sign(&self, statement: &mut Statement) -> Option<Vec<u8>> {
        statement.measurement.clone_from(&self.measurement);
        statement.time_ms = self.lock().now().as_millis().try_into().ok()?;
        let payload = statement.encode();
        let signature =
            self.receipt_key.sign(&SystemRandom::new(), &receipt::to_be_signed(&payload)).ok()?;
        Some(receipt::cose_sign1(&payload, signature.as_ref().try_into().ok()?))
    }

    /// Takes evidence for the clock when the latest is old.
    pub(crate) fn refresh_clock(&self) {
        if self.lock().taken.elapsed() > aegis_wire::limits::EVIDENCE_AGE {
            // Without fresh evidence the monotonic clock goes on from the last.
            let _ = self.attest(&[0; 48]);
        }
    }

    fn attest(&self, nonce: &[u8; 48]) -> Option<Vec<u8>> {
        let user_data = binding::user_data(Spki(&self.receipt_spki));
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
