//! Hostile input of 16 KiB never takes more than 1 MiB of memory.
//!
//! One test in a file of its own: the allocator counts for the whole process. It counts what Rust
//! allocates; the C code of aws-lc works on its stack and a few hundred bytes.

#![allow(clippy::unwrap_used)]

use aegis_dev_attester::forge::ChainSpec;
use aegis_dev_attester::forge::DocumentSpec;
use aegis_dev_attester::forge::IssuedChain;
use aegis_dev_attester::forge::cbor;
use aegis_verifier::Challenge;
use aegis_verifier::Policy;
use aegis_verifier::RootFingerprint;
use aegis_verifier::TrustAnchor;
use aegis_verifier::UnixTime;
use aegis_verifier::decode_without_verifying;
use aegis_verifier::limits::MAX_DOCUMENT_BYTES;
use aegis_verifier::verify;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const NOW_SECS: u64 = 1_750_000_000;
const LIMIT_BYTES: usize = 1 << 20;

/// Inputs that make a careless reader reserve, recurse or search.
fn hostile_inputs(chain: &IssuedChain) -> Vec<(&'static str, Vec<u8>)> {
    let with = |change: fn(&mut DocumentSpec)| {
        let mut document = DocumentSpec::like_aws(chain, NOW_SECS * 1000);
        change(&mut document);
        document.sign(chain).encode()
    };
    let mut cabundle: Vec<_> = chain.cabundle.iter().map(|der| cbor::bytes(der)).collect();
    // The same authority again and again: many issuers for a path builder to try.
    cabundle.resize(7, cabundle[3].clone());
    let mut repeated = DocumentSpec::like_aws(chain, NOW_SECS * 1000);
    repeated.set("cabundle", cbor::array(&cabundle));
    vec![
        ("the valid document", with(|_| {})),
        (
            "the largest fields",
            with(|document| {
                document.set_public_key(Some(&[1; 1024]));
                document.set_user_data(Some(&[2; 1024]));
                document.set_nonce(Some(&[3; 1024]));
            }),
        ),
        ("repeated authorities", repeated.sign(chain).encode()),
        (
            "a map of 2^64 entries",
            with(|document| {
                document.edit_payload = Some(|payload| *payload = cbor::head(5, u64::MAX));
            }),
        ),
        (
            "a cabundle of 2^64 entries",
            with(|document| {
                document.set("cabundle", cbor::head(4, u64::MAX));
            }),
        ),
        ("a string of 2^64 bytes", with(|document| document.set("nonce", cbor::head(2, u64::MAX)))),
        ("nested arrays", vec![0x81; MAX_DOCUMENT_BYTES]),
        ("nested tags", vec![0xd2; MAX_DOCUMENT_BYTES]),
        ("nested maps of indefinite length", vec![0xbf; MAX_DOCUMENT_BYTES]),
        ("zeros", vec![0; MAX_DOCUMENT_BYTES]),
        ("more than is read", vec![0x84; 64 * MAX_DOCUMENT_BYTES]),
    ]
}

#[test]
fn hostile_input_takes_little_memory() {
    let chain = ChainSpec::like_aws(NOW_SECS).issue();
    let root = RootFingerprint::new(chain.root_fingerprint());
    let anchor = TrustAnchor::dangerous_development_root(root);
    let policy = Policy::dangerous_any_measurement(anchor);
    let challenge = Challenge::dangerous_without_nonce();
    let now = UnixTime::from_secs(NOW_SECS);
    let inputs = hostile_inputs(&chain);
    // What the backend reserves once, for the process, is not the input's.
    verify(&inputs[0].1, &policy, &challenge, now).unwrap();
    for (name, input) in &inputs {
        ALLOCATOR.reset_peak_usage();
        let before = ALLOCATOR.current_usage();
        let verdicts = (verify(input, &policy, &challenge, now), decode_without_verifying(input));
        let taken = ALLOCATOR.peak_usage() - before;
        assert!(taken > 0 || verdicts.0.is_err(), "the allocator counts nothing");
        assert!(taken < LIMIT_BYTES, "{name}: {taken} bytes");
    }
}
