use aegis_client::{Session, Unverified};

fn forge(unverified: Unverified) -> Session {
    unverified.into()
}

fn main() {}
