//! Many vsock connections one after another, and what is left of them: older kernels kept memory of
//! each, so that an enclave died after some days.

use aegis_eif::Error;
use aegis_eif::boot::Enclave;

/// Growth that counts as none: what the kernel frees later, and caches that settle late. A socket
/// that is never freed costs about 2 KiB.
const NOISE_KIB: u64 = 4096;

/// What the machine has left and what its program holds, in KiB.
struct Memory {
    available: u64,
    resident: u64,
}

/// Opens and ends `connections`, and requires the last three quarters of them to cost no memory; the
/// first quarter fills caches.
pub(super) fn run(enclave: &Enclave, port: u32, connections: u32) -> Result<(), Error> {
    let warm_up = connections / 4;
    connect(enclave, port, warm_up)?;
    let before = memory(enclave, port)?;
    connect(enclave, port, connections - warm_up)?;
    let after = memory(enclave, port)?;
    let kernel = before.available.saturating_sub(after.available);
    let program = after.resident.saturating_sub(before.resident);
    if kernel > NOISE_KIB || program > NOISE_KIB {
        return Err(Error::Boot(format!(
            "after {connections} connections the machine has {kernel} KiB less and its program \
             {program} KiB more than after {warm_up}; at most {NOISE_KIB} KiB are noise"
        )));
    }
    println!("soak: {connections} connections, machine -{kernel} KiB, program +{program} KiB");
    Ok(())
}

fn connect(enclave: &Enclave, port: u32, count: u32) -> Result<(), Error> {
    for _ in 0..count {
        // An answer of several packets, so that buffers are used and not only counted.
        let answer = enclave.ask(port, "file /proc/meminfo")?;
        if answer.is_empty() {
            return Err(Error::Boot("soak: an empty answer".to_owned()));
        }
    }
    Ok(())
}

fn memory(enclave: &Enclave, port: u32) -> Result<Memory, Error> {
    Ok(Memory {
        available: field(&enclave.ask(port, "file /proc/meminfo")?, "MemAvailable:")?,
        resident: field(&enclave.ask(port, "file /proc/self/status")?, "VmRSS:")?,
    })
}

/// The number of KiB behind `name` in a file of `/proc`.
fn field(text: &[u8], name: &str) -> Result<u64, Error> {
    let text = String::from_utf8_lossy(text);
    let value = text.lines().find_map(|line| line.strip_prefix(name)?.split_whitespace().next());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| Error::Boot(format!("soak: no {name} in {text:?}")))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn fields_are_read_by_their_whole_name() {
        let text = b"MemFree:  1 kB\nMemAvailable:   483980 kB\n";
        assert_eq!(field(text, "MemAvailable:").unwrap(), 483_980);
        assert!(field(text, "VmRSS:").is_err());
    }
}
