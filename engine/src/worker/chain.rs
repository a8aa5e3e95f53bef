//! Frames that lie in several chunks: their parts, until all have come and until they are
//! published.

use std::ops::Range;

use crate::ring::Descriptor;
use crate::xsk::{ChunkRefs, FreeList, RxFrame};

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
    pub(super) chunk_refs: ChunkRefs,
}

/// The chunks of a frame beyond its first, as a range of [`ChunkChain::parts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FurtherChunks {
    start: u16,
    len: u8,
}

impl FurtherChunks {
    /// The frame lies in one chunk.
    pub(super) const NONE: Self = Self { start: 0, len: 0 };

    /// `len` chunks from index `start` on.
    ///
    /// # Panics
    ///
    /// If the index is above 65 535 or the frame has more than 256 chunks.
    pub(super) fn new(start: usize, len: usize) -> Self {
        let (start, len) = (u16::try_from(start), u8::try_from(len));
        Self { start: start.expect("a short list"), len: len.expect("a frame of few parts") }
    }

    /// Returns the indices in the list.
    #[inline]
    pub(super) fn range(self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }

    /// Returns the number of chunks.
    #[inline]
    pub(super) const fn len(self) -> usize {
        self.len as usize
    }
}

/// The parts of the frames of a batch, and those of a frame of which not all have come. Room for
/// all is made once.
#[derive(Debug)]
pub(super) struct ChunkChain {
    pub(super) parts: Vec<ChainedChunk>,
    /// Parts of a frame that goes on in the next descriptor.
    waiting: Vec<RxFrame>,
    /// Parts of frames that never became whole.
    broken: Vec<RxFrame>,
    broken_frames: u64,
    /// The next descriptor belongs to a frame that is broken already.
    is_skipping: bool,
}

impl ChunkChain {
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

    /// Adds the next part, or what stands for a descriptor that made no sense; returns the frame's
    /// first part and its further ones if that was its last.
    #[cold]
    pub(super) fn add(&mut self, received: RxFrame) -> Option<(RxFrame, FurtherChunks)> {
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

    fn complete(&mut self) -> Option<(RxFrame, FurtherChunks)> {
        let (start, len) = (self.parts.len(), self.waiting.len() - 1);
        let mut parts = self.waiting.drain(..);
        let first = parts.next()?;
        self.parts.extend(parts.map(ChainedChunk::new));
        Some((first, FurtherChunks::new(start, len)))
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
        Self { received, descriptor: Descriptor::default(), chunk_refs: ChunkRefs::NONE }
    }
}

/// Divides the captured bytes of a frame, `of` which is the descriptor with the length of the
/// whole, among its parts; the first has room for `head_len`. Parts for which nothing is left,
/// because the frame was cut or padded, lose their chunk to `free`.
pub(super) fn lay_out(
    of: &Descriptor,
    head_len: u32,
    parts: &mut [ChainedChunk],
    further: FurtherChunks,
    free: &mut FreeList,
) -> FurtherChunks {
    let mut left = of.len.saturating_sub(head_len);
    let mut used = 0;
    for part in &mut parts[further.range()] {
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
    FurtherChunks::new(further.range().start, used)
}
