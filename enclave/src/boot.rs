//! What PID 1 of the image does before it serves: it gets its devices, gives up what it will not
//! need, and tells the parent that it lives.

use std::io;

use aegis_enclave::legs::Legs;
use aegis_wire::session::legs::{HEARTBEAT, HEARTBEAT_PORT};
use rustix::mount::{MountFlags, mount};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// One for each session and each connection to a provider, and some.
const DESCRIPTORS: u64 = 65_536;

/// Mounts `/dev`, where the kernel shows `nsm`; forbids core files and new privileges.
pub(crate) fn prepare() -> io::Result<()> {
    let flags = MountFlags::NOSUID | MountFlags::NOEXEC;
    mount("dev", "/dev", "devtmpfs", flags, None)?;
    let descriptors = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, Rlimit { current: descriptors, maximum: descriptors })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_no_new_privs(true)?;
    Ok(())
}

/// One byte to the parent and back, as Nitro's own init does (PROTOCOL.md, section 1).
pub(crate) async fn heartbeat(legs: &dyn Legs) -> io::Result<()> {
    let mut leg = legs.dial(HEARTBEAT_PORT).await?;
    leg.write_all(&[HEARTBEAT]).await?;
    match leg.read_u8().await? {
        HEARTBEAT => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
