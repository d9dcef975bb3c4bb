//! Response bodies: where their bytes come from and how they are sent.

use std::io::Write as _;
use std::sync::Arc;
use std::sync::OnceLock;
use std::time::Duration;

use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use futures_util::stream;
use futures_util::stream::BoxStream;
use http::HeaderMap;
use http_body::Frame;
use http_body_util::BodyExt as _;
use http_body_util::StreamBody;
use http_body_util::combinators::UnsyncBoxBody;
use hyper::body::Incoming;

use crate::PseudoRandom;
use crate::behavior::Ending;
use crate::record::BodyRecorder;
use crate::wire::WireHandle;

/// A body as hyper sends it.
pub(crate) type MockBody = UnsyncBoxBody<Bytes, BodyBroken>;

/// The pieces of a body before they become frames.
pub(crate) type Pieces = BoxStream<'static, Result<Bytes, BodyBroken>>;

/// The body broke off: because a behaviour says so, or because the request's body did.
#[derive(Debug)]
pub(crate) struct BodyBroken;

impl std::fmt::Display for BodyBroken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the mock broke the body off")
    }
}

impl std::error::Error for BodyBroken {}

/// A body of pieces, followed by trailers when there are some by then.
pub(crate) fn streamed(pieces: Pieces, trailers: Trailers) -> MockBody {
    let data = pieces.map(|piece| piece.map(Frame::data));
    let last = stream::once(async move { trailers.0.get().cloned() });
    let last = last.filter_map(|trailers| async { trailers.map(|map| Ok(Frame::trailers(map))) });
    StreamBody::new(data.chain(last)).boxed_unsync()
}

/// Trailers that may become known while the body is sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trailers(Arc<OnceLock<HeaderMap>>);

impl Trailers {
    pub(crate) fn set(&self, map: HeaderMap) {
        // Only the first trailers count; each body has one place that sets them.
        let _ = self.0.set(map);
    }
}

/// Ready pieces, with `pace` between two of them.
pub(crate) fn paced(pieces: Vec<Vec<u8>>, pace: Duration) -> Pieces {
    let numbered = stream::iter(pieces.into_iter().enumerate());
    numbered
        .then(move |(index, piece)| async move {
            if index > 0 && !pace.is_zero() {
                tokio::time::sleep(pace).await;
            }
            Ok(Bytes::from(piece))
        })
        .boxed()
}

/// The first `length_bytes` bytes of a [`PseudoRandom`] stream.
pub(crate) fn pseudo_random(seed: u64, length_bytes: u64, chunk_bytes: usize) -> Pieces {
    let state = (PseudoRandom::new(seed), length_bytes);
    stream::unfold(state, move |(mut source, rest)| async move {
        if rest == 0 {
            return None;
        }
        let size = usize::try_from(rest).unwrap_or(usize::MAX).min(chunk_bytes);
        let piece = Bytes::from(source.take(size));
        Some((Ok(piece), (source, rest - size as u64)))
    })
    .boxed()
}

/// The request's own body, recorded on its way; at its end `finished` learns the digest.
pub(crate) fn echo(
    incoming: Incoming,
    recorder: BodyRecorder,
    finished: impl FnOnce([u8; 32]) + Send + 'static,
) -> Pieces {
    let state = Some((incoming, recorder, finished));
    stream::unfold(state, |state| async {
        let (mut incoming, mut recorder, finished) = state?;
        loop {
            match incoming.frame().await {
                None => {
                    finished(recorder.finish());
                    return None;
                }
                Some(Err(_)) => return Some((Err(BodyBroken), None)),
                Some(Ok(frame)) => {
                    let Ok(data) = frame.into_data() else {
                        continue;
                    };
                    recorder.chunk(&data);
                    return Some((Ok(data), Some((incoming, recorder, finished))));
                }
            }
        }
    })
    .boxed()
}

/// Compresses each piece and flushes it, so that an event that leaves can be read on arrival.
pub(crate) fn gzip(pieces: Pieces) -> Pieces {
    let state = Some((pieces, GzEncoder::new(Vec::new(), Compression::fast())));
    stream::unfold(state, |state| async {
        let (mut pieces, mut encoder) = state?;
        match pieces.next().await {
            Some(Ok(piece)) => {
                let flushed = encoder.write_all(&piece).and_then(|()| encoder.flush());
                let packed = std::mem::take(encoder.get_mut());
                let result = flushed.map(|()| Bytes::from(packed)).map_err(|_| BodyBroken);
                Some((result, Some((pieces, encoder))))
            }
            Some(Err(broken)) => Some((Err(broken), None)),
            None => Some((encoder.finish().map(Bytes::from).map_err(|_| BodyBroken), None)),
        }
    })
    .boxed()
}

/// Cuts pieces down to at most `size_bytes`.
pub(crate) fn split(pieces: Pieces, size_bytes: usize) -> Pieces {
    pieces
        .flat_map(move |piece| {
            let parts: Vec<_> = match piece {
                Err(broken) => vec![Err(broken)],
                Ok(bytes) => (0..bytes.len())
                    .step_by(size_bytes)
                    .map(|at| Ok(bytes.slice(at..bytes.len().min(at + size_bytes))))
                    .collect(),
            };
            stream::iter(parts)
        })
        .boxed()
}

/// Where a body is cut off, and over which connection it goes.
pub(crate) struct Cut {
    pub(crate) ending: Ending,
    pub(crate) wire: WireHandle,
    /// HTTP/2 resets the stream, HTTP/1.1 the connection.
    pub(crate) is_http2: bool,
}

/// Sends so many bytes of `pieces` as the ending says, waits until they have left, and ends.
pub(crate) fn cut(pieces: Pieces, cut: Cut) -> Pieces {
    let after_bytes = match cut.ending {
        Ending::Reset { after_bytes } | Ending::Stall { after_bytes } => after_bytes,
    };
    let state = CutState { pieces, rest_bytes: after_bytes, mark: cut.wire.mark(), wait_bytes: 1 };
    stream::unfold((state, cut), |(mut state, cut)| async move {
        let next = state.next(&cut.wire).await;
        match next {
            Some(piece) => Some((piece, (state, cut))),
            None => {
                end(&cut).await;
                Some((Err(BodyBroken), (state, cut)))
            }
        }
    })
    .boxed()
}

struct CutState {
    pieces: Pieces,
    rest_bytes: u64,
    /// Bytes on the wire when the last piece was handed over, and how many must follow before the
    /// next step: the head first, then each piece.
    mark: u64,
    wait_bytes: u64,
}

impl CutState {
    async fn next(&mut self, wire: &WireHandle) -> Option<Result<Bytes, BodyBroken>> {
        wire.flushed_past(self.mark, self.wait_bytes).await;
        if self.rest_bytes == 0 {
            return None;
        }
        let mut piece = match self.pieces.next().await? {
            Ok(piece) => piece,
            Err(broken) => return Some(Err(broken)),
        };
        piece.truncate(usize::try_from(self.rest_bytes).unwrap_or(usize::MAX));
        self.wait_bytes = piece.len() as u64;
        self.rest_bytes -= self.wait_bytes;
        self.mark = wire.mark();
        Some(Ok(piece))
    }
}

async fn end(cut: &Cut) {
    match cut.ending {
        Ending::Stall { .. } => std::future::pending().await,
        // On HTTP/2 the broken body makes hyper send RST_STREAM.
        Ending::Reset { .. } if cut.is_http2 => {}
        Ending::Reset { .. } => cut.wire.reset(),
    }
}

/// Line ends of server-sent events as CR LF; events that have them already stay.
pub(crate) fn with_crlf(pieces: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let line_ends = |piece: Vec<u8>| {
        let mut out = Vec::with_capacity(piece.len() + 4);
        for byte in piece {
            if byte == b'\n' && out.last() != Some(&b'\r') {
                out.push(b'\r');
            }
            out.push(byte);
        }
        out
    };
    pieces.into_iter().map(line_ends).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::io::Read as _;

    use flate2::read::GzDecoder;

    use super::*;

    async fn collect(pieces: Pieces) -> Vec<Bytes> {
        pieces.map(Result::unwrap).collect().await
    }

    #[tokio::test]
    async fn split_keeps_the_bytes() {
        let pieces = paced(vec![b"abc".to_vec(), b"".to_vec(), b"defgh".to_vec()], Duration::ZERO);
        let parts = collect(split(pieces, 2)).await;
        assert_eq!(parts, ["ab", "c", "de", "fg", "h"]);
    }

    #[tokio::test]
    async fn gzip_flushes_every_piece() {
        let pieces = paced(vec![b"first".to_vec(), b"second".to_vec()], Duration::ZERO);
        let packed = collect(gzip(pieces)).await;
        let mut early = Vec::new();
        // The stream is not complete yet, so reading runs into its end after the first piece.
        GzDecoder::new(&packed[0][..]).read_to_end(&mut early).unwrap_err();
        assert_eq!(early, b"first");
        let mut all = Vec::new();
        GzDecoder::new(&packed.concat()[..]).read_to_end(&mut all).unwrap();
        assert_eq!(all, b"firstsecond");
    }

    #[tokio::test]
    async fn pseudo_random_pieces_join_to_the_stream() {
        let parts = collect(pseudo_random(5, 1000, 77)).await;
        assert_eq!(parts.concat(), PseudoRandom::new(5).take(1000));
    }

    #[test]
    fn crlf_is_not_doubled() {
        let given = vec![b"data: a\n\n".to_vec(), b"data: b\r\n\r\n".to_vec()];
        let expected = [b"data: a\r\n\r\n".to_vec(), b"data: b\r\n\r\n".to_vec()];
        assert_eq!(with_crlf(given), expected);
    }
}
