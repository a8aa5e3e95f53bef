//! The AF_XDP socket of one NIC queue: set-up, wake-ups, statistics.

mod rings;
mod settings;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::arrival::Stamps;
use super::chunk::FreeList;
use super::geometry::EXTRA_HEADROOM;
use super::ring::{ConsumerRing, ProducerRing};
use super::rx_backend::{KernelCounters, RxBackend};
use super::rx_queue::RxQueue;
use super::umem::Umem;
use crate::sys::clock::monotonic_minus_utc_ns;
use crate::sys::syscall;
use rings::{layout, map_ring, ring_offsets};
pub(crate) use settings::SocketSettings;
pub use settings::{BindMode, SocketError};

/// How long a queue that its last owner has just left may stay busy: the kernel releases it after
/// the owner's exit, measured 6 to 28 ms. Shorter: restarts fail now and then; longer: a queue that
/// somebody else really uses is reported later.
const BUSY_RETRY: Duration = Duration::from_secs(2);
/// How long the limit on locked memory may be exceeded: the kernel gives back what a closed socket
/// has locked some time after its end, like the queue.
const LOCKED_RETRY: Duration = Duration::from_millis(250);
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Entries of the completion ring. Nothing is sent, but the kernel does not bind a socket without
/// one (`net/xdp/xsk.c`, `xsk_validate_queues`).
const COMPLETION_LEN: u32 = 64;

/// Socket options that the libc crate does not name; `include/uapi/asm-generic/socket.h`.
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;

/// `AF_XDP` as `sockaddr_xdp` has it.
#[expect(clippy::cast_possible_truncation, reason = "44")]
const ADDRESS_FAMILY: u16 = libc::AF_XDP as u16;

/// An AF_XDP socket bound to a queue, without transmit side.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    is_polled: bool,
    has_segments: bool,
}

impl Socket {
    /// Opens and binds a socket whose frames go into `umem`, and fills its fill ring from `free`,
    /// in this order: socket, UMEM, ring sizes, ring mappings, fill ring, busy polling, bind. The
    /// fill ring comes before the bind because zero-copy drivers take their first chunks while they
    /// bind.
    ///
    /// The socket gets no frame before it is put into the XDP program's map.
    ///
    /// # Errors
    ///
    /// [`SocketError`]; the chunks of `umem` are of no more use then.
    pub(crate) fn open(
        umem: &Arc<Umem>,
        free: &mut FreeList,
        settings: &SocketSettings,
    ) -> Result<(Self, RxQueue), SocketError> {
        let fd = syscall::xdp_socket().map_err(|source| match source.raw_os_error() {
            Some(libc::EPERM | libc::EACCES) => SocketError::NotPermitted,
            _ => SocketError::Call { queue: settings.queue, call: "socket", source },
        })?;
        let mut queue = Self::rings(fd.as_fd(), umem, settings)?;
        queue.refill(free);
        Self::poll_busily(fd.as_fd(), settings)?;
        let has_segments = match Self::bind(fd.as_fd(), settings, libc::XDP_USE_SG) {
            Ok(()) => true,
            // Linux before 6.6 does not know the flag; a driver may do zero-copy of frames in one
            // chunk only.
            Err(
                error @ (SocketError::Unsupported { .. } | SocketError::Call { call: "bind", .. }),
            ) => {
                Self::bind(fd.as_fd(), settings, 0)?;
                if let Some(mtu_max) = settings.needs_segments_above {
                    return Err(no_segments(error, settings, mtu_max));
                }
                false
            }
            Err(error) => return Err(error),
        };
        Ok((Self { fd, is_polled: settings.busy_poll.is_some(), has_segments }, queue))
    }

    /// Whether frames may come in several chunks (`XDP_USE_SG`).
    pub(crate) const fn has_segments(&self) -> bool {
        self.has_segments
    }

    /// Registers the UMEM and maps the two rings that the worker uses.
    fn rings(
        fd: BorrowedFd<'_>,
        umem: &Arc<Umem>,
        settings: &SocketSettings,
    ) -> Result<RxQueue, SocketError> {
        let &SocketSettings { queue, fill_len, rx_len, .. } = settings;
        let failed = |call| move |source| SocketError::Call { queue, call, source };
        let (addr, len) = umem.region();
        let chunk_size = umem.geometry().chunk_size();
        let region = libc::xdp_umem_reg {
            addr,
            len,
            chunk_size,
            headroom: EXTRA_HEADROOM,
            flags: 0,
            tx_metadata_len: 0,
        };
        let give_up = Instant::now() + LOCKED_RETRY;
        while let Err(source) = syscall::set_option(fd, libc::SOL_XDP, libc::XDP_UMEM_REG, &region)
        {
            match source.raw_os_error() {
                Some(libc::ENOBUFS) if Instant::now() < give_up => thread::sleep(BUSY_PAUSE),
                Some(libc::ENOBUFS) => {
                    return Err(SocketError::LockedMemory { needed_kib: len / 1024 });
                }
                _ => return Err(failed("XDP_UMEM_REG")(source)),
            }
        }
        for (name, call, len) in [
            (libc::XDP_UMEM_FILL_RING, "XDP_UMEM_FILL_RING", fill_len),
            (libc::XDP_UMEM_COMPLETION_RING, "XDP_UMEM_COMPLETION_RING", COMPLETION_LEN),
            (libc::XDP_RX_RING, "XDP_RX_RING", rx_len),
        ] {
            syscall::set_option(fd, libc::SOL_XDP, name, &len).map_err(failed(call))?;
        }
        let offsets = ring_offsets(fd).map_err(failed("XDP_MMAP_OFFSETS"))?;
        let fill_page = libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed();
        let fill = map_ring::<u64>(fd, offsets.fr, fill_len, fill_page).map_err(failed("mmap"))?;
        let rx = map_ring::<libc::xdp_desc>(fd, offsets.rx, rx_len, libc::XDP_PGOFF_RX_RING)
            .map_err(failed("mmap"))?;
        let fill = ProducerRing::new(fill, layout(offsets.fr), fill_len);
        let rx = ConsumerRing::new(rx, layout(offsets.rx), rx_len);
        Ok(RxQueue::new(umem.clone(), fill, rx, Stamps::MONOTONIC))
    }

    fn poll_busily(fd: BorrowedFd<'_>, settings: &SocketSettings) -> Result<(), SocketError> {
        let Some((usecs, budget)) = settings.busy_poll else { return Ok(()) };
        for (name, call, value) in [
            (SO_PREFER_BUSY_POLL, "SO_PREFER_BUSY_POLL", 1),
            (libc::SO_BUSY_POLL, "SO_BUSY_POLL", usecs),
            (SO_BUSY_POLL_BUDGET, "SO_BUSY_POLL_BUDGET", u32::from(budget)),
        ] {
            syscall::set_option(fd, libc::SOL_SOCKET, name, &value)
                .map_err(|source| SocketError::Call { queue: settings.queue, call, source })?;
        }
        Ok(())
    }

    fn bind(
        fd: BorrowedFd<'_>,
        settings: &SocketSettings,
        segments: u16,
    ) -> Result<(), SocketError> {
        let &SocketSettings { if_index, queue, mode, .. } = settings;
        let copy_flag =
            if mode == BindMode::ZeroCopy { libc::XDP_ZEROCOPY } else { libc::XDP_COPY };
        let address = libc::sockaddr_xdp {
            sxdp_family: ADDRESS_FAMILY,
            sxdp_flags: copy_flag | segments | libc::XDP_USE_NEED_WAKEUP,
            sxdp_ifindex: if_index,
            sxdp_queue_id: queue,
            sxdp_shared_umem_fd: 0,
        };
        let give_up = Instant::now() + BUSY_RETRY;
        loop {
            let Err(source) = syscall::bind(fd, &address) else { return Ok(()) };
            match source.raw_os_error() {
                Some(libc::EBUSY) if Instant::now() < give_up => thread::sleep(BUSY_PAUSE),
                Some(libc::EBUSY) if mode == BindMode::Copy => {
                    return Err(SocketError::Busy { queue });
                }
                // Drivers refuse zero-copy with EOPNOTSUPP, EINVAL, EPERM, EBUSY and others, each
                // for reasons of its own.
                Some(libc::EOPNOTSUPP) => {
                    return Err(SocketError::Unsupported { queue, mode, source });
                }
                _ if mode == BindMode::ZeroCopy => {
                    return Err(SocketError::Unsupported { queue, mode, source });
                }
                _ => return Err(SocketError::Call { queue, call: "bind", source }),
            }
        }
    }
}

/// The same refusal, of which frames in several chunks are the reason: without them the socket can
/// be bound.
fn no_segments(error: SocketError, settings: &SocketSettings, mtu_max: u32) -> SocketError {
    let &SocketSettings { queue, mode, .. } = settings;
    match error {
        SocketError::Unsupported { source, .. } | SocketError::Call { source, .. } => {
            SocketError::NoSegments { queue, mode, mtu_max, source }
        }
        other => other,
    }
}

impl Socket {
    /// Whether an error of a wake-up means the end. Drivers answer ENXIO or EINVAL while they have
    /// no program or are being set up anew, which passes; the socket of an interface that was
    /// deleted has an error pending (`net/xdp/xsk.c`, `xsk_notifier`).
    #[cold]
    fn judge(&self, error: io::Error) -> io::Result<()> {
        let mut pending = 0_i32;
        syscall::get_option(self.fd.as_fd(), libc::SOL_SOCKET, libc::SO_ERROR, &mut pending)?;
        match error.raw_os_error() {
            _ if pending == libc::ENETDOWN => {
                Err(io::Error::new(io::ErrorKind::NotConnected, "its interface was deleted"))
            }
            Some(libc::ENXIO | libc::EINVAL) => Ok(()),
            _ => Err(error),
        }
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

impl RxBackend for Socket {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        let timeout_ms = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
        syscall::poll_readable(self.fd.as_fd(), timeout_ms).map(drop).or_else(passing)
    }

    fn drive(&mut self) -> io::Result<()> {
        match syscall::drive_rx(self.fd.as_fd()) {
            Err(error) => passing(error).or_else(|error| self.judge(error)),
            Ok(()) => Ok(()),
        }
    }

    fn check(&mut self) -> io::Result<()> {
        self.drive()
    }

    fn is_polled(&self) -> bool {
        self.is_polled
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        let mut statistics = libc::xdp_statistics {
            rx_dropped: 0,
            rx_invalid_descs: 0,
            tx_invalid_descs: 0,
            rx_ring_full: 0,
            rx_fill_ring_empty_descs: 0,
            tx_ring_empty_descs: 0,
        };
        syscall::get_option(self.fd.as_fd(), libc::SOL_XDP, libc::XDP_STATISTICS, &mut statistics)?;
        Ok(KernelCounters {
            rx_dropped: statistics.rx_dropped,
            rx_invalid_descs: statistics.rx_invalid_descs,
            rx_ring_full: statistics.rx_ring_full,
            rx_fill_ring_empty_descs: statistics.rx_fill_ring_empty_descs,
        })
    }

    fn arrival_minus_utc_ns(&self) -> i64 {
        monotonic_minus_utc_ns()
    }
}

/// Errors that say "not now": interrupted, nothing to do, link down for the moment.
#[cold]
fn passing(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENETDOWN) => Ok(()),
        _ => Err(error),
    }
}
