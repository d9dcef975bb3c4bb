//! Timing and size triggers: the host cannot read, but it sees how long records are. It waits for
//! one as long as an answer with a tool call, and plays another session's record in its place.

use std::io;

use super::Trial;
use super::Verdict;
use super::tamper;
use super::tamper::Act;
use crate::api::APIS;
use crate::api::Variant;

/// Longer than anything of a handshake's end or of HTTP/2's own frames.
const ANSWER_BYTES: usize = 200;

pub(super) async fn run() -> io::Result<Verdict> {
    let mut trial = Trial::start().await?;
    trial.impatient();
    let posts = tamper::posts(&trial).await?;
    let mut steps = Vec::new();
    for api in APIS {
        for streamed in [false, true] {
            for [_, down] in [&posts.session, &posts.egress] {
                trial.settle().await?;
                down.arm(Act::Splice, ANSWER_BYTES);
                steps.push(trial.step_in(Variant { api, streamed }).await?);
                if !down.done() {
                    return Err(io::Error::other("no record was as long as an answer"));
                }
            }
        }
    }
    Ok(super::nothing_else(&steps))
}
