//! What one turn works on: the frames between the RX ring and the output rings.

use super::chain::{ChainedChunk, ChunkChain, FurtherChunks, lay_out};
use crate::config::BATCH_MAX;
use crate::decap::Inner;
use crate::flow::Flow;
use crate::ring::Descriptor;
use crate::session::Key;
use crate::xsk::{ChunkRefs, FreeList, RxFrame, RxQueue};

/// A frame, with what the stages find out about it one after the other.
#[derive(Debug)]
pub(super) struct PacketContext {
    /// What the outputs will be told. Of a frame in several chunks the length is that of the whole,
    /// until it is published.
    pub(super) descriptor: Descriptor,
    /// Who mirrors.
    pub(super) key: Key,
    /// From the RX ring: the frame, or its first part. The chunk is gone from here once it is
    /// published.
    pub(super) received: RxFrame,
    /// The further parts of the frame.
    pub(super) further: FurtherChunks,
    /// The outputs' references to the published chunk.
    pub(super) chunk_refs: ChunkRefs,
    /// Of the ruleset that it was judged by.
    #[cfg(debug_assertions)]
    pub(super) generation: u32,
}

const _: () = assert!(size_of::<PacketContext>() <= 96, "one and a half cache lines");

impl PacketContext {
    /// Notes what is inside. Time and session are those of an earlier frame until they are found.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame is shorter than its chunks, and what headers say of lengths has 16 bits"
    )]
    pub(super) const fn open(&mut self, inner: &Inner) {
        self.key = Key::new(inner.source, inner.vni);
        let descriptor = &mut self.descriptor;
        descriptor.addr = self.received.addr() + inner.start as u64;
        descriptor.len = inner.captured_len as u32;
        descriptor.original_len = inner.original_len as u32;
        descriptor.outer_len = (inner.start - inner.outer_ip) as u16;
        descriptor.flags = inner.encap.bits();
    }
}

impl PacketContext {
    /// The flow of the frame inside, also where the session's packet length has cut it.
    #[inline]
    pub(super) fn flow(&self, queue: &RxQueue) -> Option<Flow> {
        let inner = queue.part(&self.received, self.descriptor.addr, u32::MAX);
        Flow::in_frame(inner, self.descriptor.link())
    }

    /// Divides the frame's captured bytes among its parts, before it is published.
    #[cold]
    pub(super) fn lay_out(&mut self, parts: &mut [ChainedChunk], free: &mut FreeList) {
        let here = self.received.end() - self.descriptor.addr;
        let here = u32::try_from(here).unwrap_or(u32::MAX);
        self.further = lay_out(&self.descriptor, here, parts, self.further, free);
    }

    /// Bytes in the first chunk of a frame that is laid out.
    pub(super) fn head_len(&self, parts: &[ChainedChunk]) -> u32 {
        self.descriptor.len - parts.iter().map(|part| part.descriptor.len).sum::<u32>()
    }

    /// Flags of the first descriptor of a frame that is laid out.
    pub(super) const fn head_flags(&self, parts: &[ChainedChunk]) -> u16 {
        self.descriptor.flags | if parts.is_empty() { 0 } else { Descriptor::CONTINUES }
    }
}

/// The frames of a turn, in order of arrival. Fixed size, made once; each stage changes them in
/// place.
#[derive(Debug)]
pub(super) struct RxBatch {
    works: Box<[PacketContext]>,
    len: usize,
    chain: ChunkChain,
}

/// Frames of a batch, by place: bit `n` is the `n`th.
pub(super) type BatchMask = u64;
const _: () = assert!(BATCH_MAX <= BatchMask::BITS, "a bit for each frame of a batch");

impl RxBatch {
    pub(super) fn new() -> Self {
        let nothing = |_| PacketContext {
            descriptor: Descriptor::default(),
            key: Key::V4(0),
            received: RxFrame::NOTHING,
            further: FurtherChunks::NONE,
            chunk_refs: ChunkRefs::NONE,
            #[cfg(debug_assertions)]
            generation: 0,
        };
        Self { works: (0..BATCH_MAX).map(nothing).collect(), len: 0, chain: ChunkChain::new() }
    }

    /// Takes descriptors from the RX ring, as many as there are and fit; the batch has to be empty.
    /// A frame in several chunks is in the batch once all its parts have come. Returns the number
    /// of descriptors taken.
    #[inline(never)]
    pub(super) fn receive(&mut self, queue: &mut RxQueue, free: &mut FreeList) -> u32 {
        debug_assert_eq!(self.len, 0, "the last batch is done");
        let Self { works, chain, .. } = self;
        let max = BATCH_MAX - chain.waiting();
        let mut places = works.iter_mut();
        let (mut len, mut is_open) = (0, chain.is_open());
        let count = queue.receive(max, free, |received| {
            let (mut received, mut further) = (received, FurtherChunks::NONE);
            if received.needs_slow_path() || is_open {
                let whole = chain.add(received);
                is_open = chain.is_open();
                let Some(whole) = whole else { return };
                (received, further) = whole;
            }
            if let Some(work) = places.next() {
                (work.received, work.further) = (received, further);
                len += 1;
            }
        });
        self.len = len;
        count
    }

    /// Gives back the chunks of frames that never became whole; returns the number of these frames
    /// and of their bytes.
    #[inline]
    pub(super) fn take_broken(&mut self, free: &mut FreeList) -> (u64, u64) {
        if self.chain.has_broken() { self.chain.take_broken(free) } else { (0, 0) }
    }

    /// Gives up a frame of which not all parts have come.
    pub(super) fn abandon(&mut self) {
        self.chain.abandon();
    }

    /// Number of chunks of a frame of which not all parts have come.
    pub(super) const fn waiting(&self) -> u32 {
        self.chain.waiting()
    }

    #[inline]
    pub(super) fn works(&self) -> &[PacketContext] {
        &self.works[..self.len]
    }

    #[inline]
    pub(super) fn works_mut(&mut self) -> &mut [PacketContext] {
        &mut self.works[..self.len]
    }

    /// The frames, and the further parts of those that lie in several chunks.
    #[inline]
    pub(super) fn with_parts(&mut self) -> (&mut [PacketContext], &mut Vec<ChainedChunk>) {
        (&mut self.works[..self.len], &mut self.chain.parts)
    }

    /// Whether a frame lies in several chunks.
    #[inline]
    pub(super) const fn has_parts(&self) -> bool {
        !self.chain.parts.is_empty()
    }

    /// Descriptors that an output ring needs for all frames.
    #[inline]
    pub(super) const fn descriptors(&self) -> usize {
        self.len + self.chain.parts.len()
    }

    /// Forgets all frames, whose chunks have to be gone.
    #[inline]
    pub(super) fn clear(&mut self) {
        debug_assert!(
            self.works().iter().all(|work| work.received.is_nothing()),
            "no chunk is lost"
        );
        debug_assert!(
            self.chain.parts.iter().all(|part| part.received.is_nothing()),
            "no chunk is lost"
        );
        self.len = 0;
        self.chain.parts.clear();
    }

    /// Takes the frames at `places` out; their chunks go to `free`.
    #[inline]
    pub(super) fn remove(&mut self, places: BatchMask, free: &mut FreeList) {
        if places != 0 {
            self.remove_some(places, free);
        }
    }

    #[cold]
    fn remove_some(&mut self, places: BatchMask, free: &mut FreeList) {
        let mut kept = 0;
        for place in 0..self.len {
            if places >> place & 1 == 1 {
                self.discard(place, free);
            } else {
                self.works.swap(kept, place);
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Gives all chunks of a frame back.
    fn discard(&mut self, place: usize, free: &mut FreeList) {
        let work = &mut self.works[place];
        // What was taken out of the batch before has no chunk left.
        if !work.received.is_nothing() {
            free.give(work.received.take_chunk());
        }
        for part in &mut self.chain.parts[work.further.range()] {
            free.give(part.received.take_chunk());
        }
        work.further = FurtherChunks::NONE;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::xsk::{Geometry, Pages, SoftNic, Umem};

    fn batch(chunks: u32) -> (RxBatch, SoftNic, RxQueue, FreeList) {
        let (umem, mut free) = Umem::create(Geometry::new(2048, chunks), Pages::Ordinary).unwrap();
        let (nic, mut queue) = SoftNic::new(Arc::new(umem), chunks, chunks).unwrap();
        queue.refill(&mut free);
        (RxBatch::new(), nic, queue, free)
    }

    #[test]
    fn what_is_removed_is_gone_and_the_rest_keeps_its_order() {
        let (mut batch, mut nic, mut queue, mut free) = batch(64);
        let frame = [0; 64];
        (0..64).for_each(|len| nic.deliver(&frame[..len], None).unwrap());
        assert_eq!(batch.receive(&mut queue, &mut free), 64);
        batch.remove(0, &mut free);
        assert_eq!((batch.works().len(), free.len()), (64, 0));
        batch.remove(1 << 63 | 0b101, &mut free);
        let lens: Vec<_> = batch.works().iter().map(|work| work.received.len()).collect();
        assert_eq!(lens, std::iter::once(1).chain(3..63).collect::<Vec<_>>());
        assert_eq!(free.len(), 3);
    }

    #[test]
    fn a_frame_whose_parts_come_in_two_batches_waits_for_its_end() {
        let (mut batch, mut nic, mut queue, mut free) = batch(128);
        (0..62).for_each(|_| nic.deliver(b"single", None).unwrap());
        nic.deliver_chain(&[b"one", b"two", b"three"]);
        nic.deliver(b"after", None).unwrap();
        assert_eq!(batch.receive(&mut queue, &mut free), 64);
        assert_eq!((batch.works().len(), batch.waiting(), batch.has_parts()), (62, 2, false));
        batch.remove(u64::MAX >> 2, &mut free);
        assert_eq!(batch.receive(&mut queue, &mut free), 2);
        let lens: Vec<_> = batch.works().iter().map(|work| work.received.len()).collect();
        assert_eq!((lens, batch.waiting(), batch.descriptors()), (vec![3, 5], 0, 4));
        batch.remove(0b01, &mut free);
        assert_eq!(free.len(), 62 + 3);
        assert_eq!(batch.take_broken(&mut free), (0, 0));
    }

    #[test]
    fn a_frame_that_never_ends_is_given_up_and_so_is_one_that_is_abandoned() {
        let (mut batch, mut nic, mut queue, mut free) = batch(128);
        let parts = [&b"part"[..]; 50];
        nic.deliver_chain(&parts);
        nic.deliver(b"after", None).unwrap();
        batch.receive(&mut queue, &mut free);
        assert_eq!(batch.works().len(), 1);
        assert_eq!(batch.take_broken(&mut free), (1, 200));
        assert_eq!((free.len(), batch.waiting()), (50, 0));
        batch.remove(1, &mut free);
        nic.deliver_open_chain(&[b"part", b"part"]);
        batch.receive(&mut queue, &mut free);
        assert_eq!((batch.works().len(), batch.waiting()), (0, 2));
        batch.abandon();
        assert_eq!((batch.take_broken(&mut free), free.len()), ((1, 8), 53));
    }

    #[test]
    fn a_bad_descriptor_breaks_the_frame_that_it_is_a_part_of_and_no_other() {
        let (mut batch, mut nic, mut queue, mut free) = batch(64);
        nic.deliver_open_chain(&[b"part"]);
        nic.submit_raw(99 * 2048 + 256, 60);
        nic.deliver(b"after", None).unwrap();
        batch.receive(&mut queue, &mut free);
        assert_eq!((batch.works().len(), queue.bad_descriptors()), (1, 1));
        assert_eq!(batch.take_broken(&mut free), (1, 4));
    }
}
