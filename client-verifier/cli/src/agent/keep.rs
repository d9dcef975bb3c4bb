//! Keeping receipts (`aegis agent --receipts FOLDER`): when an answer is over, the receipt is fetched on the
//! session that carried it, verified, and written with its evidence. What the SDK gets is the same.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use aegis_client::{Incoming, Session};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue};
use http_body::{Body, Frame, SizeHint};

use crate::receipt::bundle::Bundle;

/// How often a receipt is asked for that is not there yet: the enclave learns a moment later than
/// the agent that an SDK went away.
const TRIES: u32 = 20;
/// Pause between two tries.
const PAUSE: Duration = Duration::from_millis(50);

/// Where receipts are kept.
#[derive(Debug, Clone)]
pub struct Folder(pub PathBuf);

/// An answer's body, without trailers, and what is to be done when it is over.
pub struct Kept {
    body: Incoming,
    receipt: Option<Order>,
}

/// A receipt to be fetched.
struct Order {
    session: Arc<Session>,
    request: String,
    folder: Folder,
}

impl Folder {
    /// Asks the enclave for a receipt.
    pub fn ask(headers: &mut HeaderMap) {
        headers.insert("aegis-receipt", HeaderValue::from_static("1"));
    }
}

impl Kept {
    /// A body of which nothing is kept.
    pub fn passing(body: Incoming) -> Self {
        Self { body, receipt: None }
    }

    /// A body whose receipt goes to this folder.
    pub fn keeping(
        body: Incoming,
        folder: &Folder,
        session: Arc<Session>,
        headers: &HeaderMap,
    ) -> Self {
        let name = headers.get("aegis-request").and_then(|name| name.to_str().ok());
        // It becomes a file's name.
        let plain = |name: &&str| name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        let request = name.filter(plain).map(str::to_owned);
        let folder = folder.clone();
        Self { body, receipt: request.map(|request| Order { session, request, folder }) }
    }
}

impl Body for Kept {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<hyper::Result<Frame<Bytes>>>> {
        loop {
            let frame = ready!(Pin::new(&mut self.body).poll_frame(cx)).transpose()?;
            // The receipt's own trailer is not the provider's answer.
            match frame.map(Frame::into_data) {
                Some(Ok(data)) => return Poll::Ready(Some(Ok(Frame::data(data)))),
                Some(Err(_)) => {}
                None => return Poll::Ready(None),
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Kept {
    fn drop(&mut self) {
        if let Some(order) = self.receipt.take() {
            tokio::spawn(async move {
                let request = order.request.clone();
                match order.run().await {
                    Ok(path) => tracing::info!(request, path = %path.display(), "receipt kept"),
                    Err(reason) => tracing::warn!(request, reason, "no receipt kept"),
                }
            });
        }
    }
}

impl Order {
    async fn run(self) -> Result<PathBuf, String> {
        let Self { session, request, folder } = self;
        let mut fetched = None;
        for _ in 0..TRIES {
            fetched = session.fetch_receipt(&request).await.map_err(|e| e.to_string())?;
            if fetched.is_some() {
                break;
            }
            tokio::time::sleep(PAUSE).await;
        }
        let receipt = fetched.ok_or("the enclave holds none; the request was not dispatched")?;
        session.verify_receipt(&receipt).map_err(|e| e.to_string())?;
        let transcript = session.attested().transcript().clone();
        let path = folder.0.join(format!("{request}.json"));
        let bundle = Bundle { receipt: receipt.to_vec(), transcript };
        bundle.create(&path).map_err(|e| format!("cannot write {}: {e}", path.display()))?;
        Ok(path)
    }
}
