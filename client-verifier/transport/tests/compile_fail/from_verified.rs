use aegis_client::Session;
use aegis_verifier::VerifiedEnclave;

fn forge(enclave: VerifiedEnclave) -> Session {
    Session::from(enclave)
}

fn main() {}
