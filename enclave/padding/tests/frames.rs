//! What goes in comes out, under any chunking of writes, of flushes and of the stream below; what
//! is seen below depends on lengths by their class only; what is no frame is refused by its rule.
#![allow(clippy::unwrap_used)]

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use aegis_padding::Padded;
use aegis_wire::padding::{CLASSES, HEAD, TOP, class, fill, opened};
use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};
use proptest::{collection::vec, sample::Index};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The stream below: takes and gives at most so much at once, sometimes nothing, and notes each
/// write between two flushes.
#[derive(Default)]
struct Below {
    bytes: VecDeque<u8>,
    /// How much the next calls take or give; 0 is not ready; without any, everything.
    limits: VecDeque<usize>,
    /// Bytes of each write.
    writes: Vec<usize>,
    flushed: bool,
    ended: bool,
}

impl Below {
    fn limit(&mut self, all: usize) -> Poll<usize> {
        match self.limits.pop_front() {
            Some(0) => Poll::Pending,
            limit => Poll::Ready(limit.unwrap_or(all).min(all)),
        }
    }
}

impl AsyncRead for Below {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.bytes.is_empty() && !self.ended {
            return Poll::Pending;
        }
        let Poll::Ready(most) = self.limit(buf.remaining()) else { return Poll::Pending };
        let most = most.min(self.bytes.len());
        buf.put_slice(&self.bytes.drain(..most).collect::<Vec<_>>());
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Below {
    fn poll_write(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let Poll::Ready(taken) = self.limit(bytes.len()) else { return Poll::Pending };
        self.bytes.extend(&bytes[..taken]);
        self.writes.push(taken);
        self.flushed = false;
        Poll::Ready(Ok(taken))
    }

    fn poll_flush(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.flushed = true;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.ended = true;
        Poll::Ready(Ok(()))
    }
}

/// Calls until it is ready: the stream below is at most a few times not.
fn until<T>(mut poll: impl FnMut(&mut Context<'_>) -> Poll<T>) -> T {
    let mut cx = Context::from_waker(Waker::noop());
    for _ in 0..100_000 {
        if let Poll::Ready(ready) = poll(&mut cx) {
            return ready;
        }
    }
    panic!("never ready");
}

/// Writes pieces, with a flush behind each, and gives what stands below then.
fn written(pieces: &[Vec<u8>], limits: Vec<usize>) -> Below {
    let mut below = Below { limits: limits.into(), ..Below::default() };
    let mut padded = Padded::new(&mut below);
    for piece in pieces {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let taken = until(|cx| Pin::new(&mut padded).poll_write(cx, rest)).unwrap();
            rest = &rest[taken..];
        }
        until(|cx| Pin::new(&mut padded).poll_flush(cx)).unwrap();
    }
    until(|cx| Pin::new(&mut padded).poll_shutdown(cx)).unwrap();
    below
}

/// Reads to the end with a buffer of this size.
fn read(mut below: Below, limits: Vec<usize>, buffer: usize) -> io::Result<Vec<u8>> {
    below.limits = limits.into();
    let mut padded = Padded::new(below);
    let mut all = Vec::new();
    loop {
        let mut space = vec![0; buffer];
        let mut buf = ReadBuf::new(&mut space);
        until(|cx| Pin::new(&mut padded).poll_read(cx, &mut buf))?;
        if buf.filled().is_empty() {
            return Ok(all);
        }
        all.extend_from_slice(buf.filled());
    }
}

/// The sizes of the frames that so many bytes leave in (`profile` in `formal/coq/Padding.v`).
fn profile(bytes: usize) -> Vec<usize> {
    let full = vec![CLASSES[3]; bytes / TOP];
    let rest = bytes % TOP;
    [full, if rest == 0 { vec![] } else { vec![class(rest)] }].concat()
}

fn reading(bytes: Vec<u8>) -> io::Result<Vec<u8>> {
    read(Below { bytes: bytes.into(), ended: true, ..Below::default() }, vec![], 4096)
}

fn frame(bytes: &[u8]) -> Vec<u8> {
    let mut frame = [&[0; HEAD], bytes].concat();
    fill(&mut frame);
    frame
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 192, failure_persistence: None, ..Default::default() })]

    /// The identity, whatever is cut where.
    #[test]
    fn what_goes_in_comes_out(
        pieces in vec(vec(any::<u8>(), 1..40_000), 1..5),
        write_limits in vec(0_usize..20_000, 0..12),
        read_limits in vec(0_usize..20_000, 0..12),
        buffer in 1_usize..20_000,
    ) {
        // A read of nothing would say that the stream has ended, so a limit of nothing is "not yet".
        let below = written(&pieces, write_limits);
        prop_assert_eq!(read(below, read_limits, buffer).unwrap(), pieces.concat());
    }

    /// What is written between two flushes shows as so many frames of these classes, each handed
    /// over whole, whatever the bytes are.
    #[test]
    fn lengths_show_by_class_only(lengths in vec(1_usize..60_000, 1..4), seed in any::<u8>()) {
        let pieces: Vec<Vec<u8>> = lengths.iter().map(|length| vec![seed; *length]).collect();
        let seen = written(&pieces, vec![]).writes;
        let profiles: Vec<usize> = lengths.iter().flat_map(|length| profile(*length)).collect();
        prop_assert_eq!(&seen, &profiles);
        prop_assert!(seen.iter().all(|size| CLASSES.contains(size)));
    }

    /// A frame with one byte changed is another text of the same class or refused.
    #[test]
    fn one_encoding_for_each_frame(bytes in vec(any::<u8>(), 1..3000), at in any::<Index>(), flip in 1_u8..) {
        let mut changed = frame(&bytes);
        let at = at.index(changed.len());
        changed[at] ^= flip;
        if let Ok(other) = opened(&changed) {
            prop_assert!(other != bytes && frame(other) == changed);
        }
    }
}

/// An event is one frame, there when it is flushed and not before, and nothing waits for more.
#[test]
fn a_small_event_leaves_at_once_as_one_frame() {
    let mut below = Below::default();
    let mut padded = Padded::new(&mut below);
    for part in [&b"data: "[..], b"{}", b"\n\n"] {
        until(|cx| Pin::new(&mut padded).poll_write(cx, part)).unwrap();
    }
    until(|cx| Pin::new(&mut padded).poll_flush(cx)).unwrap();
    assert_eq!((below.writes, below.flushed), (vec![CLASSES[0]], true));
    assert_eq!(Vec::from(below.bytes), frame(b"data: {}\n\n"));
}

/// Nothing to say is nothing sent.
#[test]
fn a_flush_of_nothing_sends_nothing() {
    assert!(written(&[vec![], vec![]], vec![]).writes.is_empty());
}

#[test]
fn sizes_at_the_borders_of_classes() {
    for (at, size) in CLASSES.into_iter().enumerate() {
        assert_eq!(class(size - HEAD), size);
        assert_eq!(
            class(size - HEAD + 1),
            CLASSES[(at + 1).min(3)],
            "the last class is the largest"
        );
    }
    assert_eq!(class(1), CLASSES[0]);
    assert_eq!((profile(TOP), profile(TOP + 1)), (vec![16_384], vec![16_384, 512]));
}

#[test]
fn what_is_no_frame_is_refused_by_its_rule() {
    let refused = |bytes: Vec<u8>| reading(bytes).unwrap_err().to_string();
    let mut dirty = frame(b"x");
    dirty[511] = 1;
    assert!(refused(dirty).contains("padding that is not zero"));
    assert!(refused(vec![0; 512]).contains("empty"));
    let over = u16::try_from(TOP + 1).unwrap().to_be_bytes();
    assert!(refused([&over[..], &[0; 16_384]].concat()).contains("too long"));
    // The next class: what is too much reads as the head of a frame that carries nothing.
    let wide = [frame(b"x"), vec![0; 2048 - 512], frame(b"y")].concat();
    assert!(refused(wide).contains("wrong class"));
    let mut larger = frame(b"x");
    larger.resize(2048, 0);
    assert!(opened(&larger).unwrap_err().0.contains("wrong class"));
    let mut narrow = frame(&[7; 600]);
    narrow.truncate(512);
    assert!(opened(&narrow).unwrap_err().0.contains("wrong class"));
    let cut = reading(frame(b"x")[..511].to_vec()).unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
    let cut = reading(vec![0]).unwrap_err();
    assert_eq!(cut.kind(), io::ErrorKind::UnexpectedEof);
}
