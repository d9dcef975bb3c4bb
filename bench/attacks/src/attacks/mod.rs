//! The attacks of arXiv 2604.08407, one file each. Each works on the plaintext baseline and is run,
//! as it is, in the host's place on the sealed path.

mod ac1_rewrite;
mod ac1a_quoted;
mod ac1a_typosquat;
mod ac1a_url;
mod ac1b_count;
mod ac1b_fingerprint;
mod ac1b_keyword;
mod ac1b_tool;
mod ac1b_window;
mod ac2_header;
mod ac2_request;
mod ac2_response;
pub mod rewrite;
pub mod steal;

use crate::scenario::Attack;

/// Every attack. A new one is one file and its line here.
pub fn all() -> Vec<Box<dyn Attack>> {
    vec![
        Box::new(ac1_rewrite::Attack),
        Box::new(ac1a_typosquat::Attack),
        Box::new(ac1a_quoted::Attack),
        Box::new(ac1a_url::Attack),
        Box::new(ac1b_count::Attack),
        Box::new(ac1b_fingerprint::Attack),
        Box::new(ac1b_keyword::Attack),
        Box::new(ac1b_tool::Attack),
        Box::new(ac1b_window::Attack),
        Box::new(ac2_header::Attack),
        Box::new(ac2_request::ATTACK),
        Box::new(ac2_response::ATTACK),
    ]
}
