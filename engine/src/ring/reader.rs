//! The consumer's side of a ring.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::Descriptor;
use super::ring_memory::RingMemory;
use super::{PeerState, QueueId};
use crate::sys::prefetch;
use crate::xsk::Umem;

/// Number of descriptors by which frames, and descriptors, are prefetched ahead of the one that is
/// read. Both are in the worker's cache, some 50 to 100 ns away; a consumer that only reads headers
/// takes 10 to 20 ns for a frame.
const FRAMES_AHEAD: u64 = 6;
const DESCRIPTORS_AHEAD: u64 = 16;

/// The consumer's side of a ring.
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
}

impl Reader {
    pub(super) const fn new(
        memory: Arc<RingMemory>,
        umem: Arc<Umem>,
        queue_id: QueueId,
        peer_state: Arc<PeerState>,
    ) -> Self {
        Self { memory, umem, queue_id, peer_state, tail: 0, head: 0 }
    }

    /// Returns the queue that the frames come from.
    pub(crate) const fn queue_id(&self) -> QueueId {
        self.queue_id
    }

    /// Loads the head anew; returns the number of descriptors that can be read.
    #[inline]
    pub(crate) fn refresh(&mut self) -> u64 {
        self.head = self.memory.head().load(Ordering::Acquire);
        self.head - self.tail
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
            self.head = self.memory.head().load(Ordering::Acquire);
        }
        self.head - self.tail
    }

    /// Returns whether the ring is empty and its writer has ended.
    pub(crate) fn is_finished(&mut self) -> bool {
        let writer_gone = self.memory.writer_gone().load(Ordering::Acquire) != 0;
        self.available() == 0 && writer_gone
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
        // write; it was written before the head that was loaded with acquire.
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
        // SAFETY: `descriptor` has checked that the position lies between tail and head; `push_all`
        // has checked that the range lies in a chunk that a `ChunkRef` was given for. It is in the
        // writer's list until `release`, which needs `&mut self` and so comes after the result's
        // life; until then no code writes to the chunk.
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
        // SAFETY: as for `segment`: `push_all` has checked the outer headers with the rest.
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
