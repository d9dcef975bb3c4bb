//! A pool of verified sessions, one for each virtual key, under one policy.
//!
//! A session is replaced when it ends, when it is 55 minutes old and when the enclave behind it is
//! another; each new one is verified like the first. There is no path around verification, and a
//! request is sent a second time only if it provably was not dispatched.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use aegis_verifier::UnixTime;
use aegis_wire::{control::Custody, session::Mode};
use bytes::Bytes;
use http::{HeaderValue, Request, Response};
use http_body::Body;
use hyper::body::Incoming;

use crate::{
    Custodies, Error, Router, Session, Trust, Tunnel, VirtualKey, once::OnceBody,
    session::Unanswered, slot::Slot,
};

/// Keys remembered at once; unused ones make room. An agent has one key, a gateway a few.
const KEYS: usize = 64;

/// Everything a client is told.
#[derive(Clone)]
pub struct Config {
    /// Where the router is.
    pub router: Router,
    /// What is believed.
    pub trust: Trust,
    /// Which custodies a request may state.
    pub custodies: Custodies,
}

/// Sends requests on verified sessions.
pub struct Client {
    config: Arc<Config>,
    slots: Mutex<HashMap<VirtualKey, Arc<Slot>>>,
}

impl Client {
    /// A client that has not connected yet.
    pub fn new(config: Config) -> Self {
        Self { config: Arc::new(config), slots: Mutex::default() }
    }

    /// The configuration.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// A verified session for this key, made now if there is none.
    pub async fn session(&self, key: &VirtualKey) -> Result<Arc<Session>, Error> {
        self.slot(key).session(|| self.connect(key)).await
    }

    /// Sends a request for `https://AUTHORITY/PATH` of a provider, stating this custody.
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
        if !self.config.custodies.accepts(custody) {
            return Err(Error::Custody(custody));
        }
        let mut request = request.map(OnceBody::new);
        let stated = HeaderValue::from_static(custody.word());
        request.headers_mut().insert("aegis-custody", stated);
        let slot = self.slot(key);
        let session = slot.session(|| self.connect(key)).await?;
        match session.dispatch(request).await {
            Err(Unanswered { request: Some(request), .. }) => {
                slot.forget(&session);
                let session = slot.session(|| self.connect(key)).await?;
                session.dispatch(request).await
            }
            answered => answered,
        }
        .map_err(|unanswered| unanswered.error)
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
        let (config, key) = (Arc::clone(&self.config), key.clone());
        async move {
            let tunnel = Tunnel::open(&config.router, &key, &config.trust).await?;
            let unverified = tunnel.handshake().await?;
            let session = unverified.verify(Mode::Http2, &config.trust, now).await?;
            Ok(Arc::new(session))
        }
    }
}

/// A clock before 1970 counts as 1970: every certificate is refused then.
fn now() -> UnixTime {
    let elapsed = SystemTime::now().duration_since(UNIX_EPOCH);
    UnixTime::since_epoch(elapsed.unwrap_or_default())
}
