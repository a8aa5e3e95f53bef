//! The worker's side of a queue: empty chunks go to the kernel, frames come back.

use std::sync::Arc;

use super::chunk::{Chunk, FreeList, Lent};
use super::ring::{ConsumerRing, ProducerRing};
use super::umem::Umem;

/// A frame that the kernel has put into a chunk, which belongs to the holder.
#[derive(Debug)]
pub(crate) struct Received {
    /// The chunk it lies in.
    pub(crate) chunk: Chunk,
    /// Where it starts in the chunk, in bytes.
    pub(crate) offset: u32,
    /// Its length in this chunk, in bytes.
    pub(crate) len: u32,
    /// Whether it goes on in the chunk of the next descriptor (`XDP_PKT_CONTD`).
    pub(crate) continues: bool,
}

/// Fill ring, RX ring, and the chunks that are between them.
#[derive(Debug)]
pub(crate) struct RxQueue {
    umem: Arc<Umem>,
    fill: ProducerRing<u64>,
    rx: ConsumerRing<libc::xdp_desc>,
    lent: Lent,
    /// Descriptors that did not name a frame inside a chunk that the kernel had.
    bad_descriptors: u64,
}

impl RxQueue {
    pub(super) fn new(umem: Arc<Umem>, fill: ProducerRing<u64>, rx: ConsumerRing<libc::xdp_desc>) -> Self {
        let lent = Lent::none(umem.geometry().chunk_count());
        Self { umem, fill, rx, lent, bad_descriptors: 0 }
    }

    /// The region that the chunks belong to.
    pub(crate) const fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// Moves free chunks into the fill ring until one of the two ends; returns how many.
    #[inline]
    pub(crate) fn refill(&mut self, free: &mut FreeList) -> u32 {
        let Self { umem, fill, lent, .. } = self;
        let geometry = umem.geometry();
        let want = u32::try_from(free.len()).unwrap_or(u32::MAX);
        fill.submit(want, || free.take().map(|chunk| geometry.start(lent.lend(chunk))))
    }

    /// Takes up to `max` frames from the RX ring, in order of arrival. A descriptor that makes no sense is counted
    /// and its chunk, if it names one that the kernel had, goes back to `free`.
    #[inline]
    pub(crate) fn receive(&mut self, max: u32, free: &mut FreeList, mut take: impl FnMut(Received)) -> u32 {
        let Self { umem, rx, lent, bad_descriptors, .. } = self;
        let geometry = umem.geometry();
        rx.consume(max, |descriptor| {
            let (index, offset) = geometry.locate(descriptor.addr);
            let Some(chunk) = lent.take_back(index) else {
                *bad_descriptors += 1;
                return;
            };
            if !geometry.holds(offset, descriptor.len) {
                *bad_descriptors += 1;
                free.give(chunk);
                return;
            }
            let continues = descriptor.options & libc::XDP_PKT_CONTD != 0;
            take(Received { chunk, offset, len: descriptor.len, continues });
        })
    }

    /// Whether the kernel waits for a wake-up before it looks at the fill ring.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.fill.needs_wakeup()
    }

    /// Number of chunks in the fill ring, in the kernel and in the RX ring.
    pub(crate) const fn lent(&self) -> u32 {
        self.lent.count()
    }

    /// Descriptors from the kernel that made no sense, since the start.
    pub(crate) const fn bad_descriptors(&self) -> u64 {
        self.bad_descriptors
    }
}

#[cfg(test)]
mod tests {
    use super::super::SoftNic;
    use super::super::geometry::Geometry;
    use super::*;

    fn queue(chunks: u32) -> (RxQueue, SoftNic, FreeList) {
        let (umem, free) = Umem::create(Geometry::new(2048, chunks), false).unwrap();
        let (nic, queue) = SoftNic::new(Arc::new(umem), 8, 8).unwrap();
        (queue, nic, free)
    }

    #[test]
    fn frames_come_back_in_the_chunks_that_were_lent() {
        let (mut queue, mut nic, mut free) = queue(4);
        assert_eq!(queue.refill(&mut free), 4);
        assert_eq!((free.len(), queue.lent()), (0, 4));
        nic.deliver(b"first", None).unwrap();
        nic.deliver(b"second", None).unwrap();
        let mut frames = Vec::new();
        let umem = queue.umem().clone();
        let count = queue.receive(64, &mut free, |mut received| {
            let (start, end) = (received.offset as usize, (received.offset + received.len) as usize);
            frames.push(umem.bytes_mut(&mut received.chunk)[start..end].to_vec());
        });
        assert_eq!((count, frames), (2, vec![b"first".to_vec(), b"second".to_vec()]));
        assert_eq!(queue.lent(), 2);
    }

    #[test]
    fn descriptors_that_make_no_sense_are_counted_and_lose_no_chunk() {
        let (mut queue, mut nic, mut free) = queue(4);
        queue.refill(&mut free);
        nic.submit_raw(99 * 2048 + 256, 60);
        nic.submit_raw(256, 1793);
        nic.submit_raw(256, 60);
        let mut taken = 0;
        queue.receive(64, &mut free, |_| taken += 1);
        assert_eq!((taken, queue.bad_descriptors()), (0, 3));
        assert_eq!(free.len() + queue.lent() as usize, 4);
    }
}
