//! The frames that one turn processes, between the RX ring and the output rings.

use super::chain::{ChainedChunk, ChunkChain, FurtherChunks, lay_out};
use super::head::{HeadBuffer, Parts};
use crate::config::BATCH_MAX;
use crate::decap::Inner;
use crate::drop_reason::DropReason;
use crate::flow::Flow;
use crate::ring::Descriptor;
use crate::session::SessionKey;
use crate::xsk::{ChunkRefs, FreeList, RxFrame, RxQueue};

/// A frame and the results of the stages for it.
#[derive(Debug)]
pub(super) struct PacketContext {
    /// Descriptor for the output rings. For a frame in several chunks, the length is that of the
    /// whole frame until it is published.
    pub(super) descriptor: Descriptor,
    /// Source and VNI, which identify the mirror.
    pub(super) key: SessionKey,
    /// The frame, or its first chunk, from the RX ring. The chunk is taken out when the frame is
    /// published.
    pub(super) received: RxFrame,
    /// Further chunks of the frame.
    pub(super) further: FurtherChunks,
    /// References to the published chunk, one for each output.
    pub(super) chunk_refs: ChunkRefs,
    /// Reason for which the frame was dropped in this turn; written then, and reset only in turns
    /// that are [copied](super::outer_copies).
    pub(super) dropped: Option<DropReason>,
    /// Place in the batch as it was received, in turns that are copied.
    pub(super) nth: u8,
    /// Lower half of the generation of the ruleset that evaluated the frame.
    #[cfg(debug_assertions)]
    pub(super) generation: u16,
}

const _: () = assert!(size_of::<PacketContext>() <= 96, "one and a half cache lines");

impl PacketContext {
    /// Fills in the inner frame. Time and session remain those of an earlier frame until later
    /// stages find them.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame is shorter than its chunks, and what headers say of lengths has 16 bits"
    )]
    pub(super) const fn set_inner(&mut self, inner: &Inner) {
        self.key = SessionKey::new(inner.source, inner.vni);
        let descriptor = &mut self.descriptor;
        descriptor.addr = self.received.addr() + inner.start as u64;
        descriptor.len = inner.captured_len as u32;
        descriptor.original_len = inner.original_len as u32;
        descriptor.outer_len = (inner.start - inner.outer_ip) as u16;
        descriptor.flags = inner.encap.bits();
    }
}

impl PacketContext {
    /// Returns the flow of the inner frame, also if the frame was truncated to the session's packet
    /// length. The frame has to lie in one chunk.
    #[inline]
    fn flow(&self, queue: &RxQueue) -> Option<Flow> {
        let inner = queue.part(&self.received, self.descriptor.addr, u32::MAX);
        Flow::in_frame(inner, self.descriptor.link())
    }

    /// As [`Self::flow`], for a frame that may lie in several chunks.
    fn flow_in_chunks(
        &self,
        queue: &RxQueue,
        chained: &[ChainedChunk],
        head: &mut HeadBuffer,
    ) -> Option<Flow> {
        if self.further == FurtherChunks::NONE {
            return self.flow(queue);
        }
        let parts = Parts::new(&self.received, self.further, chained);
        let inner = head.inner(queue, parts, &self.descriptor, u32::MAX);
        Flow::in_frame(inner, self.descriptor.link())
    }

    /// Divides the frame's captured bytes among its chunks, before it is published.
    #[cold]
    pub(super) fn lay_out(&mut self, chained: &mut [ChainedChunk], free: &mut FreeList) {
        let here = self.received.end() - self.descriptor.addr;
        let here = u32::try_from(here).unwrap_or(u32::MAX);
        self.further = lay_out(&self.descriptor, here, chained, self.further, free);
    }

    /// Returns the number of bytes in the first chunk of a frame that is laid out.
    pub(super) fn head_len(&self, chained: &[ChainedChunk]) -> u32 {
        self.descriptor.len - chained.iter().map(|chunk| chunk.descriptor.len).sum::<u32>()
    }

    /// Returns the flags of the first descriptor of a frame that is laid out.
    pub(super) const fn head_flags(&self, chained: &[ChainedChunk]) -> u16 {
        self.descriptor.flags | if chained.is_empty() { 0 } else { Descriptor::CONTINUES }
    }
}

/// The frames of a turn, in order of arrival. Allocated once, with a fixed size; the stages modify
/// the frames in place.
#[derive(Debug)]
pub(super) struct RxBatch {
    packets: Box<[PacketContext]>,
    len: usize,
    chain: ChunkChain,
    head: HeadBuffer,
    /// Flows of the frames, if an output selects by flow.
    flows: Vec<Option<Flow>>,
}

/// A set of frames of a batch: bit `n` is the frame with index `n`.
pub(super) type BatchMask = u64;
const _: () = assert!(BATCH_MAX <= BatchMask::BITS, "a bit for each frame of a batch");

impl RxBatch {
    pub(super) fn new() -> Self {
        let nothing = |_| PacketContext {
            descriptor: Descriptor::default(),
            key: SessionKey::V4(0),
            received: RxFrame::NOTHING,
            further: FurtherChunks::NONE,
            chunk_refs: ChunkRefs::NONE,
            dropped: None,
            nth: 0,
            #[cfg(debug_assertions)]
            generation: 0,
        };
        Self {
            packets: (0..BATCH_MAX).map(nothing).collect(),
            len: 0,
            chain: ChunkChain::new(),
            head: HeadBuffer::new(),
            flows: Vec::with_capacity(BATCH_MAX as usize),
        }
    }

    /// Takes as many descriptors from the RX ring as there are and fit; the batch has to be empty.
    /// A frame in several chunks is added when all of its chunks have arrived. Returns the number
    /// of descriptors taken.
    #[inline(never)]
    pub(super) fn receive(&mut self, queue: &mut RxQueue, free: &mut FreeList) -> u32 {
        debug_assert_eq!(self.len, 0, "the last batch is done");
        let Self { packets, chain, .. } = self;
        let max = BATCH_MAX - chain.waiting();
        let mut slots = packets.iter_mut();
        let (mut len, mut is_open) = (0, chain.is_open());
        let count = queue.receive(max, free, |received| {
            let (mut received, mut further) = (received, FurtherChunks::NONE);
            if received.needs_slow_path() || is_open {
                let whole = chain.add(received);
                is_open = chain.is_open();
                let Some(whole) = whole else { return };
                (received, further) = whole;
            }
            if let Some(packet) = slots.next() {
                (packet.received, packet.further) = (received, further);
                len += 1;
            }
        });
        self.len = len;
        count
    }

    /// Gives back the chunks of frames that were never completed. Returns the number of these
    /// frames and of their bytes.
    #[inline]
    pub(super) fn take_incomplete(&mut self, free: &mut FreeList) -> (u64, u64) {
        if self.chain.has_incomplete() { self.chain.take_incomplete(free) } else { (0, 0) }
    }

    /// Gives up a frame that is incomplete.
    pub(super) fn abandon(&mut self) {
        self.chain.abandon();
    }

    /// Returns the number of chunks of an incomplete frame.
    pub(super) const fn waiting(&self) -> u32 {
        self.chain.waiting()
    }

    #[inline]
    pub(super) fn packets(&self) -> &[PacketContext] {
        &self.packets[..self.len]
    }

    #[inline]
    pub(super) fn packets_mut(&mut self) -> &mut [PacketContext] {
        &mut self.packets[..self.len]
    }

    /// Returns the first `count` slots: what is left there of as many frames that were received in
    /// this turn, also if they were removed, in any order.
    pub(super) fn slots(&self, count: usize) -> &[PacketContext] {
        &self.packets[..count]
    }

    /// Returns the frames, the further chunks of those that lie in several, and the buffer for
    /// their headers.
    #[inline]
    pub(super) fn with_chained(
        &mut self,
    ) -> (&mut [PacketContext], &mut Vec<ChainedChunk>, &mut HeadBuffer) {
        (&mut self.packets[..self.len], &mut self.chain.chained, &mut self.head)
    }

    /// Finds the flow of each frame.
    #[inline(never)]
    pub(super) fn find_flows(&mut self, queue: &RxQueue) {
        let Self { packets, len, chain, head, flows } = self;
        flows.clear();
        let (packets, chained) = (packets[..*len].iter(), &chain.chained[..]);
        if chained.is_empty() {
            flows.extend(packets.map(|packet| packet.flow(queue)));
        } else {
            flows.extend(packets.map(|packet| packet.flow_in_chunks(queue, chained, head)));
        }
    }

    /// Returns the frames, the further chunks of those that lie in several, and the flows of the
    /// frames if [they were found](Self::find_flows).
    pub(super) fn with_flows(
        &mut self,
    ) -> (&mut [PacketContext], &mut Vec<ChainedChunk>, &[Option<Flow>]) {
        (&mut self.packets[..self.len], &mut self.chain.chained, &self.flows)
    }

    /// Returns whether a frame lies in several chunks.
    #[inline]
    pub(super) const fn has_chained(&self) -> bool {
        !self.chain.chained.is_empty()
    }

    /// Returns the number of descriptors that an output ring needs for all frames.
    #[inline]
    pub(super) const fn descriptors(&self) -> usize {
        self.len + self.chain.chained.len()
    }

    /// Removes all frames; their chunks have to be taken out before.
    #[inline]
    pub(super) fn clear(&mut self) {
        debug_assert!(
            self.packets().iter().all(|packet| packet.received.is_nothing()),
            "no chunk is lost"
        );
        debug_assert!(
            self.chain.chained.iter().all(|chunk| chunk.received.is_nothing()),
            "no chunk is lost"
        );
        self.len = 0;
        self.chain.chained.clear();
    }

    /// Removes the frames of `mask`; their chunks go to `free`.
    #[inline]
    pub(super) fn remove(&mut self, mask: BatchMask, free: &mut FreeList) {
        if mask != 0 {
            self.remove_some(mask, free);
        }
    }

    #[cold]
    fn remove_some(&mut self, mask: BatchMask, free: &mut FreeList) {
        let mut kept = 0;
        for index in 0..self.len {
            if mask >> index & 1 == 1 {
                self.discard(index, free);
            } else {
                self.packets.swap(kept, index);
                kept += 1;
            }
        }
        self.len = kept;
    }

    /// Gives back all chunks of a frame.
    fn discard(&mut self, index: usize, free: &mut FreeList) {
        let packet = &mut self.packets[index];
        // A frame that was removed before has no chunk left.
        if !packet.received.is_nothing() {
            free.give(packet.received.take_chunk());
        }
        for chunk in &mut self.chain.chained[packet.further.range()] {
            free.give(chunk.received.take_chunk());
        }
        packet.further = FurtherChunks::NONE;
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
        assert_eq!((batch.packets().len(), free.len()), (64, 0));
        batch.remove(1 << 63 | 0b101, &mut free);
        let lens: Vec<_> = batch.packets().iter().map(|packet| packet.received.len()).collect();
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
        assert_eq!((batch.packets().len(), batch.waiting(), batch.has_chained()), (62, 2, false));
        batch.remove(u64::MAX >> 2, &mut free);
        assert_eq!(batch.receive(&mut queue, &mut free), 2);
        let lens: Vec<_> = batch.packets().iter().map(|packet| packet.received.len()).collect();
        assert_eq!((lens, batch.waiting(), batch.descriptors()), (vec![3, 5], 0, 4));
        batch.remove(0b01, &mut free);
        assert_eq!(free.len(), 62 + 3);
        assert_eq!(batch.take_incomplete(&mut free), (0, 0));
    }

    #[test]
    fn a_frame_that_never_ends_is_given_up_and_so_is_one_that_is_abandoned() {
        let (mut batch, mut nic, mut queue, mut free) = batch(128);
        let chained = [&b"part"[..]; 50];
        nic.deliver_chain(&chained);
        nic.deliver(b"after", None).unwrap();
        batch.receive(&mut queue, &mut free);
        assert_eq!(batch.packets().len(), 1);
        assert_eq!(batch.take_incomplete(&mut free), (1, 200));
        assert_eq!((free.len(), batch.waiting()), (50, 0));
        batch.remove(1, &mut free);
        nic.deliver_open_chain(&[b"part", b"part"]);
        batch.receive(&mut queue, &mut free);
        assert_eq!((batch.packets().len(), batch.waiting()), (0, 2));
        batch.abandon();
        assert_eq!((batch.take_incomplete(&mut free), free.len()), ((1, 8), 53));
    }

    #[test]
    fn a_bad_descriptor_breaks_the_frame_that_it_is_a_part_of_and_no_other() {
        let (mut batch, mut nic, mut queue, mut free) = batch(64);
        nic.deliver_open_chain(&[b"part"]);
        nic.submit_raw(99 * 2048 + 256, 60);
        nic.deliver(b"after", None).unwrap();
        batch.receive(&mut queue, &mut free);
        assert_eq!((batch.packets().len(), queue.bad_descriptors()), (1, 1));
        assert_eq!(batch.take_incomplete(&mut free), (1, 4));
    }
}
