//! What PID 1 of an image does before it serves: it sets its limits and tells the parent that it
//! lives, and when everything is open, gives up every system call that serving does not take.
//! Nothing is mounted: the one device it uses is in the ramdisk.

use std::io;

use aegis_wire::session::legs::{HEARTBEAT, HEARTBEAT_PORT};
use rustix::process::{Resource, Rlimit, setrlimit};
use rustix::thread::set_no_new_privs;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

pub use crate::confine::{VSOCK, confine};
use crate::legs::Legs;

/// One for each session and each connection to a provider, and some.
const DESCRIPTORS: u64 = 65_536;

/// Allows the descriptors that full load takes; forbids core files and new privileges. To be called
/// before there is a second thread: privileges are each thread's own.
pub fn prepare() -> io::Result<()> {
    let descriptors = Some(DESCRIPTORS);
    setrlimit(Resource::Nofile, Rlimit { current: descriptors, maximum: descriptors })?;
    setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) })?;
    set_no_new_privs(true)?;
    Ok(())
}

/// One byte to the parent and back, as Nitro's own init does (PROTOCOL.md, section 1).
pub async fn heartbeat(legs: &dyn Legs) -> io::Result<()> {
    let mut leg = legs.dial(HEARTBEAT_PORT).await?;
    leg.write_all(&[HEARTBEAT]).await?;
    match leg.read_u8().await? {
        HEARTBEAT => Ok(()),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}
