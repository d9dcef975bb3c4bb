//! Partial streams: the answer is cut behind each of its records in turn, so that the agent might
//! run the beginning of a command.

use std::io;

use super::Trial;
use super::Verdict;
use super::tamper;
use super::tamper::Act;
use crate::api::APIS;
use crate::api::Variant;

/// More records than any answer here has.
const MOST: usize = 60;

pub(super) async fn run() -> io::Result<Verdict> {
    let mut trial = Trial::start().await?;
    trial.impatient();
    let posts = tamper::posts(&trial).await?;
    let mut steps = Vec::new();
    for api in APIS {
        for [_, down] in [&posts.session, &posts.egress] {
            for record in 0..MOST {
                trial.settle().await?;
                down.arm_after(record, Act::End);
                steps.push(trial.step_in(Variant { api, streamed: true }).await?);
                if !down.done() {
                    break;
                }
            }
        }
    }
    let cut = steps.iter().filter(|done| done.failed.is_some()).count();
    if cut < 2 * APIS.len() {
        return Err(io::Error::other(format!("only {cut} answers were cut")));
    }
    Ok(super::nothing_else(&steps))
}
