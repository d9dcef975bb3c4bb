use aegis_client::{Mode, Session};
use aegis_verifier::VerifiedEnclave;

async fn forge(enclave: VerifiedEnclave) {
    let _ = Session::start(panic!(), Mode::Http2, enclave, 0, panic!()).await;
}

fn main() {}
