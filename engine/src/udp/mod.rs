//! The lowest rung: UDP sockets of the kernel stack instead of AF_XDP, for who may not or cannot
//! use it.
//!
//! The payload of a datagram lands in a chunk as it would from a NIC, or in several if it is long.
//! In front of it there is room for the headers that the stack has taken off; they are made up
//! again from what it says about the datagram, so that everything behind this sees the frame that
//! it would see from a NIC.
//!
//! ```text
//!   chunk:  | free, 272 bytes | (20) arrival time, 16 | Ethernet, IP, UDP, 42 or 62 | payload ...      |
//!           0                                                                       334
//!   next:   | free, 272 bytes | payload goes on ...                                                    |
//! ```
//!
//! The stack puts fragments together, checks checksums and takes VLAN tags off before; what several
//! datagrams were merged into (GRO) it takes apart again, because the sockets do not ask for the
//! whole (`net/ipv4/udp.c`, `udp_queue_rcv_skb`).

mod chain;
mod counts;
mod headers;
mod message;
mod slots;
mod socket;

use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ipnet::IpNet;
use vxtap_ebpf::maps::PORTS_MAX;

use crate::sys::syscall;
use crate::xsk::HEADROOM;
use crate::xsk::RxQueue;
use crate::xsk::Stamps;
use crate::xsk::Umem;
use crate::xsk::soft_ring;
use crate::xsk::{ConsumerRing, ProducerRing};
use crate::xsk::{KernelCounters, RxBackend};
use chain::Chain;
pub(crate) use counts::{UdpCounts, UdpStats};
use headers::{HEADERS_MAX, Headers};
use slots::{BATCH, PARTS_MAX, Slots};
use socket::PortSocket;
pub use socket::UdpError;
pub(crate) use socket::UdpSettings;

/// Where the payload starts in a frame's first chunk.
const PAYLOAD: u32 = HEADROOM + HEADERS_MAX;
/// How long the sockets are emptied at the end, if more arrives all the time.
const DRAIN_MAX: Duration = Duration::from_millis(500);

/// The UDP sockets of a worker, one for each port. Plays the kernel's part of its rings.
#[derive(Debug)]
pub(crate) struct UdpSource {
    umem: Arc<Umem>,
    fill: ConsumerRing<u64>,
    rx: ProducerRing<libc::xdp_desc>,
    sockets: Vec<PortSocket>,
    allowed: Vec<IpNet>,
    /// Chunks from the fill ring that are not in use.
    stock: Vec<u64>,
    /// Chunks that each datagram is given beforehand.
    parts: usize,
    slots: Slots,
    counts: UdpCounts,
    board: Arc<UdpStats>,
    /// When the sockets began to be emptied for the last time.
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
        board: Arc<UdpStats>,
    ) -> Result<(Self, RxQueue, u32), UdpError> {
        let no_memory = |source| UdpError::Call { port: 0, call: "mmap", source };
        let (fill, far_fill) = soft_ring(fill_len).map_err(no_memory)?;
        let (far_rx, rx) = soft_ring(rx_len).map_err(no_memory)?;
        let mut sockets = Vec::new();
        let mut buffer = u32::MAX;
        for &port in settings.ports {
            let (socket, granted) = PortSocket::open(port, settings)?;
            buffer = buffer.min(granted);
            sockets.push(socket);
        }
        let frame_max = umem.geometry().frame_max() as usize;
        let parts =
            (settings.frame_len_max + HEADERS_MAX as usize).div_ceil(frame_max).clamp(1, PARTS_MAX);
        let queue = RxQueue::new(umem.clone(), fill, rx, Stamps::CLEARED);
        let source = Self {
            umem,
            fill: far_fill,
            rx: far_rx,
            sockets,
            allowed: settings.allowed_sources.to_vec(),
            stock: Vec::with_capacity(BATCH * PARTS_MAX),
            parts,
            slots: Slots::new(),
            counts: UdpCounts::default(),
            board,
            draining_since: None,
        };
        Ok((source, queue, buffer))
    }

    /// Takes in what waits at the sockets, a batch from each; returns the number of datagrams.
    fn take_in(&mut self) -> io::Result<usize> {
        let mut count = 0;
        for place in 0..self.sockets.len() {
            count += self.receive(place)?;
        }
        Ok(count)
    }

    /// Takes in a batch from one socket.
    fn receive(&mut self, place: usize) -> io::Result<usize> {
        let most = self.room();
        if most == 0 {
            return Ok(0);
        }
        let Self { umem, sockets, stock, slots, parts, .. } = self;
        // SAFETY: the chunks in stock came out of the fill ring, each once, and leave the stock
        // when they go into the RX ring.
        let received =
            unsafe { slots.receive(sockets[place].as_fd(), umem, &stock[..most * *parts], *parts) };
        let count = match received {
            Ok(count) => count,
            Err(error) if is_nothing(&error) => return Ok(0),
            Err(error) => return Err(error),
        };
        let mut used = [0_usize; BATCH];
        for (nth, used) in used.iter_mut().enumerate().take(count) {
            *used = self.deliver(place, nth, count);
        }
        let (mut nth, parts) = (0, self.parts);
        self.stock.retain(|_| {
            let (datagram, part) = (nth / parts, nth % parts);
            nth += 1;
            datagram >= count || part >= used[datagram]
        });
        Ok(count)
    }

    /// For how many datagrams there are chunks and room in the RX ring.
    fn room(&mut self) -> usize {
        let Self { stock, fill, rx, parts, .. } = self;
        let want = (BATCH * *parts).saturating_sub(stock.len());
        fill.consume(u32_of(want), |chunk| stock.push(chunk));
        let room = rx.free(u32_of(BATCH * *parts)) as usize;
        BATCH.min(stock.len() / *parts).min(room / *parts)
    }

    /// Hands the `nth` of `count` datagrams over; returns how many of its chunks are gone with it.
    fn deliver(&mut self, place: usize, nth: usize, count: usize) -> usize {
        let datagram = self.slots.datagram(nth);
        let Some((source, source_port)) = datagram.from else {
            self.counts.malformed += 1;
            return 0;
        };
        if !self.allowed.is_empty() && !self.allowed.iter().any(|prefix| prefix.contains(&source)) {
            self.counts.source_not_allowed += 1;
            return 0;
        }
        self.counts.redirected += 1;
        let ports = (source_port, self.sockets[place].port());
        let headers = Headers::new(source, datagram.to, ports, datagram.len);
        let first =
            self.stock[nth * self.parts] + u64::from(PAYLOAD) - headers.bytes().len() as u64;
        // SAFETY: the chunk came out of the fill ring and goes into the RX ring below.
        unsafe { self.umem.write_lent(first, headers.bytes(), datagram.time_ns) };
        let mut chain = Chain::starting_at(first, headers.bytes().len());
        let chunk_size = self.umem.geometry().chunk_size();
        let mut left = datagram.len;
        let mut used = 0;
        for (part, &chunk) in
            self.stock[nth * self.parts..(nth + 1) * self.parts].iter().enumerate()
        {
            let offset = if part == 0 { PAYLOAD } else { HEADROOM };
            let here = left.min((chunk_size - offset) as usize);
            chain.add(chunk + u64::from(offset), here);
            (left, used) = (left - here, used + 1);
            if left == 0 {
                break;
            }
        }
        self.add_overflow(&mut chain, nth, left, (count - nth) * self.parts);
        chain.submit(&mut self.rx);
        used
    }

    /// Copies what a datagram is longer than its chunks into further ones, as far as there are
    /// some. `reserved` is the room in the RX ring that this datagram and the ones behind it need.
    #[cold]
    fn add_overflow(&mut self, chain: &mut Chain, nth: usize, len: usize, reserved: usize) {
        let Self { umem, fill, rx, slots, .. } = self;
        let frame_max = umem.geometry().frame_max() as usize;
        let count = u32_of(len.div_ceil(frame_max));
        if count == 0
            || rx.free(count + u32_of(reserved)) < count + u32_of(reserved)
            || !fill.has(count)
        {
            return;
        }
        let mut pieces = slots.overflow(nth, len).chunks(frame_max);
        fill.consume(count, |chunk| {
            let piece = pieces.next().unwrap_or_default();
            let addr = chunk + u64::from(HEADROOM);
            // SAFETY: the chunk has just come out of the fill ring and goes into the RX ring with
            // the chain.
            unsafe { umem.write_lent(addr, piece, None) };
            chain.add(addr, piece.len());
        });
    }
}

fn u32_of(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Errors that say that there is nothing to receive now.
fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EAGAIN | libc::EINTR | libc::ENETDOWN | libc::ECONNREFUSED)
    )
}

impl RxBackend for UdpSource {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        if self.take_in()? > 0 {
            return Ok(());
        }
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        let mut entries =
            [libc::pollfd { fd: -1, events: libc::POLLIN, revents: 0 }; PORTS_MAX as usize];
        let entries = &mut entries[..self.sockets.len()];
        for (entry, socket) in entries.iter_mut().zip(&self.sockets) {
            entry.fd = socket.as_fd().as_raw_fd();
        }
        match syscall::poll_all(entries, timeout_ms) {
            Err(error) if is_nothing(&error) => Ok(()),
            Err(error) => Err(error),
            Ok(()) => self.take_in().map(drop),
        }
    }

    fn drive(&mut self) -> io::Result<()> {
        self.take_in().map(drop)
    }

    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    fn is_polled(&self) -> bool {
        true
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn drain(&mut self) -> io::Result<bool> {
        let since = *self.draining_since.get_or_insert_with(Instant::now);
        Ok(self.take_in()? > 0 && since.elapsed() < DRAIN_MAX)
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        let mut rx_dropped = 0;
        for socket in &mut self.sockets {
            rx_dropped += socket.dropped()?;
        }
        let redirected = self.counts.redirected + rx_dropped;
        self.board.post(UdpCounts { redirected, ..self.counts });
        Ok(KernelCounters { rx_dropped, ..KernelCounters::default() })
    }

    fn arrival_minus_utc_ns(&self) -> i64 {
        0
    }
}
