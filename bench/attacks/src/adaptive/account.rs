//! Account substitution: the host answers with another account's credential than the one it is
//! asked to use. In custody *host* that is its to choose. In custody *client* a grant with a
//! credential is refused, and the caller's own key stays where it is.

use std::io;

use aegis_client::Mode;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::MockConfig;
use aegis_rig::hostile;
use aegis_rig::user;
use aegis_rig::world::World;
use aegis_wire::control::Grant;
use aegis_wire::control::Secret;

use super::Trial;
use super::Verdict;

/// The credential of an account that the operator would like to be used.
const OTHER: &str = "sk-made-up-other-account";

pub(super) async fn run() -> io::Result<Verdict> {
    let keys = vec![DEFAULT_KEY.to_owned(), OTHER.to_owned()];
    let world = World::with_mock(|config| MockConfig { keys, ..config }).await?;
    let trial = Trial::in_world(world).await?;
    trial.world.hostile.desk().set_credential(OTHER.as_bytes());
    trial.honest().await?;
    let sent = trial.world.mock.recorded().len();

    trial.world.hostile.on_authorize(|ask, desk| {
        let credential = Secret(OTHER.as_bytes().to_vec());
        vec![hostile::grant_bytes(&Grant { credential, ..desk.honest(ask) })]
    });
    let session = trial.world.user()?.session(Mode::Http2).await.map_err(io::Error::other)?;
    let request = http::Request::post("https://openai.mock.aegis.test/v1/chat/completions")
        .header("aegis-custody", "client")
        .header("authorization", format!("Bearer {DEFAULT_KEY}"))
        .body(user::chat_body("say hi"))
        .map_err(io::Error::other)?;
    let answer = user::exchange(&session, request).await.map_err(io::Error::other)?;
    let refused = answer.error_code() == Some("host_unavailable");
    Ok(match refused && trial.world.mock.recorded().len() == sent {
        true => Verdict::Residual("the host chooses among its own accounts"),
        false => Verdict::Through("another account in custody client".to_owned()),
    })
}
