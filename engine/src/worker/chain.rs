//! Frames that lie in several chunks: their parts, until all have come and until they are
//! published.

use crate::ring::Descriptor;
use crate::xsk::{ChunkRefs, FreeList, RxFrame, Tail};

/// Most chunks that a frame may lie in. The longest IP packet with its link header, in chunks of
/// 2048 bytes, needs 37; what has more is no frame.
pub(super) const PARTS_MAX: usize = 40;

/// Most parts, beyond the first ones, in a batch: those that the kernel hands over in it, and those
/// of datagrams that are put together in it.
const BATCH_PARTS_MAX: usize = 256;

/// A part of a frame, not its first.
#[derive(Debug)]
pub(super) struct ChainedChunk {
    pub(super) received: RxFrame,
    /// Set when it is laid out.
    pub(super) descriptor: Descriptor,
    pub(super) shares: ChunkRefs,
}

/// The parts of the frames of a batch, and those of a frame of which not all have come. Room for
/// all is made once.
#[derive(Debug)]
pub(super) struct Chain {
    pub(super) parts: Vec<ChainedChunk>,
    /// Parts of a frame that goes on in the next descriptor.
    waiting: Vec<RxFrame>,
    /// Parts of frames that never became whole.
    broken: Vec<RxFrame>,
    broken_frames: u64,
    /// The next descriptor belongs to a frame that is broken already.
    is_skipping: bool,
}

impl Chain {
    pub(super) fn new() -> Self {
        Self {
            parts: Vec::with_capacity(BATCH_PARTS_MAX),
            waiting: Vec::with_capacity(PARTS_MAX),
            broken: Vec::with_capacity(BATCH_PARTS_MAX),
            broken_frames: 0,
            is_skipping: false,
        }
    }

    /// Whether the next descriptor belongs to a frame that began earlier.
    #[inline]
    pub(super) const fn is_open(&self) -> bool {
        !self.waiting.is_empty() || self.is_skipping
    }

    /// Number of parts of a frame of which not all have come.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 40")]
    pub(super) const fn waiting(&self) -> u32 {
        self.waiting.len() as u32
    }

    /// Adds the next part, or what stands for a descriptor that made no sense; returns the frame if
    /// that was its last.
    #[cold]
    pub(super) fn add(&mut self, received: RxFrame) -> Option<RxFrame> {
        let is_last = !received.continues();
        let is_bad = received.is_nothing();
        if !is_bad && !self.is_skipping && self.waiting.len() < PARTS_MAX {
            self.waiting.push(received);
            return if is_last { self.complete() } else { None };
        }
        if self.is_open() {
            self.abandon();
        }
        if !is_bad {
            self.broken.push(received);
        }
        self.is_skipping = !is_last;
        None
    }

    fn complete(&mut self) -> Option<RxFrame> {
        let (start, len) = (self.parts.len(), self.waiting.len() - 1);
        let mut parts = self.waiting.drain(..);
        let mut first = parts.next()?;
        self.parts.extend(parts.map(ChainedChunk::new));
        first.set_tail(Tail::new(start, len));
        Some(first)
    }

    /// Gives up the frame of which not all parts have come.
    pub(super) fn abandon(&mut self) {
        if !self.waiting.is_empty() {
            self.broken.append(&mut self.waiting);
            self.broken_frames += 1;
        }
        self.is_skipping = false;
    }

    #[inline]
    pub(super) const fn has_broken(&self) -> bool {
        !self.broken.is_empty()
    }

    /// Gives back the chunks of broken frames; returns the number of these frames and of their
    /// bytes.
    #[cold]
    pub(super) fn take_broken(&mut self, free: &mut FreeList) -> (u64, u64) {
        let bytes = self.broken.iter().map(|received| u64::from(received.len())).sum();
        self.broken.drain(..).for_each(|mut received| free.give(received.take_chunk()));
        (std::mem::take(&mut self.broken_frames), bytes)
    }
}

/// Whether the parts of a batch can be `count` more without more memory.
pub(super) const fn has_room_for(parts: &[ChainedChunk], count: usize) -> bool {
    parts.len() + count <= BATCH_PARTS_MAX
}

impl ChainedChunk {
    pub(super) fn new(received: RxFrame) -> Self {
        Self { received, descriptor: Descriptor::default(), shares: ChunkRefs::NONE }
    }
}

/// Divides the captured bytes of a frame, `of` which is the descriptor with the length of the
/// whole, among its parts; the first has room for `head_len`. Parts for which nothing is left,
/// because the frame was cut or padded, lose their chunk to `free`.
pub(super) fn lay_out(
    of: &Descriptor,
    head_len: u32,
    parts: &mut [ChainedChunk],
    tail: Tail,
    free: &mut FreeList,
) -> Tail {
    let mut left = of.len.saturating_sub(head_len);
    let mut used = 0;
    for part in &mut parts[tail.range()] {
        if left == 0 {
            free.give(part.received.take_chunk());
            continue;
        }
        let len = part.received.len().min(left);
        left -= len;
        let flags = of.flags | if left > 0 { Descriptor::CONTINUES } else { 0 };
        part.descriptor =
            Descriptor { addr: part.received.addr(), len, outer_len: 0, flags, ..*of };
        used += 1;
    }
    Tail::new(tail.range().start, used)
}
