use aegis_client::Session;

fn replace(mut session: Session, other: Session) -> Session {
    session.sender = other.sender;
    session
}

fn main() {}
