//! What one turn works on: the frames between the RX ring and the output rings.

use crate::config::BATCH_MAX;
use crate::decap::Inner;
use crate::output::Descriptor;
use crate::session::{Key, SessionId};
use crate::xsk::{FreeList, Received, RxQueue, Shares};

/// A frame, with what the stages find out about it one after the other.
#[derive(Debug)]
pub(super) struct Work {
    /// What the outputs will be told.
    pub(super) descriptor: Descriptor,
    /// Who mirrors.
    pub(super) key: Key,
    /// From the RX ring. The chunk is gone from here once it is published.
    pub(super) received: Received,
    /// The outputs' claims on the published chunk.
    pub(super) shares: Shares,
    /// Of the ruleset that it was judged by.
    #[cfg(debug_assertions)]
    pub(super) generation: u32,
}

impl Work {
    /// Notes what is inside. Time and session are still open.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame is shorter than its chunk, and what headers say of lengths has 16 bits"
    )]
    pub(super) const fn open(&mut self, inner: &Inner) {
        self.key = Key::new(inner.source, inner.vni);
        self.descriptor = Descriptor {
            timestamp_ns: 0,
            addr: self.received.addr() + inner.start as u64,
            len: inner.captured_len as u32,
            original_len: inner.original_len as u32,
            session: SessionId::DEFAULT.0,
            outer_len: (inner.start - inner.outer_ip) as u16,
            flags: 0,
        };
    }
}

/// The frames of a turn, in order of arrival. Fixed size, made once; each stage changes them in place.
#[derive(Debug)]
pub(super) struct Batch {
    works: Box<[Work]>,
    len: usize,
}

/// Frames of a batch, by place: bit `n` is the `n`th.
pub(super) type Places = u64;
const _: () = assert!(BATCH_MAX <= Places::BITS, "a bit for each frame of a batch");

impl Batch {
    pub(super) fn new() -> Self {
        let nothing = |_| Work {
            descriptor: Descriptor::default(),
            key: Key::V4(0),
            received: Received::NOTHING,
            shares: Shares::NONE,
            #[cfg(debug_assertions)]
            generation: 0,
        };
        Self { works: (0..BATCH_MAX).map(nothing).collect(), len: 0 }
    }

    /// Takes frames from the RX ring, as many as there are and fit; the batch has to be empty. Returns the number of
    /// descriptors taken.
    #[inline(never)]
    pub(super) fn receive(&mut self, queue: &mut RxQueue, free: &mut FreeList) -> u32 {
        debug_assert_eq!(self.len, 0, "the last batch is done");
        let mut places = self.works.iter_mut();
        let mut len = 0;
        let count = queue.receive(BATCH_MAX, free, |received| {
            if let Some(work) = places.next() {
                work.received = received;
                len += 1;
            }
        });
        self.len = len;
        count
    }

    #[inline]
    pub(super) fn works(&self) -> &[Work] {
        &self.works[..self.len]
    }

    #[inline]
    pub(super) fn works_mut(&mut self) -> &mut [Work] {
        &mut self.works[..self.len]
    }

    /// Forgets all frames, whose chunks have to be gone.
    #[inline]
    pub(super) fn clear(&mut self) {
        debug_assert!(self.works().iter().all(|work| work.received.is_nothing()), "no chunk is lost");
        self.len = 0;
    }

    /// Takes the frames at `places` out; their chunks go to `free`.
    #[inline]
    pub(super) fn remove(&mut self, places: Places, free: &mut FreeList) {
        if places != 0 {
            self.remove_some(places, free);
        }
    }

    #[cold]
    fn remove_some(&mut self, places: Places, free: &mut FreeList) {
        let mut kept = 0;
        for place in 0..self.len {
            if places >> place & 1 == 1 {
                free.give(self.works[place].received.take_chunk());
            } else {
                self.works.swap(kept, place);
                kept += 1;
            }
        }
        self.len = kept;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::xsk::{Geometry, Pages, SoftNic, Umem};

    #[test]
    fn what_is_removed_is_gone_and_the_rest_keeps_its_order() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 64), Pages::Ordinary).unwrap();
        let (mut nic, mut queue) = SoftNic::new(Arc::new(umem), 64, 64).unwrap();
        queue.refill(&mut free);
        let frame = [0; 64];
        (0..64).for_each(|len| nic.deliver(&frame[..len], None).unwrap());
        let mut batch = Batch::new();
        assert_eq!(batch.receive(&mut queue, &mut free), 64);
        batch.remove(0, &mut free);
        assert_eq!((batch.works().len(), free.len()), (64, 0));
        batch.remove(1 << 63 | 0b101, &mut free);
        let lens: Vec<_> = batch.works().iter().map(|work| work.received.len()).collect();
        assert_eq!(lens, std::iter::once(1).chain(3..63).collect::<Vec<_>>());
        assert_eq!(free.len(), 3);
    }
}
