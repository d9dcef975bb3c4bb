//! A request body that knows whether anything was taken from it.
//!
//! A request may be sent a second time only if no byte of its body has left, so the body stays in
//! a slot that both the connection and the sender can reach until it is first asked for a frame.

use std::{
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, combinators::UnsyncBoxBody};

type Boxed = UnsyncBoxBody<Bytes, Box<dyn Error + Send + Sync>>;
type Slot = Arc<Mutex<Option<Boxed>>>;

/// The body as a connection takes it.
pub(crate) struct OnceBody {
    slot: Slot,
    taken: Option<Boxed>,
    hint: SizeHint,
    empty: bool,
}

/// The way back to a body that no connection has begun to read.
pub(crate) struct Untouched(Slot);

impl OnceBody {
    pub(crate) fn new<B>(body: B) -> Self
    where
        B: Body<Data = Bytes> + Send + 'static,
        B::Error: Into<Box<dyn Error + Send + Sync>>,
    {
        let body = body.map_err(Into::into).boxed_unsync();
        Self {
            hint: body.size_hint(),
            empty: body.is_end_stream(),
            slot: Arc::new(Mutex::new(Some(body))),
            taken: None,
        }
    }

    pub(crate) fn untouched(&self) -> Untouched {
        Untouched(Arc::clone(&self.slot))
    }
}

impl Untouched {
    /// The body, if nothing was taken from it.
    pub(crate) fn into_body(self) -> Option<OnceBody> {
        take(&self.0).map(OnceBody::new)
    }
}

fn take(slot: &Slot) -> Option<Boxed> {
    // Nothing can panic while the lock is held, so a poisoned slot is still whole.
    slot.lock().unwrap_or_else(PoisonError::into_inner).take()
}

impl Body for OnceBody {
    type Data = Bytes;
    type Error = Box<dyn Error + Send + Sync>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.taken.is_none() {
            self.taken = take(&self.slot);
        }
        match &mut self.taken {
            Some(body) => Pin::new(body).poll_frame(cx),
            None => Poll::Ready(Some(Err("the request's body was taken back".into()))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.taken.as_ref().map_or(self.empty, |body| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.taken.as_ref().map_or(self.hint, Body::size_hint)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use http_body_util::Full;

    #[tokio::test]
    async fn a_body_comes_back_only_while_nothing_was_taken() {
        let body = OnceBody::new(Full::new(Bytes::from_static(b"abc")));
        let untouched = body.untouched();
        drop(body);
        let mut body = untouched.into_body().unwrap();
        assert_eq!(body.size_hint().exact(), Some(3));
        let untouched = body.untouched();
        let frame = body.frame().await.unwrap().unwrap();
        assert_eq!(frame.into_data().unwrap(), "abc");
        assert!(untouched.into_body().is_none());
    }

    #[tokio::test]
    async fn a_body_that_was_taken_back_gives_an_error_and_no_clean_end() {
        let mut body = OnceBody::new(Full::new(Bytes::from_static(b"abc")));
        assert!(body.untouched().into_body().is_some());
        assert!(body.frame().await.unwrap().is_err());
    }
}
