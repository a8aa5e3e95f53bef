//! Capture mode `socket`, the last in the fallback order: UDP sockets of the kernel stack instead
//! of AF_XDP, for processes that may not or cannot use it.
//!
//! The payload of a datagram lands in a chunk as it would from a NIC, or in several if it is long.
//! In front of it there is room for the headers that the stack has removed; they are made again
//! from the addresses that it tells, so that the later stages see the frame that they would see
//! from a NIC.
//!
//! ```text
//!   chunk:  | free, 272 bytes | (20) arrival time, 16 | Ethernet, IP, UDP, 42 or 62 | payload ...      |
//!           0                                                                       334
//!   next:   | free, 272 bytes | payload goes on ...                                                    |
//! ```
//!
//! The stack puts fragments together, checks checksums and takes VLAN tags off before; datagrams
//! that were merged (GRO) it takes apart again, because the sockets do not ask for the whole
//! ([`udp_queue_rcv_skb`](https://github.com/torvalds/linux/blob/v6.12/net/ipv4/udp.c)).

mod counts;
mod headers;
mod slots;
mod socket;

use std::array;
use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use rustix::event::{PollFd, PollFlags};
use vxtap_ebpf::maps::PORTS_MAX;

use crate::sys::recvmmsg::BATCH;
use crate::sys::wait_for;
use crate::xsk::{
    DriverChunk, DriverFrame, DriverRings, HEADROOM, KernelCounters, RxBackend, RxQueue, Umem,
};
pub(crate) use counts::{UdpCounts, UdpStats};
use headers::{HEADERS_MAX, SyntheticHeaders};
use slots::{SEGMENTS_MAX, Slots};
use socket::PortSocket;
pub use socket::UdpError;
pub(crate) use socket::UdpSettings;

/// Offset of the payload in a frame's first chunk.
const PAYLOAD: u32 = HEADROOM + HEADERS_MAX;
/// Longest time for which the sockets are emptied at the end, if more arrives all the time.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// The UDP sockets of a worker, one for each port. Plays the driver's part of a queue's rings.
#[derive(Debug)]
pub(crate) struct UdpSource {
    rings: DriverRings,
    sockets: Vec<PortSocket>,
    allowed: Vec<IpNet>,
    /// Chunks from the fill ring that are not in use.
    stock: Vec<DriverChunk>,
    /// Chunks that each datagram is given beforehand.
    segments: usize,
    slots: Slots,
    counts: UdpCounts,
    /// Datagrams that were longer than the chunks and the room that there were.
    without_room: u64,
    stats: Arc<UdpStats>,
    /// Time at which the last emptying of the sockets began.
    draining_since: Option<Instant>,
}

impl UdpSource {
    /// Opens a socket for each port. Returns also the queue at which the frames come out, and the
    /// size of the receive buffers that the system grants, in bytes.
    ///
    /// # Errors
    ///
    /// [`UdpError`].
    pub(crate) fn open(
        umem: Arc<Umem>,
        settings: &UdpSettings<'_>,
        (fill_len, rx_len): (u32, u32),
        stats: Arc<UdpStats>,
    ) -> Result<(Self, RxQueue, u32), UdpError> {
        let frame_max = umem.geometry().frame_max() as usize;
        let (rings, queue) = DriverRings::new(umem, fill_len, rx_len)
            .map_err(|source| UdpError::Call { port: 0, call: "mmap", source })?;
        let mut sockets = Vec::new();
        let mut buffer = u32::MAX;
        for &port in settings.ports {
            let (socket, granted) = PortSocket::open(port, settings)?;
            buffer = buffer.min(granted);
            sockets.push(socket);
        }
        let segments = (settings.frame_len_max + HEADERS_MAX as usize)
            .div_ceil(frame_max)
            .clamp(1, SEGMENTS_MAX);
        let source = Self {
            rings,
            sockets,
            allowed: settings.allowed_sources.to_vec(),
            stock: Vec::with_capacity(BATCH * SEGMENTS_MAX),
            segments,
            slots: Slots::new(),
            counts: UdpCounts::default(),
            without_room: 0,
            stats,
            draining_since: None,
        };
        Ok((source, queue, buffer))
    }

    /// Receives what waits at the sockets, a batch from each; returns the number of datagrams.
    fn receive_all(&mut self) -> io::Result<usize> {
        let mut count = 0;
        for index in 0..self.sockets.len() {
            count += self.receive(index)?;
        }
        Ok(count)
    }

    /// Receives a batch from one socket.
    fn receive(&mut self, index: usize) -> io::Result<usize> {
        let most = self.room();
        if most == 0 {
            return Ok(0);
        }
        let Self { rings, sockets, stock, slots, segments, .. } = self;
        let chunks = &mut stock[..most * *segments];
        let received = slots.receive(sockets[index].as_fd(), rings, chunks, *segments);
        let count = match received {
            Ok(count) => count,
            Err(error) if is_nothing(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        (0..count).for_each(|nth| self.deliver(index, nth, count));
        self.stock.retain(|chunk| !chunk.is_taken());
        Ok(count)
    }

    /// Returns the number of datagrams for which there are chunks and room in the RX ring.
    fn room(&mut self) -> usize {
        let Self { rings, stock, segments, .. } = self;
        let want = (BATCH * *segments).saturating_sub(stock.len());
        rings.take_chunks(u32_of(want), |chunk| stock.push(chunk));
        let room = rings.rx_room(u32_of(BATCH * *segments)) as usize;
        BATCH.min(stock.len() / *segments).min(room / *segments)
    }

    /// Puts the `nth` of `count` datagrams into the RX ring, with those of its chunks that it
    /// fills.
    fn deliver(&mut self, index: usize, nth: usize, count: usize) {
        let datagram = self.slots.datagram(nth);
        let Some((source, source_port)) = datagram.from else {
            self.counts.malformed += 1;
            return;
        };
        if !self.allowed.is_empty() && !self.allowed.iter().any(|prefix| prefix.contains(&source)) {
            self.counts.source_not_allowed += 1;
            return;
        }
        self.counts.redirected += 1;
        let frame_max = self.rings.geometry().frame_max() as usize;
        let beforehand = frame_max * self.segments - HEADERS_MAX as usize;
        let overflow = datagram.len.saturating_sub(beforehand);
        let pieces = overflow.div_ceil(frame_max);
        if overflow > 0 && !self.has_room_for(pieces, nth, count) {
            self.without_room += 1;
            return;
        }
        let ports = (source_port, self.sockets[index].port());
        let headers = SyntheticHeaders::new(source, datagram.to, ports, datagram.len);
        let headers_len = u32_of(headers.bytes().len());
        let Self { rings, stock, segments, .. } = self;
        let geometry = rings.geometry();
        let mut frame = DriverFrame::EMPTY;
        let mut left = datagram.len;
        let chunks = &mut stock[nth * *segments..(nth + 1) * *segments];
        for (segment, chunk) in chunks.iter_mut().enumerate() {
            let offset = if segment == 0 { PAYLOAD } else { HEADROOM };
            let here = left.min((geometry.chunk_size() - offset) as usize);
            let mut chunk = chunk.take();
            if segment == 0 {
                let start = PAYLOAD - headers_len;
                rings.write(&mut chunk, start, headers.bytes(), datagram.time_ns);
                frame.push(geometry, chunk, start, headers_len + u32_of(here));
            } else {
                frame.push(geometry, chunk, offset, u32_of(here));
            }
            left -= here;
            if left == 0 {
                break;
            }
        }
        if left > 0 {
            self.push_overflow(&mut frame, nth, left, count);
        }
        self.rings.submit(&mut frame);
    }

    /// Returns whether there are `pieces` further chunks for the `nth` of `count` datagrams: chunks
    /// that this batch did not need, or chunks of the fill ring; and room in the RX ring for them,
    /// for this datagram and for those behind it.
    #[cold]
    fn has_room_for(&mut self, pieces: usize, nth: usize, count: usize) -> bool {
        let Self { rings, stock, segments, .. } = self;
        let room = u32_of(pieces + (count - nth) * *segments);
        let spare = stock[count * *segments..].iter().filter(|chunk| !chunk.is_taken()).count();
        let more = u32_of(pieces.saturating_sub(spare));
        rings.rx_room(room) >= room && (more == 0 || rings.has_chunks(more))
    }

    /// Copies what a datagram is longer than its chunks into further ones, which there are.
    #[cold]
    fn push_overflow(&mut self, frame: &mut DriverFrame, nth: usize, len: usize, count: usize) {
        let Self { rings, stock, segments, slots, .. } = self;
        let geometry = rings.geometry();
        let spare = stock[count * *segments..].iter_mut();
        let mut spare = spare.filter(|chunk| !chunk.is_taken());
        for piece in slots.overflow(nth, len).chunks(geometry.frame_max() as usize) {
            let spare = spare.next().map(DriverChunk::take);
            let Some(mut chunk) = spare.or_else(|| rings.take_chunk()) else { break };
            rings.write(&mut chunk, HEADROOM, piece, None);
            frame.push(geometry, chunk, HEADROOM, u32_of(piece.len()));
        }
    }
}

fn u32_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns whether an error means that there is nothing to receive now.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EINTR | libc::ENETDOWN | libc::ECONNREFUSED)
    )
}

impl RxBackend for UdpSource {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        if self.receive_all()? > 0 {
            return Ok(());
        }
        let Some(first) = self.sockets.first() else { return wait_for(&mut [], timeout) };
        let entry = |socket| PollFd::new(socket, PollFlags::IN);
        let mut entries: [_; PORTS_MAX as usize] = array::from_fn(|_| entry(first));
        for (slot, socket) in entries.iter_mut().zip(&self.sockets) {
            *slot = entry(socket);
        }
        match wait_for(&mut entries[..self.sockets.len()], timeout) {
            Err(error) if is_nothing(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.receive_all().map(drop),
        }
    }

    fn wake(&mut self) -> io::Result<()> {
        self.receive_all().map(drop)
    }

    fn is_polled(&self) -> bool {
        true
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn drain(&mut self) -> io::Result<bool> {
        let since = *self.draining_since.get_or_insert_with(Instant::now);
        Ok(self.receive_all()? > 0 && since.elapsed() < DRAIN_MAX)
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        let mut rx_dropped = 0;
        for socket in &mut self.sockets {
            rx_dropped += socket.dropped()?;
        }
        let redirected = self.counts.redirected + rx_dropped;
        self.stats.store(UdpCounts { redirected, ..self.counts });
        let rx_ring_full = self.without_room;
        Ok(KernelCounters { rx_dropped, rx_ring_full, ..KernelCounters::default() })
    }
}
