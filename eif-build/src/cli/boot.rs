//! `boot` and `boot-test`: an image on the emulated machine.

use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;

use aegis_eif::Error;
use aegis_eif::boot::Enclave;
use aegis_eif::boot::Options;
use aegis_eif::boot::Parent;
use aegis_eif::boot::Tools;
use aegis_eif::cache::write_atomically;
use aegis_eif::make;
use aegis_eif::make::Recipe;
use aegis_eif::recipe::Context;
use aegis_eif::recipe::enclave::Program;
use aegis_eif::recipe::kernel::Variant;

/// Longer than anybody watches.
const FOREVER: Duration = Duration::from_secs(7 * 24 * 3600);
/// Where the probe program answers.
const PROBE_PORT: u32 = 5000;

pub(super) fn boot(
    context: &Context,
    image: &Path,
    console: bool,
    memory_mib: u32,
    cpus: u32,
) -> Result<(), Error> {
    let tools = Tools::get(context)?;
    let options = Options {
        cpus,
        memory_mib,
        ..Options::default()
    };
    let parent = Parent::new()?;
    let enclave = Enclave::start(&tools, image, parent, &options)?;
    println!("heartbeat after {:?}", enclave.boot_time());
    println!("vsock {}", enclave.parent().vsock_path().display());
    let text = console.then(|| enclave.parent().console());
    if let Some(text) = text {
        print!("{text}");
    }
    let status = enclave.wait(FOREVER)?;
    println!("the machine ended: {status}");
    Ok(())
}

/// Boots the production kernel with the probe and lets the machine speak for itself.
pub(super) fn test(context: &Context, source: &Path) -> Result<(), Error> {
    let source = source.canonicalize().map_err(Error::file("find", source))?;
    let made = make::once(context, &probe_recipe(source))?;
    let work = context.cache.work_folder("boot-test-")?;
    let path = work.path().join("probe.eif");
    write_atomically(&path, &made.bytes)?;
    let tools = Tools::get(context)?;
    let enclave = Enclave::start(&tools, &path, Parent::new()?, &Options::default())?;
    println!("heartbeat after {:?}", enclave.boot_time());
    let answer = enclave.ask(PROBE_PORT, "pcrs")?;
    let answer = String::from_utf8_lossy(&answer);
    let release = &made.release;
    for (index, computed) in [&release.pcr0, &release.pcr1, &release.pcr2]
        .iter()
        .enumerate()
    {
        let expected = format!("{index} {computed} true");
        if !answer.lines().any(|line| line == expected) {
            let reason = format!("computed \"{expected}\", /dev/nsm says:\n{answer}");
            return Err(Error::Boot(reason));
        }
        println!("PCR{index} {computed}: computed and reported");
    }
    Ok(())
}

fn probe_recipe(source: PathBuf) -> Recipe {
    Recipe {
        source,
        program: Program::probe(),
        variant: Variant::Production,
        kernel: None,
        init: None,
        command_line: None,
        provider_table: None,
        number: None,
    }
}
