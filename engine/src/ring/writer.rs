//! The worker's side of a ring.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::Descriptor;
use super::PeerState;
use super::ring_memory::RingMemory;
use crate::xsk::{ChunkRef, Umem};

/// The worker's side of a ring.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) memory: Arc<RingMemory>,
    pub(super) umem: Arc<Umem>,
    pub(super) peer_state: Arc<PeerState>,
    /// Position behind the last pushed descriptor; in memory after `publish`.
    head: u64,
    /// Chunks before this position have come back; at most a ring's length behind `head`.
    reclaimed: u64,
    /// The chunk of each descriptor from `reclaimed` to `head`, at the index of its slot.
    chunk_refs: Box<[ChunkRef]>,
    /// Frames that the consumer had not released when it went.
    unread: u64,
}

impl Writer {
    pub(super) fn new(
        memory: Arc<RingMemory>,
        umem: Arc<Umem>,
        peer_state: Arc<PeerState>,
    ) -> Self {
        let chunk_refs = (0..memory.len()).map(|_| ChunkRef::NONE).collect();
        Self { memory, umem, peer_state, head: 0, reclaimed: 0, chunk_refs, unread: 0 }
    }

    /// Returns the length of the ring.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.chunk_refs.len()
    }

    /// Returns the number of descriptors that can be pushed. Chunks that the consumer has released
    /// count only after `reclaim`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most the length of the ring")]
    pub(crate) const fn room(&self) -> usize {
        self.len() - (self.head - self.reclaimed) as usize
    }

    /// Adds descriptors, for the consumer to see after `publish`.
    ///
    /// # Panics
    ///
    /// If there is no room: callers ask [`Self::room`] first. If the bytes that a descriptor names,
    /// outer headers included, do not all lie in the chunk that is referred to.
    #[inline]
    pub(crate) fn push_all<'a>(
        &mut self,
        frames: impl IntoIterator<Item = (&'a Descriptor, ChunkRef)>,
    ) {
        let Self { memory, umem, head, reclaimed, chunk_refs, .. } = self;
        let (memory, geometry, chunk_refs) = (&**memory, umem.geometry(), &mut **chunk_refs);
        let end = *reclaimed + chunk_refs.len() as u64;
        let mut position = *head;
        for (descriptor, chunk_ref) in frames {
            assert!(position < end, "pushed into a full ring");
            let &Descriptor { addr, len, outer_len, .. } = descriptor;
            let is_covered = geometry.is_covered(addr, outer_len, len, &chunk_ref);
            assert!(is_covered, "a descriptor names bytes of its own chunk");
            let slot = memory.slot(position);
            // SAFETY: with room in the ring this slot lies less than a ring's length after the
            // oldest unreclaimed one, so it is not one of those between the consumer's tail and
            // head: only the writer touches it until `publish`.
            unsafe { slot.write(*descriptor) };
            *chunk_ref_mut(chunk_refs, position) = chunk_ref;
            position += 1;
        }
        *head = position;
    }

    /// Makes everything pushed visible to the consumer, with one store.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.memory.head().store(self.head, Ordering::Release);
    }

    /// Takes back the chunks that the consumer has released, oldest first; all, once it is gone. An
    /// invalid tail releases nothing, and the consumer counts as gone from then on.
    #[inline]
    pub(crate) fn reclaim(&mut self, give_back: impl FnMut(ChunkRef)) {
        if self.peer_state.is_gone() {
            self.reclaim_all(give_back);
            return;
        }
        let tail = self.memory.tail().load(Ordering::Acquire);
        if tail < self.reclaimed || tail > self.head {
            self.peer_state.set_invalid_tail();
            return;
        }
        self.reclaim_to(tail, give_back);
    }

    #[inline]
    fn reclaim_to(&mut self, tail: u64, mut give_back: impl FnMut(ChunkRef)) {
        while self.reclaimed < tail {
            let chunk_ref = std::mem::replace(
                chunk_ref_mut(&mut self.chunk_refs, self.reclaimed),
                ChunkRef::NONE,
            );
            self.reclaimed += 1;
            give_back(chunk_ref);
        }
    }

    /// Takes everything back. A consumer of another process may still read: the flag tells it that
    /// the bytes may change from now on.
    #[cold]
    fn reclaim_all(&mut self, give_back: impl FnMut(ChunkRef)) {
        self.memory.revoked().store(1, Ordering::Relaxed);
        // The flag is visible before whatever is written to the chunks.
        fence(Ordering::Release);
        let tail = self.memory.tail().load(Ordering::Acquire);
        let read = if (self.reclaimed..=self.head).contains(&tail) { tail } else { self.reclaimed };
        let is_last = |position: &u64| {
            // SAFETY: the descriptor was written by this writer, which alone can, and is not
            // written again before it is reclaimed.
            let descriptor = unsafe { self.memory.slot(*position).read() };
            !descriptor.continues()
        };
        self.unread += (read..self.head).filter(is_last).count() as u64;
        self.reclaim_to(self.head, give_back);
    }

    /// Returns the number of frames that were in the ring, not released, when the consumer went.
    pub(crate) const fn unread(&self) -> u64 {
        self.unread
    }

    /// Returns the number of descriptors pushed since the start.
    pub(crate) const fn pushed(&self) -> u64 {
        self.head
    }

    /// Tells the consumer that nothing more will come; it can still read what is in the ring. To be
    /// followed by `reclaim` until nothing is outstanding.
    pub(crate) fn close(&self) {
        self.memory.writer_gone().store(1, Ordering::Release);
    }

    /// Returns the number of descriptors whose chunks have not come back.
    pub(crate) const fn outstanding(&self) -> usize {
        self.len() - self.room()
    }

    /// Returns whether the consumer is gone: dropped, or ended because of an invalid tail.
    #[inline]
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.peer_state.is_gone()
    }
}

/// Returns the entry of a position.
#[inline]
fn chunk_ref_mut(chunk_refs: &mut [ChunkRef], position: u64) -> &mut ChunkRef {
    #[expect(clippy::cast_possible_truncation, reason = "the mask takes the lowest bits")]
    let index = position as usize & (chunk_refs.len() - 1);
    &mut chunk_refs[index]
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}
