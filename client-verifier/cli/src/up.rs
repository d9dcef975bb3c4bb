//! placeholder
use crate::{args::UpArgs, failure::Failure};
/// x
pub async fn run(_args: &UpArgs) -> Result<(), Failure> {
    Err(Failure::usage("not yet"))
}
