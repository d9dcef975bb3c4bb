//! Machines that a client must not believe, each refused in its step.

use aegis_client::Error;
use aegis_client::Mode;
use aegis_client::Release;
use aegis_client::Trust;
use aegis_rig::enclave::RELEASE;
use aegis_rig::machine::Init;
use aegis_rig::stack::Stack;
use aegis_rig::user::KEY;
use aegis_rig::user::User;
use aegis_verifier::TrustAnchor;
use aegis_wire::session::legs::SESSION_PORT;

use crate::programs;
use crate::soak::MEMORY_PORT;

/// The step that refuses, once the host has the enclave.
async fn refused_at(user: &User) -> &'static str {
    loop {
        match user.session(Mode::Http2).await {
            Ok(_) => panic!("the client believed it"),
            Err(Error::Evidence(error)) => return error.step().name(),
            Err(error) if error.is_away() => {}
            Err(error) => panic!("no verification failed: {error}"),
        }
        // Nothing tells a client when an enclave is there.
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

/// The emulated security module signs nothing. Its document is otherwise in order, and PCR0 to 2 are
/// the accepted ones: what refuses it is the form of a signature that is none.
#[tokio::test(flavor = "multi_thread")]
async fn the_production_image_boots_and_its_unsigned_document_is_refused() {
    let stack = Stack::on_machine(programs(), Init::Production, false).await.unwrap();
    let user = stack.user(KEY).unwrap();
    assert!(user.trust.anchor().is_aws_nitro());
    assert_eq!(refused_at(&user).await, "cose");
    let machine = stack.enclave.as_ref().unwrap().as_machine().unwrap();
    assert!(machine.connect(SESSION_PORT).is_ok());
    assert!(machine.connect(MEMORY_PORT).is_err(), "a port of development images is there");
}

/// The image differs in one letter of one provider's name. It is another program on the same
/// platform, and no client that accepts the first one speaks to it.
#[tokio::test(flavor = "multi_thread")]
async fn one_byte_of_the_provider_table_is_another_measurement_that_clients_refuse() {
    let changed = Stack::on_machine(programs(), Init::Development, true).await.unwrap();
    changed.ready().await.unwrap();
    // The image that this client accepts has the same roots in it, and the table as it is.
    let accepted = changed.image(programs(), Init::Development, false).unwrap().measurement();
    let other = changed.enclave.as_ref().unwrap().measurement();
    assert_ne!(accepted.pcr0, other.pcr0, "the image");
    assert_eq!(accepted.pcr1, other.pcr1, "the platform");
    assert_ne!(accepted.pcr2, other.pcr2, "the program");
    let root = changed.enclave.as_ref().unwrap().root().unwrap();
    let anchor = TrustAnchor::dangerous_development_root(root);
    let release = Release { number: RELEASE, measurement: accepted };
    let trust = Trust::new(anchor, &[release]).unwrap();
    let user = changed.user_trusting(trust, KEY).unwrap();
    assert_eq!(refused_at(&user).await, "pcrs");
}
