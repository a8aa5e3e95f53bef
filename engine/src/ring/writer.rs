//! The worker's side of a ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Descriptor;
use super::PeerState;
use super::memory::Memory;
use crate::xsk::{ChunkRef, Umem};

/// The worker's side.
#[derive(Debug)]
pub(crate) struct Writer {
    pub(super) memory: Arc<Memory>,
    pub(super) umem: Arc<Umem>,
    pub(super) presence: Arc<PeerState>,
    /// Position after the last pushed descriptor; in memory after `publish`.
    head: u64,
    /// Everything before it has come back; at most a ring's length behind `head`.
    reclaimed: u64,
    /// A claim for each descriptor from `reclaimed` to `head`, in its slot's place.
    claims: Box<[ChunkRef]>,
    /// Frames that the consumer had not read when it went.
    unread: u64,
}

impl Writer {
    pub(super) fn new(memory: Arc<Memory>, umem: Arc<Umem>, presence: Arc<PeerState>) -> Self {
        let claims = (0..memory.len()).map(|_| ChunkRef::NONE).collect();
        Self { memory, umem, presence, head: 0, reclaimed: 0, claims, unread: 0 }
    }

    /// Length of the ring.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.claims.len()
    }

    /// How many more descriptors can be pushed. Chunks that the consumer has released count only
    /// after `reclaim`.
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
    /// outer headers included, do not all lie in the chunk that its share is a claim on.
    #[inline]
    pub(crate) fn push_all<'a>(
        &mut self,
        frames: impl IntoIterator<Item = (&'a Descriptor, ChunkRef)>,
    ) {
        let Self { memory, umem, head, reclaimed, claims, .. } = self;
        let (memory, geometry, claims) = (&**memory, umem.geometry(), &mut **claims);
        let end = *reclaimed + claims.len() as u64;
        let mut position = *head;
        for (descriptor, share) in frames {
            assert!(position < end, "pushed into a full ring");
            let &Descriptor { addr, len, outer_len, .. } = descriptor;
            let is_covered = geometry.is_covered(addr, outer_len, len, &share);
            assert!(is_covered, "a descriptor names bytes of its own chunk");
            let slot = memory.slot(position);
            // SAFETY: with room in the ring this slot lies less than a ring's length after the
            // oldest unreclaimed one, so it is not one of those between the consumer's tail and
            // head: only the writer touches it until `publish`.
            unsafe { slot.write(*descriptor) };
            *claim(claims, position) = share;
            position += 1;
        }
        *head = position;
    }

    /// Makes everything pushed visible to the consumer, with one store.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.memory.head().store(self.head, Ordering::Release);
    }

    /// Takes back the claims on what the consumer has released, oldest first; on everything, once
    /// it is gone. A tail that makes no sense releases nothing, and is the consumer's last word: it
    /// counts as gone.
    #[inline]
    pub(crate) fn reclaim(&mut self, give_back: impl FnMut(ChunkRef)) {
        if self.presence.is_gone() {
            self.reclaim_all(give_back);
            return;
        }
        let tail = self.memory.tail().load(Ordering::Acquire);
        if tail < self.reclaimed || tail > self.head {
            self.presence.cut_off();
            return;
        }
        self.reclaim_to(tail, give_back);
    }

    #[inline]
    fn reclaim_to(&mut self, tail: u64, mut give_back: impl FnMut(ChunkRef)) {
        while self.reclaimed < tail {
            let share = std::mem::replace(claim(&mut self.claims, self.reclaimed), ChunkRef::NONE);
            self.reclaimed += 1;
            give_back(share);
        }
    }

    #[cold]
    fn reclaim_all(&mut self, give_back: impl FnMut(ChunkRef)) {
        let tail = self.memory.tail().load(Ordering::Acquire);
        let read = if (self.reclaimed..=self.head).contains(&tail) { tail } else { self.reclaimed };
        let is_last = |position: &u64| {
            // SAFETY: the descriptor was written by us, who alone can, and is not written again
            // before it is reclaimed.
            let descriptor = unsafe { self.memory.slot(*position).read() };
            !descriptor.continues()
        };
        self.unread += (read..self.head).filter(is_last).count() as u64;
        self.reclaim_to(self.head, give_back);
    }

    /// Frames that were in the ring, not released, when the consumer went.
    pub(crate) const fn unread(&self) -> u64 {
        self.unread
    }

    /// Descriptors pushed since the start.
    pub(crate) const fn pushed(&self) -> u64 {
        self.head
    }

    /// Tells the consumer that nothing more will come; what is in the ring it can still read. To be
    /// followed by `reclaim` until nothing is outstanding.
    pub(crate) fn close(&self) {
        self.memory.writer_gone().store(1, Ordering::Release);
    }

    /// Number of descriptors whose claims have not come back.
    pub(crate) const fn outstanding(&self) -> usize {
        self.len() - self.room()
    }

    /// Whether the consumer has been dropped, or cut off.
    #[inline]
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.presence.is_gone()
    }
}

/// The place of a position's claim.
#[inline]
fn claim(claims: &mut [ChunkRef], position: u64) -> &mut ChunkRef {
    #[expect(clippy::cast_possible_truncation, reason = "the mask takes the lowest bits")]
    let index = position as usize & (claims.len() - 1);
    &mut claims[index]
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}
