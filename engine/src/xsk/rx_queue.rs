//! The worker's side of a queue: empty chunks go to the kernel, frames come back.

use std::sync::Arc;

use vxtap_ebpf::arrival::AREA_LEN;

use super::arrival::ArrivalTimes;
use super::chunk::{Chunk, FreeList, InFlight};
use super::geometry::HEADROOM;
use super::ring::{ConsumerRing, ProducerRing};
use super::umem::Umem;

/// A received frame, or a part of one, with the chunk that it lies in, which it owns.
///
/// The frame, with room for an arrival time in front, lies inside of the chunk:
/// [`RxQueue::receive`] has checked it for the kernel's, and [`RxQueue::fill`],
/// [`RxQueue::overwrite`] and [`RxQueue::append`] write nowhere else.
#[derive(Debug)]
pub(crate) struct RxFrame {
    /// The chunk that it lies in.
    chunk: Chunk,
    /// Offset of its first byte in the UMEM.
    addr: u64,
    len: u32,
    /// Bits [`Self::CONTINUES`] and [`Self::BAD`].
    flags: u8,
}

impl RxFrame {
    /// No frame.
    pub(crate) const NOTHING: Self = Self { chunk: Chunk::NONE, addr: 0, len: 0, flags: 0 };

    const CONTINUES: u8 = 1 << 0;
    const BAD: u8 = 1 << 1;

    /// Takes the chunk out; what is left names no bytes.
    #[inline]
    pub(crate) const fn take_chunk(&mut self) -> Chunk {
        (self.addr, self.len) = (0, 0);
        std::mem::replace(&mut self.chunk, Chunk::NONE)
    }

    /// Returns whether the chunk has been taken out.
    #[inline]
    pub(crate) fn is_nothing(&self) -> bool {
        self.chunk == Chunk::NONE
    }

    /// Returns the offset of its first byte in the UMEM.
    #[inline]
    pub(crate) const fn addr(&self) -> u64 {
        self.addr
    }

    /// Returns its length in this chunk, in bytes.
    #[inline]
    pub(crate) const fn len(&self) -> u32 {
        self.len
    }

    /// Removes bytes from its front.
    ///
    /// # Panics
    ///
    /// If it has not as many.
    pub(crate) fn remove_front(&mut self, count: usize) {
        let count = u32::try_from(count).ok().filter(|count| *count <= self.len);
        let count = count.expect("no more bytes than there are");
        self.addr += u64::from(count);
        self.len -= count;
    }

    /// Returns whether it goes on in the chunk of the next descriptor (`XDP_PKT_CONTD`).
    #[inline]
    pub(crate) const fn continues(&self) -> bool {
        self.flags & Self::CONTINUES != 0
    }

    /// Returns whether it needs the slow path: it goes on in the chunk of the next descriptor, or
    /// stands for an invalid descriptor. `false` for a whole frame and for the last part of one.
    #[inline]
    pub(crate) const fn needs_slow_path(&self) -> bool {
        self.flags != 0
    }

    /// Returns the offset in the UMEM of the byte behind its last.
    #[inline]
    pub(crate) const fn end(&self) -> u64 {
        self.addr + self.len as u64
    }
}

/// Fill ring and RX ring of a queue, and the chunks that the kernel has.
#[derive(Debug)]
pub(crate) struct RxQueue {
    umem: Arc<Umem>,
    fill: ProducerRing<u64>,
    rx: ConsumerRing<libc::xdp_desc>,
    in_flight: InFlight,
    arrival_times: ArrivalTimes,
    /// Descriptors that did not name bytes inside of a chunk that the kernel had.
    bad_descriptors: u64,
}

impl RxQueue {
    pub(crate) fn new(
        umem: Arc<Umem>,
        fill: ProducerRing<u64>,
        rx: ConsumerRing<libc::xdp_desc>,
        arrival_times: ArrivalTimes,
    ) -> Self {
        let in_flight = InFlight::none(umem.geometry().chunk_count());
        Self { umem, fill, rx, in_flight, arrival_times, bad_descriptors: 0 }
    }

    /// Returns the UMEM that the chunks belong to.
    pub(crate) const fn umem(&self) -> &Arc<Umem> {
        &self.umem
    }

    /// Moves free chunks into the fill ring until the kernel has as many as the longer of the two
    /// rings holds, or there are no more; returns how many.
    ///
    /// A longer reserve costs speed, since each chunk is written to again only when all others have
    /// been, and by then has left the cache. A shorter one loses frames whenever the worker is away
    /// for longer than it lasts.
    #[inline]
    pub(crate) fn refill(&mut self, free: &mut FreeList) -> u32 {
        let Self { umem, fill, rx, in_flight, .. } = self;
        let geometry = umem.geometry();
        let want = fill.len().max(rx.len()).saturating_sub(in_flight.count());
        fill.submit(want, || free.take().map(|chunk| geometry.start(in_flight.insert(chunk))))
    }

    /// Takes up to `max` descriptors from the RX ring, in order of arrival: frames, or parts of
    /// frames. Returns their number.
    ///
    /// An invalid one is counted; its chunk, if it names one that the kernel had, goes back to
    /// `free`, and `take` gets a frame without chunk that [needs the slow
    /// path](RxFrame::needs_slow_path).
    #[inline]
    pub(crate) fn receive(
        &mut self,
        max: u32,
        free: &mut FreeList,
        mut take: impl FnMut(RxFrame),
    ) -> u32 {
        let Self { umem, rx, in_flight, arrival_times, bad_descriptors, .. } = self;
        arrival_times.begin_batch();
        let geometry = umem.geometry();
        rx.consume(max, |descriptor| {
            let flags =
                if descriptor.options & libc::XDP_PKT_CONTD == 0 { 0 } else { RxFrame::CONTINUES };
            let bad = RxFrame { flags: flags | RxFrame::BAD, ..RxFrame::NOTHING };
            let (index, offset) = geometry.locate(descriptor.addr);
            let Some(chunk) = in_flight.remove(index) else {
                *bad_descriptors += 1;
                return take(bad);
            };
            if !geometry.holds(offset, descriptor.len) {
                *bad_descriptors += 1;
                free.give(chunk);
                return take(bad);
            }
            umem.prefetch(descriptor.addr);
            take(RxFrame { chunk, addr: descriptor.addr, len: descriptor.len, flags });
        })
    }

    /// Returns the bytes of a received frame.
    #[inline]
    pub(crate) fn frame<'a>(&'a self, received: &'a RxFrame) -> &'a [u8] {
        // SAFETY: the bytes lie in the chunk of `received`: `receive` of this queue (a worker has
        // one) has checked it, or `overwrite` or `append` has written them there. The chunk's only
        // token is in `received`, which is borrowed for `'a`, so that no code writes to the bytes
        // meanwhile.
        // Once the token is taken out, the length is 0 and there are no bytes.
        unsafe { self.umem.untouched(received.addr, received.len) }
    }

    /// Returns the bytes that the chunk of a received frame has for it.
    pub(crate) fn room(&self, received: &RxFrame) -> usize {
        let (_, offset) = self.umem.geometry().locate(received.addr);
        (self.umem.geometry().chunk_size() - offset) as usize
    }

    /// Replaces the bytes of a received frame by others, at most [`Self::room`].
    pub(crate) fn overwrite(&self, received: &mut RxFrame, bytes: &[u8]) {
        let (_, offset) = self.umem.geometry().locate(received.addr);
        let start = offset as usize;
        self.umem.bytes_mut(&mut received.chunk)[start..start + bytes.len()].copy_from_slice(bytes);
        received.len = u32::try_from(bytes.len()).expect("the bytes of a chunk");
    }

    /// Returns the bytes that the chunk of a received frame has behind it.
    pub(crate) fn room_behind(&self, received: &RxFrame) -> usize {
        self.room(received) - received.len as usize
    }

    /// Appends bytes to a received frame, at most [`Self::room_behind`].
    pub(crate) fn append(&self, received: &mut RxFrame, bytes: &[u8]) {
        let (_, offset) = self.umem.geometry().locate(received.addr);
        let start = (offset + received.len) as usize;
        self.umem.bytes_mut(&mut received.chunk)[start..start + bytes.len()].copy_from_slice(bytes);
        received.len += u32::try_from(bytes.len()).expect("the bytes of a chunk");
    }

    /// Writes a further part of a frame into a free chunk, behind the headroom.
    pub(crate) fn fill(&self, chunk: Chunk, bytes: &[u8]) -> RxFrame {
        let addr = self.umem.address_of(&chunk) + u64::from(HEADROOM);
        let mut part = RxFrame { chunk, addr, ..RxFrame::NOTHING };
        self.overwrite(&mut part, bytes);
        part
    }

    /// Returns the arrival time of a received frame, in nanoseconds of the clock of the arrival
    /// times ([`RxBackend::arrival_minus_utc_ns`]); `None` if it carries no time.
    ///
    /// [`RxBackend::arrival_minus_utc_ns`]: super::RxBackend::arrival_minus_utc_ns
    #[inline]
    pub(crate) fn arrival_ns(&mut self, received: &RxFrame) -> Option<u64> {
        #[expect(clippy::cast_possible_truncation, reason = "16")]
        const LEN: u32 = AREA_LEN as u32;
        let area_addr = received.addr.wrapping_sub(u64::from(LEN));
        // SAFETY: as for `frame`: `receive` has checked that the area in front of the frame lies in
        // the same chunk. Once the token is taken out, `addr` is 0 and the area begins outside of
        // the region, so that `untouched` panics.
        let area = unsafe { self.umem.untouched(area_addr, LEN) };
        self.arrival_times.read(area.first_chunk()?)
    }

    /// Returns the `len` bytes at `addr`, as far as they lie in the frame's chunk; none if `addr`
    /// does not.
    #[inline]
    pub(crate) fn part<'a>(&'a self, received: &'a RxFrame, addr: u64, len: u32) -> &'a [u8] {
        let frame = self.frame(received);
        let start = usize::try_from(addr.wrapping_sub(received.addr)).unwrap_or(usize::MAX);
        let here = frame.get(start..).unwrap_or_default();
        &here[..here.len().min(len as usize)]
    }

    /// Returns whether the kernel waits for a wake-up before it reads the fill ring.
    #[inline]
    pub(crate) fn needs_wakeup(&self) -> bool {
        self.fill.needs_wakeup()
    }

    /// Returns the number of chunks in the fill ring, in the kernel and in the RX ring.
    pub(crate) const fn in_flight(&self) -> u32 {
        self.in_flight.count()
    }

    /// Returns the number of invalid descriptors from the kernel since the start.
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
            assert_eq!(queue.in_flight(), 8);
            queue.receive(3, &mut free, drop);
            assert_eq!(queue.refill(&mut free), if fill_len == 4 { 0 } else { 3 });
        }
    }

    #[test]
    fn frames_come_back_in_the_chunks_that_were_lent() {
        let (mut queue, mut nic, mut free) = queue(4);
        assert_eq!(queue.refill(&mut free), 4);
        assert_eq!((free.len(), queue.in_flight()), (0, 4));
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
        assert_eq!(queue.in_flight(), 2);
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
            taken.push(received.needs_slow_path() && received.is_nothing());
        });
        assert_eq!((taken, queue.bad_descriptors()), (vec![true; 3], 3));
        assert_eq!(free.len() + queue.in_flight() as usize, 4);
    }
}
