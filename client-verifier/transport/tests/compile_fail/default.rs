use aegis_client::Session;

fn main() {
    let _ = Session::default();
}
