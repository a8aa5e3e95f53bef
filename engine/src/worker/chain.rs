//! Frames in several chunks, from the first chunk until they are published.

use std::ops::Range;

use crate::ring::Descriptor;
use crate::xsk::{ChunkRefs, FreeList, RxFrame};

/// Maximum number of chunks of a frame. The longest IP packet with its link header needs 37 chunks
/// of 2048 bytes; a longer chain is not a frame.
pub(super) const CHAIN_LEN_MAX: usize = 40;

/// Maximum number of further chunks in a batch: those that the kernel delivers in it, and those of
/// datagrams that are reassembled in it.
const BATCH_CHAINED_MAX: usize = 256;

/// A chunk of a frame, other than the first.
#[derive(Debug)]
pub(super) struct ChainedChunk {
    pub(super) received: RxFrame,
    /// Set when the frame is laid out.
    pub(super) descriptor: Descriptor,
    pub(super) chunk_refs: ChunkRefs,
}

/// The chunks of a frame beyond its first, as a range of [`ChunkChain::chained`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FurtherChunks {
    start: u16,
    len: u8,
}

impl FurtherChunks {
    /// The frame lies in one chunk.
    pub(super) const NONE: Self = Self { start: 0, len: 0 };

    /// Returns `len` chunks from index `start` on.
    ///
    /// # Panics
    ///
    /// If the index is above 65 535 or the frame has more than 256 chunks.
    pub(super) fn new(start: usize, len: usize) -> Self {
        if len == 0 {
            return Self::NONE;
        }
        let (start, len) = (u16::try_from(start), u8::try_from(len));
        Self { start: start.expect("a short list"), len: len.expect("a frame of few chunks") }
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

/// The further chunks of the frames of a batch, and the chunks of an incomplete frame. Allocated
/// once.
#[derive(Debug)]
pub(super) struct ChunkChain {
    pub(super) chained: Vec<ChainedChunk>,
    /// Chunks of a frame that continues in the next descriptor.
    waiting: Vec<RxFrame>,
    /// Chunks of frames that were never completed.
    incomplete: Vec<RxFrame>,
    incomplete_frames: u64,
    /// The next descriptor belongs to a frame that is already given up.
    is_skipping: bool,
}

impl ChunkChain {
    pub(super) fn new() -> Self {
        Self {
            chained: Vec::with_capacity(BATCH_CHAINED_MAX),
            waiting: Vec::with_capacity(CHAIN_LEN_MAX),
            incomplete: Vec::with_capacity(BATCH_CHAINED_MAX),
            incomplete_frames: 0,
            is_skipping: false,
        }
    }

    /// Returns whether the next descriptor continues an earlier frame.
    #[inline]
    pub(super) const fn is_open(&self) -> bool {
        !self.waiting.is_empty() || self.is_skipping
    }

    /// Returns the number of chunks of an incomplete frame.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most 40")]
    pub(super) const fn waiting(&self) -> u32 {
        self.waiting.len() as u32
    }

    /// Adds the next chunk, or the placeholder of an invalid descriptor. Returns the frame's first
    /// chunk and its further ones if the frame is complete.
    #[cold]
    pub(super) fn add(&mut self, received: RxFrame) -> Option<(RxFrame, FurtherChunks)> {
        let is_last = !received.continues();
        let is_bad = received.is_nothing();
        if !is_bad && !self.is_skipping && self.waiting.len() < CHAIN_LEN_MAX {
            self.waiting.push(received);
            return if is_last { self.complete() } else { None };
        }
        if self.is_open() {
            self.abandon();
        }
        if !is_bad {
            self.incomplete.push(received);
        }
        self.is_skipping = !is_last;
        None
    }

    fn complete(&mut self) -> Option<(RxFrame, FurtherChunks)> {
        let (start, len) = (self.chained.len(), self.waiting.len() - 1);
        let mut chained = self.waiting.drain(..);
        let first = chained.next()?;
        self.chained.extend(chained.map(ChainedChunk::new));
        Some((first, FurtherChunks::new(start, len)))
    }

    /// Gives up the incomplete frame.
    pub(super) fn abandon(&mut self) {
        if !self.waiting.is_empty() {
            self.incomplete.append(&mut self.waiting);
            self.incomplete_frames += 1;
        }
        self.is_skipping = false;
    }

    #[inline]
    pub(super) const fn has_incomplete(&self) -> bool {
        !self.incomplete.is_empty()
    }

    /// Gives back the chunks of incomplete frames. Returns the number of these frames and of their
    /// bytes.
    #[cold]
    pub(super) fn take_incomplete(&mut self, free: &mut FreeList) -> (u64, u64) {
        let bytes = self.incomplete.iter().map(|received| u64::from(received.len())).sum();
        self.incomplete.drain(..).for_each(|mut received| free.give(received.take_chunk()));
        (std::mem::take(&mut self.incomplete_frames), bytes)
    }
}

/// Returns whether `count` more chunks fit into a batch without a new allocation.
pub(super) const fn has_room_for(chained: &[ChainedChunk], count: usize) -> bool {
    chained.len() + count <= BATCH_CHAINED_MAX
}

impl ChainedChunk {
    pub(super) fn new(received: RxFrame) -> Self {
        Self { received, descriptor: Descriptor::default(), chunk_refs: ChunkRefs::NONE }
    }
}

/// Divides the captured bytes of a frame among its chunks. `of` is the descriptor with the length
/// of the whole frame; the first chunk has room for `head_len` bytes. Chunks that stay empty,
/// because the frame is truncated or padded, go to `free`.
pub(super) fn lay_out(
    of: &Descriptor,
    head_len: u32,
    chained: &mut [ChainedChunk],
    further: FurtherChunks,
    free: &mut FreeList,
) -> FurtherChunks {
    let mut left = of.len.saturating_sub(head_len);
    let mut used = 0;
    for chunk in &mut chained[further.range()] {
        if left == 0 {
            free.give(chunk.received.take_chunk());
            continue;
        }
        let len = chunk.received.len().min(left);
        left -= len;
        let flags = of.flags | if left > 0 { Descriptor::CONTINUES } else { 0 };
        chunk.descriptor =
            Descriptor { addr: chunk.received.addr(), len, outer_len: 0, flags, ..*of };
        used += 1;
    }
    FurtherChunks::new(further.range().start, used)
}
