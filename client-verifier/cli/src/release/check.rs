//! A bundle judged as a client judges it.

use aegis_client::StateError;
use aegis_releases::{Accepted, Error};
use serde_json::{Value, json};

use crate::{agent::start::say, args::release::CheckArgs, failure::Failure, lists};

pub(super) fn run(args: &CheckArgs) -> Result<(), Failure> {
    let (releases, bundle) = lists::bundle(&args.list())?;
    let judged = lists::judge(&releases, &bundle, args.at);
    let path = args.bundle.display();
    match (judged, args.json) {
        (Ok(accepted), true) => say(&format!("{}\n", accepted_json(&accepted))),
        (Ok(accepted), false) => {
            say(&lists::walk(&accepted));
            say(&match args.at {
                Some(_) => "accepted as of that moment; nothing was remembered\n".to_owned(),
                None => {
                    format!("accepted, and remembered in {}\n", releases.state.path().display())
                }
            });
        }
        (Err(StateError::Refused(error)), json) => {
            if json {
                say(&format!("{}\n", refusal_json(&error)));
            }
            return Err(Failure::refused(format!(
                "{path} is refused at step {error}; get the current bundle from its publisher"
            )));
        }
        (Err(error), _) => return Err(error.into()),
    }
    Ok(())
}

fn accepted_json(accepted: &Accepted) -> Value {
    let list = accepted.list();
    let numbers: Vec<_> = accepted.releases().map(|release| release.number).collect();
    json!({
        "accepted": true,
        "step": null,
        "error": null,
        "message": null,
        "sequence": list.sequence(),
        "not_after": list.not_after().0,
        "releases": numbers,
        "first_use": accepted.is_first(),
    })
}

/// A refused list, for machines.
pub fn refusal_json(error: &Error) -> Value {
    json!({
        "accepted": false,
        "step": error.step().name(),
        "error": error.name(),
        "message": error.to_string(),
    })
}
