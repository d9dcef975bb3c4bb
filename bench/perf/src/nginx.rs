//! The peer everybody knows: nginx as a reverse proxy, TLS in and TLS out, nothing buffered.
//!
//! Debian's package, unpacked into the cache: nothing is installed and no root is needed.

use std::env;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::net::TcpStream;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::child::Running;
use crate::site::NAME;

/// Where peers live: `${AEGIS_CACHE:-${XDG_CACHE_HOME:-~/.cache}/aegis}/perf`.
pub fn cache() -> PathBuf {
    let set = |name| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let home = || set("HOME").unwrap_or_default().join(".cache");
    set("AEGIS_CACHE")
        .unwrap_or_else(|| set("XDG_CACHE_HOME").unwrap_or_else(home).join("aegis"))
        .join("perf")
}

/// The program, if it is installed in the system or the cache.
pub fn program() -> Option<PathBuf> {
    [cache().join("nginx/usr/sbin/nginx"), PathBuf::from("/usr/sbin/nginx")]
        .into_iter()
        .find(|path| path.exists())
}

/// Fetches Debian's package and unpacks it.
pub fn install() -> io::Result<()> {
    let folder = cache().join("nginx");
    fs::create_dir_all(&folder)?;
    run(Command::new("apt-get").args(["download", "nginx"]).current_dir(&folder))?;
    for file in fs::read_dir(&folder)? {
        let file = file?.path();
        if file.extension().is_some_and(|extension| extension == "deb") {
            run(Command::new("dpkg").arg("--extract").arg(&file).arg(&folder))?;
        }
    }
    Ok(())
}

fn run(command: &mut Command) -> io::Result<()> {
    match command.status()?.success() {
        true => Ok(()),
        false => Err(io::Error::other(format!("{command:?} failed"))),
    }
}

/// Starts nginx in front of the mock, one worker for each core.
pub fn start(
    program: &Path,
    folder: &Path,
    certificate: &Path,
    upstream_root: &Path,
    upstream: SocketAddr,
) -> io::Result<(Running, SocketAddr)> {
    // nginx cannot be given port 0: take a free one and hope that nobody takes it in between.
    let listen = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
    let at = folder.display();
    let config = format!(
        "daemon off;\nworker_processes auto;\npid {at}/nginx.pid;\nerror_log {at}/nginx.log warn;\n\
         events {{ worker_connections 4096; }}\n\
         http {{\n\
         access_log off;\n\
         client_body_temp_path {at}/nginx-body;\nproxy_temp_path {at}/nginx-proxy;\n\
         fastcgi_temp_path {at}/nginx-f;\nuwsgi_temp_path {at}/nginx-u;\nscgi_temp_path {at}/nginx-s;\n\
         client_max_body_size 64m;\nkeepalive_requests 1000000;\nkeepalive_timeout 1h;\n\
         upstream mock {{ server {upstream}; keepalive 64; keepalive_requests 1000000; }}\n\
         server {{\n\
         listen {listen} ssl;\nserver_name {NAME};\n\
         ssl_certificate {};\nssl_certificate_key {};\nssl_protocols TLSv1.3;\n\
         location / {{\n\
         proxy_pass https://mock;\nproxy_http_version 1.1;\nproxy_set_header Connection \"\";\n\
         proxy_set_header Host $host;\nproxy_buffering off;\nproxy_request_buffering off;\n\
         proxy_ssl_protocols TLSv1.3;\nproxy_ssl_server_name on;\nproxy_ssl_name {NAME};\n\
         proxy_ssl_verify on;\nproxy_ssl_trusted_certificate {};\n\
         }} }} }}\n",
        certificate.display(),
        certificate.with_extension("key").display(),
        upstream_root.display(),
    );
    let file = folder.join("nginx.conf");
    fs::write(&file, config)?;
    let log = folder.join("nginx.log");
    let nginx = Running::start(Command::new(program).arg("-c").arg(&file).arg("-e").arg(&log))?;
    for _ in 0..200 {
        if TcpStream::connect(listen).is_ok() {
            return Ok((nginx, listen));
        }
        std::thread::sleep(Duration::from_millis(25));
    }
    let said = fs::read_to_string(log).unwrap_or_default();
    Err(io::Error::other(format!("nginx does not listen; it says: {said}")))
}
