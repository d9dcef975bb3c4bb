//! A malicious update: another image under the same root, and the same image under a root of the
//! host's own.

use std::io;

use aegis_rig::enclave::Image;
use aegis_rig::hostile::Session;

use super::Trial;
use super::Verdict;

pub(super) async fn run() -> io::Result<Verdict> {
    let mut steps = Vec::new();
    for (other, state) in [(true, "state"), (false, "state-of-the-hosts-own")] {
        let trial = Trial::start().await?;
        let image = match other {
            true => Image::OtherMeasurement(trial.world.folder()),
            false => Image::Shipped,
        };
        let (_enclave, legs) = trial.world.another_enclave(image, state).await?;
        trial.world.hostile.on_session(move |session: Session| {
            let door = session.door.to(&legs);
            async move { Session { door, ..session }.splice().await }
        });
        steps.push(trial.step().await?);
    }
    Ok(super::all_refused(&steps))
}
