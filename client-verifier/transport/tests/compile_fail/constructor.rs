use aegis_client::{Attested, Mode, Session};
use tokio::net::TcpStream;

async fn forge(stream: TcpStream, attested: Attested) {
    let _ = Session::start(stream, Mode::Http2, attested).await;
}

fn main() {}
