//! The shipped agent, in front of whatever router is at an address.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::path::Path;

use crate::enclave::Enclave;
use crate::program::Binary;
use crate::program::Program;

/// The prefixes of the agent, each led to the mock's row for that provider.
const ROUTES: [&str; 4] = [
    "openai=openai.mock.aegis.test",
    "anthropic=anthropic.mock.aegis.test",
    "gemini=gemini.mock.aegis.test",
    "openrouter=openrouter.mock.aegis.test",
];

/// Starts an agent that trusts exactly this enclave; its SDKs send the virtual key, and custody is
/// the host's. The outer root is `outer.pem` in `folder`. Gives the address at which it listens. `more` are
/// further flags.
pub async fn start(
    enclave: &Enclave,
    router: SocketAddr,
    folder: &Path,
    more: &[&OsStr],
) -> io::Result<(Program, SocketAddr)> {
    let accept = folder.join("accept.json");
    let measured = enclave.measurement();
    let (pcr0, pcr1, pcr2) = (measured.pcr0, measured.pcr1, measured.pcr2);
    fs::write(
        &accept,
        format!(r#"[{{"release":0,"pcr0":"{pcr0}","pcr1":"{pcr1}","pcr2":"{pcr2}"}}]"#),
    )?;
    let accepting = [("--accept", accept.as_os_str())];
    start_accepting(enclave, router, folder, &accepting, more).await
}

/// The same, told by these options which releases it accepts.
pub async fn start_accepting(
    enclave: &Enclave,
    router: SocketAddr,
    folder: &Path,
    accepting: &[(&str, &OsStr)],
    more: &[&OsStr],
) -> io::Result<(Program, SocketAddr)> {
    let table = folder.join("agent.table");
    fs::write(&table, Program::output(Binary::Enclave, &["table".as_ref()])?)?;
    let root = enclave.root().ok_or_else(|| io::Error::other("no development root"))?;
    let (router, root) = (format!("https://{router}"), root.to_string());
    let outer = folder.join("outer.pem");
    let mut arguments: Vec<&OsStr> = vec!["agent".as_ref()];
    for (flag, value) in [
        ("--router", router.as_ref()),
        ("--router-ca", outer.as_os_str()),
        ("--dangerous-development-root", root.as_ref()),
        ("--custody", "host".as_ref()),
        ("--listen", "127.0.0.1:0".as_ref()),
        ("--table", table.as_os_str()),
    ] {
        arguments.extend([flag.as_ref(), value]);
    }
    for (flag, value) in accepting {
        arguments.extend([flag.as_ref(), *value]);
    }
    for route in ROUTES {
        arguments.extend(["--route".as_ref(), route.as_ref()] as [&OsStr; 2]);
    }
    arguments.extend(more);
    let agent = Program::start(Binary::Aegis, &arguments)?;
    let find = |line: &str| line.strip_prefix("listening on http://")?.trim().parse().ok();
    let address = agent.line(find).await?;
    Ok((agent, address))
}
