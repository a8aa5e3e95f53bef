//! A NIC in plain memory: it plays the driver's part of an AF_XDP socket.
//!
//! Frames of capture files come through it, so that they take the same way as frames from a NIC,
//! and the whole worker can be tested without privileges.

use std::io;
use std::sync::Arc;

use super::driver_rings::{DriverFrame, DriverRings, SEGMENTS_MAX};
use super::geometry::HEADROOM;
use super::rx_queue::RxQueue;
use super::umem::Umem;

/// Reason for which a frame was not delivered. Names and the order of the checks are those of
/// [`net/xdp/xsk.c`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c).
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Undelivered {
    /// Longer than 40 chunks hold.
    #[error("a frame of {len} bytes is longer than the {max} that 40 chunks hold")]
    TooLong {
        /// Bytes of the frame.
        len: usize,
        /// Bytes that fit.
        max: usize,
    },
    /// The RX ring is full.
    #[error("the RX ring is full")]
    RxRingFull,
    /// The fill ring is empty.
    #[error("the fill ring is empty")]
    FillRingEmpty,
}

/// A NIC that delivers frames one by one.
#[derive(Debug)]
pub(crate) struct SoftNic {
    rings: DriverRings,
}

impl SoftNic {
    /// Makes a NIC that delivers into `umem`; returns it and the queue at which its frames come
    /// out. Ring lengths are powers of two.
    ///
    /// # Errors
    ///
    /// If there is no memory for the rings.
    pub(crate) fn new(umem: Arc<Umem>, fill_len: u32, rx_len: u32) -> io::Result<(Self, RxQueue)> {
        let (rings, queue) = DriverRings::new(umem, fill_len, rx_len)?;
        Ok((Self { rings }, queue))
    }

    /// Returns whether the next frame would be delivered if it has up to `len` bytes.
    pub(crate) fn has_room_for_len(&mut self, len: u32) -> bool {
        self.has_room_for(len.div_ceil(self.rings.geometry().frame_max()))
    }

    /// Returns whether a frame in `count` chunks would be delivered.
    pub(crate) fn has_room_for(&mut self, count: u32) -> bool {
        self.rings.rx_room(count) >= count && self.rings.has_chunks(count)
    }

    /// Copies `frame` into the next chunks of the fill ring, behind the kernel's headroom, and puts
    /// their descriptors into the RX ring: one, unless the frame is longer than a chunk holds.
    /// `arrival_ns` is nanoseconds of any clock.
    ///
    /// # Errors
    ///
    /// [`Undelivered`]; no chunk is used up then.
    pub(crate) fn deliver(
        &mut self,
        frame: &[u8],
        arrival_ns: Option<u64>,
    ) -> Result<(), Undelivered> {
        let part_max = self.rings.geometry().frame_max() as usize;
        let count = frame.len().div_ceil(part_max).max(1);
        let count = u32::try_from(count).ok().filter(|&count| count as usize <= SEGMENTS_MAX);
        let max = part_max * SEGMENTS_MAX;
        let count = count.ok_or(Undelivered::TooLong { len: frame.len(), max })?;
        if self.rings.rx_room(count) < count {
            return Err(Undelivered::RxRingFull);
        }
        if !self.rings.has_chunks(count) {
            return Err(Undelivered::FillRingEmpty);
        }
        let mut whole = DriverFrame::EMPTY;
        let (first, rest) = frame.split_at(frame.len().min(part_max));
        self.add_part(&mut whole, first, arrival_ns)?;
        rest.chunks(part_max).try_for_each(|part| self.add_part(&mut whole, part, None))?;
        self.rings.submit(&mut whole);
        Ok(())
    }

    /// Copies a part of a frame into the next chunk of the fill ring.
    fn add_part(
        &mut self,
        whole: &mut DriverFrame,
        part: &[u8],
        arrival_ns: Option<u64>,
    ) -> Result<(), Undelivered> {
        let mut chunk = self.rings.take_chunk().ok_or(Undelivered::FillRingEmpty)?;
        self.rings.write(&mut chunk, HEADROOM, part, arrival_ns);
        let len = u32::try_from(part.len()).unwrap_or(u32::MAX);
        whole.push(self.rings.geometry(), chunk, HEADROOM, len);
        Ok(())
    }

    /// Delivers up to `max` frames that already lie in their chunks, times included: moves chunks
    /// from the fill ring to the RX ring. `descriptors` has one for each chunk. Returns how many.
    #[cfg(feature = "internals")]
    #[inline]
    pub(crate) fn replay(&mut self, max: u32, descriptors: &[libc::xdp_desc]) -> u32 {
        self.rings.replay(max, descriptors)
    }

    /// Puts a descriptor of the test's choice into the RX ring.
    #[cfg(test)]
    pub(crate) fn submit_raw(&mut self, addr: u64, len: u32) {
        self.rings.submit_raw(addr, len, 0);
    }

    /// Delivers a frame in several chunks, as the kernel does with `XDP_USE_SG`.
    #[cfg(test)]
    pub(crate) fn deliver_chain(&mut self, parts: &[&[u8]]) {
        if let [init @ .., last] = parts {
            self.deliver_parts(init, libc::XDP_PKT_CONTD);
            self.deliver_parts(&[last], 0);
        }
    }

    /// Delivers parts of a frame that goes on.
    #[cfg(test)]
    pub(crate) fn deliver_open_chain(&mut self, parts: &[&[u8]]) {
        self.deliver_parts(parts, libc::XDP_PKT_CONTD);
    }

    #[cfg(test)]
    fn deliver_parts(&mut self, parts: &[&[u8]], options: u32) {
        for part in parts {
            let mut chunk = self.rings.take_chunk().expect("the test has filled the ring");
            self.rings.write(&mut chunk, HEADROOM, part, None);
            let addr = self.rings.geometry().start(chunk.into_index()) + u64::from(HEADROOM);
            let len = u32::try_from(part.len()).expect("parts fit into chunks");
            self.rings.submit_raw(addr, len, options);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::geometry::Geometry;
    use super::super::rx_queue::RxFrame;
    use super::super::umem::Pages;
    use super::*;

    #[test]
    fn what_cannot_be_delivered_has_the_reason_that_the_kernel_would_count() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 4), Pages::Ordinary).unwrap();
        let (mut nic, mut queue) = SoftNic::new(Arc::new(umem), 4, 2).unwrap();
        assert_eq!(nic.deliver(&[0; 60], None), Err(Undelivered::FillRingEmpty));
        assert!(!nic.has_room_for_len(1776));
        queue.refill(&mut free);
        assert!(nic.has_room_for_len(2 * 1776) && !nic.has_room_for_len(2 * 1776 + 1));
        assert_eq!(
            nic.deliver(&vec![0; 40 * 1776 + 1], None),
            Err(Undelivered::TooLong { len: 40 * 1776 + 1, max: 40 * 1776 })
        );
        assert_eq!(nic.deliver(&[0; 2 * 1776 + 1], None), Err(Undelivered::RxRingFull));
        assert_eq!(nic.deliver(&[0; 1776], None), Ok(()));
        assert_eq!(nic.deliver(&[0; 1777], None), Err(Undelivered::RxRingFull));
        assert_eq!(nic.deliver(&[0; 60], None), Ok(()));
        assert_eq!(nic.deliver(&[0; 60], None), Err(Undelivered::RxRingFull));
    }

    #[test]
    fn a_frame_that_is_longer_than_a_chunk_lies_in_several() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 4), Pages::Ordinary).unwrap();
        let (mut nic, mut queue) = SoftNic::new(Arc::new(umem), 4, 4).unwrap();
        queue.refill(&mut free);
        let frame: Vec<u8> = (0..=u8::MAX).cycle().take(2 * 1776 + 5).collect();
        nic.deliver(&frame, Some(77)).unwrap();
        let (mut bytes, mut times) = (Vec::new(), Vec::new());
        for _ in 0..3 {
            let mut received = RxFrame::NOTHING;
            queue.receive(1, &mut free, |frame| received = frame);
            bytes.extend_from_slice(queue.frame(&received));
            times.push(queue.arrival_ns(&received));
            free.give(received.take_chunk());
        }
        assert_eq!((bytes, times), (frame, vec![Some(77), None, None]));
    }

    #[test]
    fn the_arrival_time_lies_in_front_of_the_frame_and_none_is_left_over() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 1), Pages::Ordinary).unwrap();
        let (mut nic, mut queue) = SoftNic::new(Arc::new(umem), 1, 1).unwrap();
        queue.refill(&mut free);
        let mut received = RxFrame::NOTHING;
        for (time, expected) in [(Some(77), Some(77)), (None, None)] {
            nic.deliver(b"frame", time).unwrap();
            queue.receive(1, &mut free, |frame| received = frame);
            assert_eq!(
                (queue.arrival_ns(&received), queue.frame(&received)),
                (expected, &b"frame"[..])
            );
            free.give(received.take_chunk());
            queue.refill(&mut free);
        }
    }
}
