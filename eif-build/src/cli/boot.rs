//! `boot`: an image on the emulated machine, for as long as it runs.

use std::path::Path;
use std::time::Duration;

use aegis_eif::Error;
use aegis_eif::boot::Enclave;
use aegis_eif::boot::Options;
use aegis_eif::boot::Parent;
use aegis_eif::boot::Tools;
use aegis_eif::recipe::Context;

/// Longer than anybody watches.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);

pub(super) fn boot(
    context: &Context,
    image: &Path,
    console: bool,
    memory_mib: u32,
    cpus: u32,
) -> Result<(), Error> {
    let tools = Tools::get(context)?;
    let options = Options { cpus, memory_mib, ..Options::default() };
    let parent = Parent::new()?;
    let mut enclave = Enclave::start(&tools, image, parent, &options)?;
    println!("heartbeat after {:?}", enclave.boot_time());
    println!("vsock {}", enclave.parent().vsock_path().display());
    let status = enclave.wait(FOREVER)?;
    if console {
        print!("{}", enclave.parent().console());
    }
    println!("the machine ended: {status}");
    Ok(())
}
