use aegis_client::Attested;
use aegis_verifier::VerifiedEnclave;

fn forge(enclave: VerifiedEnclave) -> Attested {
    Attested {
        enclave,
        release: 7,
    }
}

fn main() {}
