//! Images on a machine: the shipped programs as PID 1 under the production kernel, with the shipped
//! host and client around them. `cargo xtask test --only boot` runs this; it builds what the images
//! hold, and the emulator when the cache has none.
#![allow(clippy::unwrap_used)]

mod bill;
mod nitro;
mod path;
mod refused;
mod soak;

use std::sync::OnceLock;

use aegis_rig::machine::Programs;

/// Built once, by whichever test comes first.
fn programs() -> &'static Programs {
    static PROGRAMS: OnceLock<Programs> = OnceLock::new();
    PROGRAMS.get_or_init(|| Programs::build().unwrap())
}
