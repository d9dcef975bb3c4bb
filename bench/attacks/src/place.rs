//! Where in the host's place the attacker sits, on the sealed path.
//!
//! A host that wants to be a plaintext router has to end TLS somewhere. It can try to be the enclave
//! towards the client, or the provider towards the enclave; in both places the very router of the
//! baseline stands behind, with the same attacker in it. Or it stays on the wire, and shows the
//! attacker what passes there.

use std::io;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::PoisonError;

use aegis_dev_attester::AttestRequest;
use aegis_dev_attester::DevelopmentAttester;
use aegis_dev_attester::PcrBank;
use aegis_mock::DEFAULT_KEY;
use aegis_mock::MockRoot;
use aegis_rig::hostile;
use aegis_rig::hostile::Dial;
use aegis_rig::hostile::Impostor;
use aegis_rig::hostile::Insider;
use aegis_rig::hostile::Session;
use aegis_rig::relay;
use aegis_rig::relay::Target;
use aegis_rig::user::KEY;
use aegis_rig::user::now_ms;
use aegis_rig::world::MOCK_NAMES;
use aegis_rig::world::World;
use aegis_wire::session::Evidence;
use aegis_wire::session::Mode;
use tokio::io::AsyncRead;
use tokio::io::AsyncReadExt as _;
use tokio::io::AsyncWrite;
use tokio::io::AsyncWriteExt as _;
use tokio::task::JoinSet;

use crate::attacker::Attacker;
use crate::attacker::Direction;
use crate::attacker::Passing;
use crate::router::Http;
use crate::router::Router;

/// Where the attacker sits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// On the wires: session leg, egress leg, control channel.
    Wire,
    /// In the enclave's place, with evidence borrowed from the enclave for this very question.
    Enclave,
    /// In the provider's place, with a certificate of its own for the provider's name.
    Provider,
}

/// All places.
pub const PLACES: [Place; 3] = [Place::Wire, Place::Enclave, Place::Provider];

/// What the sealed path stands on, taken away: with it gone the attacks must get through, or the
/// bench would show nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// As it is.
    Kept,
    /// The adversary holds the key that signs evidence and the certificate authority that the
    /// enclave trusts for providers.
    Broken,
}

/// The attacker of the moment; a place asks for it with each piece.
#[derive(Clone, Default)]
pub struct Slot(Arc<Mutex<Option<Arc<dyn Attacker>>>>);

impl Slot {
    /// Exchanges the attacker.
    pub fn set(&self, attacker: Arc<dyn Attacker>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(attacker);
    }

    fn see(&self, passing: &mut Passing) {
        let attacker = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(attacker) = attacker {
            attacker.see(passing);
        }
    }
}

impl Attacker for Slot {
    fn see(&self, passing: &mut Passing) {
        Slot::see(self, passing);
    }
}

/// Puts the attacker in `slot` at a place of this world.
pub async fn occupy(
    world: &World,
    place: Place,
    trust: Trust,
    slot: &Slot,
    tasks: &mut JoinSet<()>,
) -> io::Result<()> {
    let upstream = world.mock.addr();
    match place {
        Place::Wire => {
            tap_sessions(world, slot);
            tap_control(world, slot);
            let on_egress = slot.clone();
            let carry = move |enclave, provider| {
                let slot = on_egress.clone();
                async move { both_ways(enclave, provider, &slot).await }
            };
            let egress = relay::tcp_by(tasks, Target::new(upstream), carry).await?;
            world.hostile.on_egress(move |_| Dial::To(egress));
        }
        Place::Enclave => be_the_enclave(world, trust, plaintext_router(world, slot)?)?,
        Place::Provider => {
            let root = match trust {
                Trust::Kept => MockRoot::generate(),
                Trust::Broken => MockRoot::load(world.folder()),
            };
            let root = root.map_err(io::Error::other)?;
            let router = plaintext_router(world, slot)?;
            let address = router.listen(&root, &MOCK_NAMES, tasks).await?;
            world.hostile.on_egress(move |_| Dial::To(address));
        }
    }
    Ok(())
}

fn plaintext_router(world: &World, slot: &Slot) -> io::Result<Arc<Router>> {
    let root = world.mock_root.der().map_err(io::Error::other)?;
    let router = Router::new(world.mock.addr(), root, KEY, DEFAULT_KEY);
    router.set_attacker(Some(Arc::new(slot.clone())));
    Ok(router)
}

fn tap_sessions(world: &World, slot: &Slot) {
    let slot = slot.clone();
    world.hostile.on_session(move |session: Session| {
        let slot = slot.clone();
        async move {
            let enclave = session.door.open(session.number).await?;
            both_ways(session.client, enclave, &slot).await
        }
    });
}

fn tap_control(world: &World, slot: &Slot) {
    let (asked, used) = (slot.clone(), slot.clone());
    let answer = |slot: &Slot, frame: Vec<u8>| {
        let mut passing = Passing::piece(Direction::Down, &frame);
        slot.see(&mut passing);
        passing.body
    };
    world.hostile.on_authorize(move |ask, desk| {
        let words = format!("{ask:?}");
        asked.see(&mut Passing::piece(Direction::Up, words.as_bytes()));
        vec![answer(&asked, desk.grant(ask))]
    });
    world.hostile.on_usage(move |usage| {
        let words = format!("{usage:?}");
        used.see(&mut Passing::piece(Direction::Down, words.as_bytes()));
        vec![answer(&used, hostile::ack(usage.grant))]
    });
}

/// Between two ends, each TLS record past the attacker.
async fn both_ways<A, B>(user: A, provider: B, slot: &Slot) -> io::Result<()>
where
    A: AsyncRead + AsyncWrite,
    B: AsyncRead + AsyncWrite,
{
    let (from_user, to_user) = tokio::io::split(user);
    let (from_provider, to_provider) = tokio::io::split(provider);
    let up = pump(from_user, to_provider, |record| slot.see_record(Direction::Up, record));
    let down = pump(from_provider, to_user, |record| slot.see_record(Direction::Down, record));
    tokio::try_join!(up, down).map(drop)
}

impl Slot {
    fn see_record(&self, direction: Direction, record: &mut Vec<u8>) {
        let mut passing = Passing::piece(direction, record);
        self.see(&mut passing);
        *record = passing.body;
    }
}

/// Passes TLS records on, each through `change`, until the stream ends.
pub async fn pump(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut change: impl FnMut(&mut Vec<u8>),
) -> io::Result<()> {
    while let Some(mut record) = read_record(&mut from).await? {
        change(&mut record);
        to.write_all(&record).await?;
        to.flush().await?;
    }
    to.shutdown().await
}

/// One TLS record with its header, or `None` at the end of the stream.
pub async fn read_record(from: &mut (impl AsyncRead + Unpin)) -> io::Result<Option<Vec<u8>>> {
    let mut record = vec![0; 5];
    match from.read_exact(&mut record).await {
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        read => read?,
    };
    let len = usize::from(u16::from_be_bytes([record[3], record[4]]));
    record.resize(5 + len, 0);
    from.read_exact(&mut record[5..]).await?;
    Ok(Some(record))
}

/// Ends the client's inner TLS with a key of the adversary's, and serves what comes then.
fn be_the_enclave(world: &World, trust: Trust, router: Arc<Router>) -> io::Result<()> {
    let attester = DevelopmentAttester::open_or_create(&world.state()).map_err(io::Error::other)?;
    let (attester, pcrs) = (Arc::new(attester), world.enclave.pcrs());
    world.hostile.on_session(move |session: Session| {
        let (router, attester) = (Arc::clone(&router), Arc::clone(&attester));
        async move {
            let impostor = Impostor::generate()?;
            let mut client = hostile::accept_as(&impostor, session.client).await?;
            let (mode, evidence) = match trust {
                Trust::Kept => {
                    let opening = hostile::read_opening(&mut client).await?;
                    let enclave = session.door.open(session.number).await?;
                    let mut peer = hostile::connect_unverified(enclave).await?;
                    (opening.mode, peer.evidence(&opening).await?)
                }
                Trust::Broken => signed(&impostor, &mut client, &attester, &pcrs).await?,
            };
            client.write_all(&evidence.encode().map_err(io::Error::other)?).await?;
            client.flush().await?;
            router.serve(client, if mode == Mode::Http2 { Http::Two } else { Http::One }).await;
            Ok(())
        }
    });
    Ok(())
}

/// Evidence for the impostor's own key, signed by the attester that clients accept.
async fn signed(
    impostor: &Impostor,
    client: &mut tokio_rustls::server::TlsStream<hostile::Client>,
    attester: &DevelopmentAttester,
    pcrs: &PcrBank,
) -> io::Result<(Mode, Evidence)> {
    let receipt_key = impostor.spki();
    let claims = Insider::honest(impostor, client, &receipt_key).await?;
    let request = AttestRequest {
        public_key: Some(&claims.public_key),
        user_data: Some(&claims.user_data),
        nonce: Some(&claims.nonce),
    };
    let document = attester.attest(pcrs, &request, now_ms()).map_err(io::Error::other)?;
    Ok((claims.opening.mode, Evidence { document, receipt_key }))
}
