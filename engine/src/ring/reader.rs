//! The consumer's side of a ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Descriptor;
use super::attached_ring::AttachedRing;
use super::ring_memory::RingMemory;
use super::{PeerState, QueueId};
use crate::sys::prefetch;
use crate::xsk::Umem;

/// Number of descriptors by which frames, and descriptors, are prefetched ahead of the one that is
/// read. Both are in the worker's cache, some 50 to 100 ns away; a consumer that only reads headers
/// takes 10 to 20 ns for a frame.
const FRAMES_AHEAD: u64 = 6;
const DESCRIPTORS_AHEAD: u64 = 16;

/// The consumer's side of a ring. That of a ring of another process reads a ring and a UMEM of its
/// own, into which the frames are [copied](AttachedRing).
#[derive(Debug)]
pub(crate) struct Reader {
    pub(super) memory: Arc<RingMemory>,
    pub(super) umem: Arc<Umem>,
    queue_id: QueueId,
    pub(super) peer_state: Arc<PeerState>,
    /// Position of the oldest descriptor that is not released.
    tail: u64,
    /// The head when last read; may be stale, which only hides frames for a moment.
    head: u64,
    /// The ring that `memory` is filled from, if it is one of another process.
    attached: Option<Box<AttachedRing>>,
}

impl Reader {
    pub(super) const fn new(
        memory: Arc<RingMemory>,
        umem: Arc<Umem>,
        queue_id: QueueId,
        peer_state: Arc<PeerState>,
    ) -> Self {
        Self { memory, umem, queue_id, peer_state, tail: 0, head: 0, attached: None }
    }

    /// Returns the reader of copies of the frames of another process.
    pub(super) fn of_attached(
        memory: RingMemory,
        attached: AttachedRing,
        queue_id: QueueId,
    ) -> Self {
        let umem = attached.copies().clone();
        let mut reader = Self::new(Arc::new(memory), umem, queue_id, Arc::default());
        reader.attached = Some(Box::new(attached));
        reader
    }

    /// Returns the queue that the frames come from.
    pub(crate) const fn queue_id(&self) -> QueueId {
        self.queue_id
    }

    /// Loads the head anew; returns the number of descriptors that can be read.
    #[inline]
    pub(crate) fn refresh(&mut self) -> u64 {
        self.head = self.load_head();
        self.head - self.tail
    }

    #[inline]
    fn load_head(&mut self) -> u64 {
        match &mut self.attached {
            None => self.memory.head().load(Ordering::Acquire),
            Some(attached) => attached.copy_published(&self.memory, self.tail),
        }
    }

    /// Loads the head anew; returns whether half of the ring can be read, so that it may soon be
    /// full.
    #[inline]
    pub(crate) fn is_half_full(&mut self) -> bool {
        2 * self.refresh() >= self.len()
            || self.attached.as_ref().is_some_and(|attached| attached.is_full())
    }

    /// Returns the number of descriptors that could be read when the head was last loaded.
    #[inline]
    pub(crate) const fn peeked(&self) -> u64 {
        self.head - self.tail
    }

    /// Returns the length of the ring.
    pub(crate) fn len(&self) -> u64 {
        self.memory.len() as u64
    }

    /// Returns the number of descriptors that can be read; loads the head only if there were none.
    #[inline]
    pub(crate) fn available(&mut self) -> u64 {
        if self.head == self.tail {
            self.head = self.load_head();
        }
        self.head - self.tail
    }

    /// Returns whether the ring is empty and its writer has ended.
    pub(crate) fn is_finished(&mut self) -> bool {
        let is_ended = match &self.attached {
            None => self.memory.writer_gone().load(Ordering::Acquire) != 0,
            Some(attached) => attached.is_ended(),
        };
        self.available() == 0 && is_ended
    }

    /// Returns the `nth` descriptor that is not released.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(crate) fn descriptor(&self, nth: u64) -> Descriptor {
        assert!(nth < self.head - self.tail, "read beyond the head of a ring");
        let slot = self.memory.slot(self.tail + nth);
        // SAFETY: the slot lies between tail and head, checked above, where the writer does not
        // write; it was written before the head that was loaded with acquire, or by `load_head`.
        unsafe { slot.read() }
    }

    /// Returns the `nth` descriptor that is not released, and the bytes that it names. The borrow
    /// of the reader keeps them from being released meanwhile.
    ///
    /// # Panics
    ///
    /// If there are not so many descriptors.
    #[inline]
    pub(crate) fn segment(&self, nth: u64) -> (Descriptor, &[u8]) {
        let descriptor = self.descriptor(nth);
        let Descriptor { addr, len, .. } = descriptor;
        // SAFETY: `descriptor` has checked that the position lies between tail and head. In a ring
        // of this process, `push_all` has checked that the range lies in a chunk that a `ChunkRef`
        // was given for; it is in the writer's list until `release` or until the reader is dropped
        // (only then is `PeerState` set to gone; `set_invalid_tail` cannot be, as `release` alone
        // stores the tail), both of which come after the result's life; until then no code writes
        // to the chunk. In the ring of copies of another process's frames, only `copy_published`
        // writes to the UMEM, which needs `&mut self`.
        (descriptor, unsafe { self.umem.untouched(addr, len) })
    }

    /// Asks the CPU to fetch what will be read soon: the start of the bytes of the descriptor that
    /// is `FRAMES_AHEAD` behind the `nth`, and that one's successors in the ring. Does nothing
    /// where there are not so many.
    #[inline]
    pub(crate) fn prefetch_behind(&self, nth: u64) {
        let available = self.head - self.tail;
        if nth + DESCRIPTORS_AHEAD < available {
            prefetch(self.memory.slot(self.tail + nth + DESCRIPTORS_AHEAD).as_ptr().cast());
        }
        if nth + FRAMES_AHEAD < available {
            self.umem.prefetch(self.descriptor(nth + FRAMES_AHEAD).addr);
        }
    }

    /// Returns the bytes in front of those that the `nth` descriptor names: from the outer IP
    /// header to the end of the tunnel header.
    ///
    /// # Panics
    ///
    /// If there are not so many descriptors.
    #[inline]
    pub(crate) fn outer(&self, nth: u64) -> &[u8] {
        let Descriptor { addr, outer_len, .. } = self.descriptor(nth);
        let start = addr.saturating_sub(u64::from(outer_len));
        // SAFETY: as for `segment`: `push_all` has checked, or `copy_published` has copied, the
        // outer headers with the rest.
        unsafe { self.umem.untouched(start, u32::from(outer_len)) }
    }

    /// Gives the oldest `count` descriptors and their chunks back, with one store.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(crate) fn release(&mut self, count: u64) {
        assert!(count <= self.head - self.tail, "released more than there is");
        self.tail += count;
        self.memory.tail().store(self.tail, Ordering::Release);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.peer_state.set_gone();
    }
}
