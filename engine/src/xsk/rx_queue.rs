//! The worker's side of a queue: empty chunks go to the kernel, frames come back.

use std::ops::Range;
use std::sync::Arc;

use vxtap_ebpf::arrival::AREA_LEN;

use super::arrival::Stamps;
use super::chunk::{Chunk, FreeList, InFlight};
use super::geometry::HEADROOM;
use super::ring::{ConsumerRing, ProducerRing};
use super::umem::Umem;

/// A frame that the kernel, or [`RxQueue::fill`], has put into a chunk, which belongs to the
/// holder. The frame, with an arrival time's room in front, lies inside of the chunk:
/// [`RxQueue::receive`] has checked it, and what is written later cannot be written elsewhere.
#[derive(Debug)]
pub(crate) struct RxFrame {
    /// The chunk it lies in; as long as it is here, nobody else has it.
    chunk: Chunk,
    /// Where it starts in the UMEM, in bytes.
    addr: u64,
    len: u32,
    /// Bits [`Self::CONTINUES`] and [`Self::BAD`].
    flags: u8,
    /// The holder's: where it keeps the further parts of the frame.
    tail: Tail,
}

/// The parts of a frame beyond its first, as places in a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tail {
    len: u8,
    start: u16,
}

impl Tail {
    /// The frame lies in one chunk.
    pub(crate) const NONE: Self = Self { len: 0, start: 0 };

    /// `len` places from `start` on.
    ///
    /// # Panics
    ///
    /// If the list is longer than 65 535 places or the frame has more than 256 parts.
    pub(crate) fn new(start: usize, len: usize) -> Self {
        let (start, len) = (u16::try_from(start), u8::try_from(len));
        Self { start: start.expect("a short list"), len: len.expect("a frame of few parts") }
    }

    /// The places.
    #[inline]
    pub(crate) fn range(self) -> Range<usize> {
        let start = usize::from(self.start);
        start..start + usize::from(self.len)
    }

    /// Number of parts.
    #[inline]
    pub(crate) const fn len(self) -> usize {
        self.len as usize
    }
}

impl RxFrame {
    /// No frame.
    pub(crate) const NOTHING: Self =
        Self { chunk: Chunk::NONE, addr: 0, len: 0, flags: 0, tail: Tail::NONE };

    const CONTINUES: u8 = 1 << 0;
    const BAD: u8 = 1 << 1;

    /// Takes the chunk out. What is left names no bytes, but still the further parts.
    #[inline]
    pub(crate) const fn take_chunk(&mut self) -> Chunk {
        (self.addr, self.len) = (0, 0);
        std::mem::replace(&mut self.chunk, Chunk::NONE)
    }

    /// The further parts of the frame.
    #[inline]
    pub(crate) const fn tail(&self) -> Tail {
        self.tail
    }

    /// Notes where the further parts of the frame are.
    pub(crate) const fn set_tail(&mut self, tail: Tail) {
        self.tail = tail;
    }

    /// Whether the chunk has been taken out.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.chunk == Chunk::NONE
    }

    /// Where it starts in the UMEM, in bytes.
    #[inline]
    pub(crate) const fn addr(&self) -> u64 {
        self.addr
    }

    /// Its length in this chunk, in bytes.
    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Whether it goes on in the chunk of the next descriptor (`XDP_PKT_CONTD`).
    #[inline]
    pub(crate) const fn continues(&self) -> bool {
        self.flags & Self::CONTINUES != 0
    }

    /// Whether it is a part of a frame that lies in several chunks, and goes on in the next, or
    /// stands for a descriptor that made no sense: anything but a whole frame or the last part of
    /// one.
    #[inline]
    pub(crate) const fn is_odd(&self) -> bool {
        self.flags != 0
    }

    /// Where it ends in the UMEM.
    #[inline]
    pub(crate) const fn end(&self) -> u64 {
        self.addr + self.len as u64
    }
}

/// Fill ring, RX ring, and the chunks that are between them.
#[derive(Debug)]
pub(crate) struct RxQueue {
    umem: Arc<Umem>,
    fill: ProducerRing<u64>,
    rx: ConsumerRing<libc::xdp_desc>,
    lent: InFlight,
    stamps: Stamps,
    /// Descriptors that did not name a frame inside a chunk that the kernel had.
    bad_descriptors: u64,
}

impl RxQueue {
    pub(crate) fn new(
        umem: Arc<Umem>,
        fill: ProducerRing<u64>,
        rx: ConsumerRing<libc::xdp_desc>,
        stamps: Stamps,
    ) -> Self {
        let lent = InFlight::none(umem.geometry().chunk_count());
        Self { umem, fill, rx, lent, stamps, bad_descriptors: 0 }
    }

    /// The region that the chunks belong to.
    pub(crate) const fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// Moves free chunks into the fill ring until the kernel has as many as the longer of the two
    /// rings holds, or there are no more; returns how many.
    ///
    /// A longer reserve costs speed, since each chunk is written to again only when all others have
    /// been, and by then has left the cache. A shorter one is lost frames whenever the worker is
    /// away for longer than it lasts.
    #[inline]
    pub(crate) fn refill(&mut self, free: &mut FreeList) -> u32 {
        let Self { umem, fill, rx, lent, .. } = self;
        let geometry = umem.geometry();
        let want = fill.len().max(rx.len()).saturating_sub(lent.count());
        fill.submit(want, || free.take().map(|chunk| geometry.start(lent.lend(chunk))))
    }

    /// Takes up to `max` descriptors from the RX ring, in order of arrival: frames, or parts of
    /// frames. One that makes no sense is counted, its chunk, if it names one that the kernel had,
    /// goes back to `free`, and what is taken in its place has no chunk and is odd.
    #[inline]
    pub(crate) fn receive(
        &mut self,
        max: u32,
        free: &mut FreeList,
        mut take: impl FnMut(RxFrame),
    ) -> u32 {
        let Self { umem, rx, lent, stamps, bad_descriptors, .. } = self;
        stamps.begin_batch();
        let geometry = umem.geometry();
        rx.consume(max, |descriptor| {
            let flags =
                if descriptor.options & libc::XDP_PKT_CONTD == 0 { 0 } else { RxFrame::CONTINUES };
            let bad = RxFrame { flags: flags | RxFrame::BAD, ..RxFrame::NOTHING };
            let (index, offset) = geometry.locate(descriptor.addr);
            let Some(chunk) = lent.take_back(index) else {
                *bad_descriptors += 1;
                return take(bad);
            };
            if !geometry.holds(offset, descriptor.len) {
                *bad_descriptors += 1;
                free.give(chunk);
                return take(bad);
            }
            umem.prefetch(descriptor.addr);
            take(RxFrame {
                chunk,
                addr: descriptor.addr,
                len: descriptor.len,
                flags,
                tail: Tail::NONE,
            });
        })
    }

    /// The bytes of a received frame.
    #[inline]
    pub(crate) fn frame<'a>(&'a self, received: &'a RxFrame) -> &'a [u8] {
        // SAFETY: `receive` of this queue (a worker has one) has checked that these bytes lie in
        // the chunk, or `overwrite` has written them there; its only token is in `received` and
        // borrowed with it for `'a`: nobody writes to them meanwhile. Once the token is taken out,
        // the length is 0.
        unsafe { self.umem.untouched(received.addr, received.len) }
    }

    /// Bytes that the chunk of a received frame has for it.
    pub(crate) fn room(&self, received: &RxFrame) -> usize {
        let (_, offset) = self.umem.geometry().locate(received.addr);
        (self.umem.geometry().chunk_size() - offset) as usize
    }

    /// Writes other bytes in the place of a received frame, at most [`Self::room`].
    pub(crate) fn overwrite(&self, received: &mut RxFrame, bytes: &[u8]) {
        let (_, offset) = self.umem.geometry().locate(received.addr);
        let start = offset as usize;
        self.umem.bytes_mut(&mut received.chunk)[start..start + bytes.len()].copy_from_slice(bytes);
        received.len = u32::try_from(bytes.len()).expect("the bytes of a chunk");
    }

    /// Writes bytes into a free chunk, where a frame would be: a further part of one.
    pub(crate) fn fill(&self, chunk: Chunk, bytes: &[u8]) -> RxFrame {
        let addr = self.umem.address_of(&chunk) + u64::from(HEADROOM);
        let mut part = RxFrame { chunk, addr, ..RxFrame::NOTHING };
        self.overwrite(&mut part, bytes);
        part
    }

    /// When a received frame arrived, in nanoseconds of the kernel side's clock; `None` if it
    /// carries no time.
    #[inline]
    pub(crate) fn arrival_ns(&mut self, received: &RxFrame) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, reason = "16")]
        const LEN: u32 = AREA_LEN as u32;
        let area_addr = received.addr.wrapping_sub(u64::from(LEN));
        // SAFETY: as for `frame`: `receive` has checked that the time's room lies in the chunk too.
        // Once the token is taken out, the address lies outside of the region, which `untouched`
        // refuses.
        let area = unsafe { self.umem.untouched(area_addr, LEN) };
        self.stamps.read(area.first_chunk()?)
    }

    /// The `len` bytes at `addr`, as far as they lie in the frame's chunk; empty if `addr` does
    /// not.
    #[inline]
    pub(crate) fn part<'a>(&'a self, received: &'a RxFrame, addr: u64, len: u32) -> &'a [u8] {
        let frame = self.frame(received);
        let start = usize::try_from(addr.wrapping_sub(received.addr)).unwrap_or(usize::MAX);
        let here = frame.get(start..).unwrap_or_default();
        &here[..here.len().min(len as usize)]
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
    use super::super::geometry::Geometry;
    use super::super::{Pages, SoftNic};
    use super::*;

    fn queue(chunks: u32) -> (RxQueue, SoftNic, FreeList) {
        let (umem, free) = Umem::create(Geometry::new(2048, chunks), Pages::Ordinary).unwrap();
        let (nic, queue) = SoftNic::new(Arc::new(umem), 8, 8).unwrap();
        (queue, nic, free)
    }

    #[test]
    fn the_kernel_has_as_many_chunks_as_the_longer_ring_holds_and_no_more() {
        for (fill_len, rx_len, at_first) in [(8, 8, 8), (4, 8, 4), (8, 4, 8)] {
            let (umem, mut free) = Umem::create(Geometry::new(2048, 64), Pages::Ordinary).unwrap();
            let (mut nic, mut queue) = SoftNic::new(Arc::new(umem), fill_len, rx_len).unwrap();
            assert_eq!(queue.refill(&mut free), at_first);
            (0..4).for_each(|_| nic.deliver(b"frame", None).unwrap());
            assert_eq!(
                queue.refill(&mut free),
                8 - at_first,
                "those in the RX ring are the kernel's too"
            );
            assert_eq!(queue.lent(), 8);
            queue.receive(3, &mut free, drop);
            assert_eq!(queue.refill(&mut free), if fill_len == 4 { 0 } else { 3 });
        }
    }

    #[test]
    fn frames_come_back_in_the_chunks_that_were_lent() {
        let (mut queue, mut nic, mut free) = queue(4);
        assert_eq!(queue.refill(&mut free), 4);
        assert_eq!((free.len(), queue.lent()), (0, 4));
        nic.deliver(b"first", None).unwrap();
        nic.deliver(b"second", None).unwrap();
        let mut frames = Vec::new();
        let count = queue.receive(64, &mut free, |received| frames.push(received));
        let bytes: Vec<_> = frames.iter().map(|received| queue.frame(received).to_vec()).collect();
        assert_eq!((count, bytes), (2, vec![b"first".to_vec(), b"second".to_vec()]));
        let (addr, len) = (frames[0].addr, frames[0].len);
        assert_eq!(queue.part(&frames[0], addr + 1, len - 2), b"irs");
        assert_eq!(queue.part(&frames[0], addr + 1, len), b"irst", "as far as it is here");
        for (addr, len) in [(addr - 1, 1), (addr + 6, 1), (u64::MAX, 1)] {
            assert_eq!(queue.part(&frames[0], addr, len), b"", "{len} bytes at {addr}");
        }
        assert_eq!(queue.lent(), 2);
    }

    #[test]
    fn descriptors_that_make_no_sense_are_counted_and_lose_no_chunk() {
        let (mut queue, mut nic, mut free) = queue(4);
        queue.refill(&mut free);
        nic.submit_raw(99 * 2048 + 256, 60);
        nic.submit_raw(256, 1793);
        nic.submit_raw(256, 60);
        let mut taken = Vec::new();
        queue.receive(64, &mut free, |received| {
            taken.push(received.is_odd() && received.is_nothing())
        });
        assert_eq!((taken, queue.bad_descriptors()), (vec![true; 3], 3));
        assert_eq!(free.len() + queue.lent() as usize, 4);
    }
}
