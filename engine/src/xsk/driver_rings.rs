//! The driver's ends of a queue's rings, for the parts of this process that play the driver.

use std::io;
use std::sync::Arc;

use vxtap_ebpf::arrival::{AREA_LEN, Arrival};

use super::arrival::ArrivalTimes;
use super::chunk::DriverChunk;
use super::geometry::Geometry;
use super::ring::{ConsumerRing, Layout, ProducerRing, Slot};
use super::rx_queue::RxQueue;
use super::umem::Umem;
use crate::sys::mapping::Mapping;

/// Most chunks of a frame: 65 535 bytes with their headers in chunks of 2048 bytes, and one that is
/// part full.
pub(super) const SEGMENTS_MAX: usize = 40;

/// The consuming end of a fill ring and the producing end of an RX ring, in plain memory, with the
/// UMEM that their addresses lead into.
#[derive(Debug)]
pub(crate) struct DriverRings {
    umem: Arc<Umem>,
    fill: ConsumerRing<u64>,
    rx: ProducerRing<libc::xdp_desc>,
}

impl DriverRings {
    /// Makes both rings; returns the driver's ends and the worker's. Ring lengths are powers of
    /// two.
    ///
    /// # Errors
    ///
    /// The errno of `mmap(2)` if there is no memory for the rings.
    pub(crate) fn new(umem: Arc<Umem>, fill_len: u32, rx_len: u32) -> io::Result<(Self, RxQueue)> {
        let (fill, driver_fill) = ring(fill_len)?;
        let (driver_rx, rx) = ring(rx_len)?;
        let queue = RxQueue::new(umem.clone(), fill, rx, ArrivalTimes::CLEARED);
        Ok((Self { umem, fill: driver_fill, rx: driver_rx }, queue))
    }

    /// Returns size and number of the chunks.
    pub(crate) fn geometry(&self) -> Geometry {
        self.umem.geometry()
    }

    /// Returns the number of descriptors for which the RX ring has room, at least `want` if it has
    /// it.
    #[inline]
    pub(crate) fn rx_room(&mut self, want: u32) -> u32 {
        self.rx.free(want)
    }

    /// Returns whether the fill ring has `count` chunks.
    pub(crate) fn has_chunks(&mut self, count: u32) -> bool {
        self.fill.has(count)
    }

    /// Takes up to `max` chunks from the fill ring; returns their number.
    #[inline]
    pub(crate) fn take_chunks(&mut self, max: u32, mut take: impl FnMut(DriverChunk)) -> u32 {
        let geometry = self.umem.geometry();
        self.fill.consume(max, |addr| take(DriverChunk::from_fill_ring(geometry.locate(addr).0)))
    }

    /// Takes a chunk from the fill ring.
    pub(crate) fn take_chunk(&mut self) -> Option<DriverChunk> {
        let mut taken = None;
        self.take_chunks(1, |chunk| taken = Some(chunk));
        taken
    }

    /// Returns all bytes of a chunk.
    ///
    /// # Panics
    ///
    /// If it is [`DriverChunk::NONE`].
    #[inline]
    pub(crate) fn bytes_mut<'a>(&'a self, chunk: &'a mut DriverChunk) -> &'a mut [u8] {
        self.umem.bytes_mut(chunk.inner_mut())
    }

    /// Writes `frame` into a chunk from byte `offset` on, and the arrival time in front of it: in
    /// nanoseconds of any clock, or that there is none.
    ///
    /// # Panics
    ///
    /// If the frame, or the arrival time, does not lie inside of the chunk.
    pub(crate) fn write(
        &self,
        chunk: &mut DriverChunk,
        offset: u32,
        frame: &[u8],
        arrival_ns: Option<u64>,
    ) {
        let offset = offset as usize;
        let bytes = self.bytes_mut(chunk);
        let arrival = arrival_ns.map_or([0; AREA_LEN], Arrival::bytes);
        bytes[offset - AREA_LEN..offset].copy_from_slice(&arrival);
        bytes[offset..offset + frame.len()].copy_from_slice(frame);
    }

    /// Puts the descriptors of a frame into the RX ring, which has room for them; leaves an empty
    /// frame.
    pub(crate) fn submit(&mut self, frame: &mut DriverFrame) {
        let len = std::mem::take(&mut frame.len);
        let mut descriptors = frame.descriptors[..len].iter().copied();
        let submitted = self.rx.submit(u32_of(len), || descriptors.next());
        debug_assert_eq!(submitted as usize, len, "the ring has room");
    }

    /// Moves up to `max` chunks, in which frames lie already, from the fill ring to the RX ring;
    /// returns how many. `descriptors` has one for each chunk of the UMEM, by index.
    #[cfg(feature = "internals")]
    #[inline]
    pub(crate) fn replay(&mut self, max: u32, descriptors: &[libc::xdp_desc]) -> u32 {
        let Self { umem, fill, rx } = self;
        let room = rx.free(max).min(max);
        let mut chunks = [0; crate::config::BATCH_MAX as usize];
        let mut slots = chunks.iter_mut();
        let count = fill.consume(room.min(crate::config::BATCH_MAX), |chunk| {
            if let Some(slot) = slots.next() {
                *slot = chunk;
            }
        });
        let mut chunks = chunks.iter();
        rx.submit(count, || {
            let (index, _) = umem.geometry().locate(*chunks.next()?);
            descriptors.get(index as usize).copied()
        })
    }

    /// Puts a descriptor of the test's choice into the RX ring.
    #[cfg(test)]
    pub(super) fn submit_raw(&mut self, addr: u64, len: u32, options: u32) {
        let mut descriptor = Some(libc::xdp_desc { addr, len, options });
        self.rx.submit(1, || descriptor.take());
    }
}

/// The descriptors of a frame in one chunk or several, to be put into the RX ring together.
#[derive(Debug)]
pub(crate) struct DriverFrame {
    descriptors: [libc::xdp_desc; SEGMENTS_MAX],
    len: usize,
}

impl DriverFrame {
    /// A frame without bytes.
    pub(crate) const EMPTY: Self = Self {
        descriptors: [libc::xdp_desc { addr: 0, len: 0, options: 0 }; SEGMENTS_MAX],
        len: 0,
    };

    /// Adds the `len` bytes from `offset` on of a chunk of `geometry`.
    ///
    /// # Panics
    ///
    /// If the frame has 40 segments already.
    pub(crate) fn push(&mut self, geometry: Geometry, chunk: DriverChunk, offset: u32, len: u32) {
        self.descriptors[self.len] = descriptor(geometry, chunk, offset, len);
        if let Some(previous) = self.len.checked_sub(1) {
            self.descriptors[previous].options = libc::XDP_PKT_CONTD;
        }
        self.len += 1;
    }
}

/// Turns a chunk into the descriptor of the `len` bytes from `offset` on in it.
fn descriptor(geometry: Geometry, chunk: DriverChunk, offset: u32, len: u32) -> libc::xdp_desc {
    let index = chunk.into_index();
    let addr = geometry.start(index) + u64::from(offset);
    debug_assert_eq!(geometry.chunk_of(addr, len), Some(index), "the bytes lie in the chunk");
    libc::xdp_desc { addr, len, options: 0 }
}

fn u32_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Makes a ring of `len` slots in memory of its own; returns both ends.
fn ring<T: Slot>(len: u32) -> io::Result<(ProducerRing<T>, ConsumerRing<T>)> {
    let mapping = Arc::new(Mapping::anonymous(Layout::PLAIN.bytes::<T>(len))?);
    Ok((
        ProducerRing::new(mapping.clone(), Layout::PLAIN, len),
        ConsumerRing::new(mapping, Layout::PLAIN, len),
    ))
}
