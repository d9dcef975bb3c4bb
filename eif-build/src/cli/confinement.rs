//! What becomes of a machine whose program does what an enclave has no use for: when it is confined
//! as the enclave's program is, the kernel ends it, and with it the machine.

use std::path::Path;
use std::time::Duration;

use aegis_eif::Error;
use aegis_eif::boot::Enclave;
use aegis_eif::boot::Options;
use aegis_eif::boot::Parent;
use aegis_eif::boot::Tools;

/// A program is run, a network socket made, a file opened.
const DEEDS: [&str; 3] = ["execve", "inet", "open"];

pub(super) fn run(tools: &Tools, image: &Path, port: u32, patience: Duration) -> Result<(), Error> {
    for deed in DEEDS {
        let mut enclave = Enclave::start(tools, image, Parent::new()?, &Options::default())?;
        let ask = |question: &str| {
            enclave.ask(port, question).map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
        };
        // Whatever the kernel says to it, without the filter the machine lives to pass it on.
        let attempt = format!("try {deed}");
        if ask(&attempt)?.is_empty() {
            return Err(Error::Boot(format!("{deed} ended the program before it was confined")));
        }
        let answer = ask("confine")?;
        if answer != "confined" {
            return Err(Error::Boot(format!("the program could not be confined: {answer}")));
        }
        // The machine may be gone before it can end the stream properly.
        let answer = ask(&attempt).unwrap_or_default();
        if !answer.is_empty() {
            return Err(Error::Boot(format!("confined, and yet {deed} was answered: {answer}")));
        }
        enclave.wait(patience)?;
    }
    println!("confinement: {} each ended the machine", DEEDS.join(", "));
    Ok(())
}
