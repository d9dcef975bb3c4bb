//! A pool of verified sessions, one for each virtual key, under one policy.
//!
//! A session is replaced when it ends, when it is 55 minutes old, when the enclave behind it is
//! another and when what the client believes has changed; each new one is verified like the first. There is no path around verification, and a
//! request is sent a second time only if it provably was not dispatched.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use aegis_verifier::UnixTime;
use aegis_wire::{control::Custody, session::Mode};
use bytes::Bytes;
use http::{Request, Response};
use http_body::Body;
use hyper::body::Incoming;

use crate::{
    Custodies, Error, Router, Session, Trust, Tunnel, VirtualKey, belief::Belief, once::OnceBody,
    session::Unanswered, slot::Slot,
};

/// Keys remembered at once; unused ones make room. An agent has one key, a gateway a few.
const KEYS: usize = 64;
/// How often a session is made anew because the belief changed while it was made.
const CHANGES: usize = 3;

/// Everything a client is told.
#[derive(Clone)]
pub struct Config {
    /// Where the router is.
    pub router: Router,
    /// What is believed at the beginning.
    pub trust: Trust,
    /// Which custodies a request may state.
    pub custodies: Custodies,
}

/// Sends requests on verified sessions.
pub struct Client {
    router: Router,
    custodies: Custodies,
    belief: Arc<Belief>,
    padding: bool,
    slots: Mutex<HashMap<VirtualKey, Arc<Slot>>>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(config: Config) -> Self {
        let Config { router, trust, custodies } = config;
        let belief = Arc::new(Belief::new(trust));
        Self { router, custodies, belief, padding: false, slots: Mutex::default() }
    }

    /// The same client, whose sessions hide the lengths of what passes on them: it travels in frames
    /// of a few sizes (PROTOCOL.md, section 3.3).
    #[must_use]
    pub fn padded(self, padding: bool) -> Self {
        Self { padding, ..self }
    }

    /// Where the router is.
    pub fn router(&self) -> &Router {
        &self.router
    }

    /// Which custodies a request may state.
    pub fn custodies(&self) -> Custodies {
        self.custodies
    }

    /// What is believed now.
    pub fn trust(&self) -> Trust {
        self.belief.now().0
    }

    /// Believes something else from now on. Sessions verified under the old belief take no further
    /// request; streams in flight on them finish if their enclave is still accepted, else they break.
    pub fn believe(&self, trust: Trust) {
        self.belief.change(trust);
    }

    /// A verified session for this key, made now if there is none.
    pub async fn session(&self, key: &VirtualKey) -> Result<Arc<Session>, Error> {
        self.belief.now().0.is_usable(now())?;
        self.slot(key).session(|| self.connect(key)).await
    }

    /// Sends a request for `https://AUTHORITY/PATH` of a provider, stating this custody. The answer's
    /// extensions hold the [`Arc<Session>`] that carried it, which is where its receipt is.
    pub async fn send<B>(
        &self,
        key: &VirtualKey,
        custody: Custody,
        request: Request<B>,
    ) -> Result<Response<Incoming>, Error>
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !self.custodies.accepts(custody) {
            return Err(Error::Custody(custody));
        }
        self.belief.now().0.is_usable(now())?;
        let mut request = request.map(OnceBody::new);
        let stated = self.custodies.stated(custody);
        request.headers_mut().insert("aegis-custody", stated);
        let slot = self.slot(key);
        let session = slot.session(|| self.connect(key)).await?;
        let (mut carrier, mut answered) = (Arc::clone(&session), session.dispatch(request).await);
        if let Err(Unanswered { request: Some(request), .. }) = answered {
            slot.forget(&session);
            carrier = slot.session(|| self.connect(key)).await?;
            answered = carrier.dispatch(request).await;
        }
        let mut answer = answered.map_err(|unanswered| unanswered.error)?;
        answer.extensions_mut().insert(carrier);
        Ok(answer)
    }

    fn slot(&self, key: &VirtualKey) -> Arc<Slot> {
        // What runs under the lock does not panic.
        let mut slots = self.slots.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(slot) = slots.get(key) {
            return Arc::clone(slot);
        }
        if slots.len() >= KEYS {
            slots.retain(|_, slot| slot.in_use());
        }
        Arc::clone(slots.entry(key.clone()).or_default())
    }

    fn connect(
        &self,
        key: &VirtualKey,
    ) -> impl Future<Output = Result<Arc<Session>, Error>> + Send + 'static {
        let (router, belief) = (self.router.clone(), Arc::clone(&self.belief));
        let (key, padding) = (key.clone(), self.padding);
        async move {
            for _ in 0..CHANGES {
                let (trust, generation) = belief.now();
                trust.is_usable(now())?;
                let tunnel = Tunnel::open(&router, &key, &trust).await?;
                let unverified = tunnel.handshake().await?.padded(padding);
                let session = unverified.verify(Mode::Http2, &trust, now).await?;
                if belief.admit(&session, generation) {
                    return Ok(Arc::new(session));
                }
            }
            Err(Error::NotSent)
        }
    }
}

/// A clock before 1970 counts as 1970: every certificate is refused then.
fn now() -> UnixTime {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::since_epoch(elapsed.unwrap_or_default())
}
