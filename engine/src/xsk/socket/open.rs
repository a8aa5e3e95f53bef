//! Opens a socket: UMEM, rings, busy polling, bind.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::sockopt::{
    set_xdp_rx_ring_size, set_xdp_umem_completion_ring_size, set_xdp_umem_fill_ring_size,
    set_xdp_umem_reg,
};
use rustix::net::xdp::{SocketAddrXdp, SocketAddrXdpFlags, XdpUmemReg, XdpUmemRegFlags};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use super::Socket;
use super::rings::{map_ring, ring_layouts};
use super::settings::{BindMode, SocketError, SocketSettings};
use crate::sys::sockopt;
use crate::xsk::arrival::ArrivalTimes;
use crate::xsk::chunk::FreeList;
use crate::xsk::geometry::EXTRA_HEADROOM;
use crate::xsk::ring::{ConsumerRing, ProducerRing};
use crate::xsk::rx_queue::RxQueue;
use crate::xsk::umem::Umem;

/// Time for which binding to a busy queue is retried: the kernel releases a queue some time after
/// the exit of the process that had it, measured 6 to 28 ms. Shorter: restarts fail now and then;
/// longer: a queue that another process really uses is reported later.
const BUSY_RETRY: Duration = Duration::from_secs(2);
/// Time for which registering a UMEM above the limit on locked memory is retried: the kernel
/// unlocks the memory of a closed socket some time after its end, like the queue.
const LOCKED_RETRY: Duration = Duration::from_millis(250);
/// Pause between two attempts.
const BUSY_PAUSE: Duration = Duration::from_millis(5);

/// Entries of the completion ring. Nothing is sent, but the kernel does not bind a socket without
/// one ([`xsk_validate_queues`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c)).
const COMPLETION_LEN: u32 = 64;

/// Socket options that the libc crate does not name
/// ([`include/uapi/asm-generic/socket.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/asm-generic/socket.h)).
const SO_PREFER_BUSY_POLL: i32 = 69;
const SO_BUSY_POLL_BUDGET: i32 = 70;

impl Socket {
    /// Opens and binds a socket whose frames go into `umem`, and fills its fill ring from `free`,
    /// in this order: socket, UMEM, ring sizes, ring mappings, fill ring, busy polling, bind. The
    /// fill ring comes before the bind because zero-copy drivers take their first chunks while they
    /// bind.
    ///
    /// The socket gets no frame before it is put into the XDP program's map.
    ///
    /// Needs `CAP_NET_RAW`
    /// ([`xsk_create`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c)).
    ///
    /// # Errors
    ///
    /// [`SocketError`]; the chunks of `umem` are of no more use then.
    pub(crate) fn open(
        umem: &Arc<Umem>,
        free: &mut FreeList,
        settings: &SocketSettings,
    ) -> Result<(Self, RxQueue), SocketError> {
        let (family, flags) = (AddressFamily::XDP, SocketFlags::CLOEXEC);
        let fd =
            socket_with(family, SocketType::RAW, flags, None).map_err(|errno| match errno {
                Errno::PERM | Errno::ACCESS => SocketError::NotPermitted,
                _ => SocketError::Call {
                    queue: settings.queue,
                    call: "socket",
                    source: errno.into(),
                },
            })?;
        let mut queue = Self::rings(fd.as_fd(), umem, settings)?;
        queue.refill(free);
        Self::poll_busily(fd.as_fd(), settings)?;
        let has_segments = match Self::bind(fd.as_fd(), settings, SocketAddrXdpFlags::XDP_USE_SG) {
            Ok(()) => true,
            // Linux before 6.6 does not know the flag; a driver may do zero-copy of frames in one
            // chunk only.
            Err(
                error @ (SocketError::Unsupported { .. } | SocketError::Call { call: "bind", .. }),
            ) => {
                Self::bind(fd.as_fd(), settings, SocketAddrXdpFlags::empty())?;
                if let Some(mtu_max) = settings.needs_segments_above {
                    return Err(no_segments(error, settings, mtu_max));
                }
                false
            }
            Err(error) => return Err(error),
        };
        Ok((Self { fd, is_polled: settings.busy_poll.is_some(), has_segments }, queue))
    }

    /// Registers the UMEM and maps the two rings that the worker uses.
    fn rings(
        fd: BorrowedFd<'_>,
        umem: &Arc<Umem>,
        settings: &SocketSettings,
    ) -> Result<RxQueue, SocketError> {
        let &SocketSettings { queue, fill_len, rx_len, .. } = settings;
        let failed = |call| move |source| SocketError::Call { queue, call, source };
        let failed_with = |call| move |errno: Errno| failed(call)(errno.into());
        register(fd, umem, settings)?;
        set_xdp_umem_fill_ring_size(fd, fill_len).map_err(failed_with("XDP_UMEM_FILL_RING"))?;
        set_xdp_umem_completion_ring_size(fd, COMPLETION_LEN)
            .map_err(failed_with("XDP_UMEM_COMPLETION_RING"))?;
        set_xdp_rx_ring_size(fd, rx_len).map_err(failed_with("XDP_RX_RING"))?;
        let (fill_layout, rx_layout) = ring_layouts(fd).map_err(failed("XDP_MMAP_OFFSETS"))?;
        let fill_page = libc::XDP_UMEM_PGOFF_FILL_RING.cast_signed();
        let fill = map_ring::<u64>(fd, fill_layout, fill_len, fill_page).map_err(failed("mmap"))?;
        let rx = map_ring::<libc::xdp_desc>(fd, rx_layout, rx_len, libc::XDP_PGOFF_RX_RING)
            .map_err(failed("mmap"))?;
        let fill = ProducerRing::new(fill, fill_layout, fill_len);
        let rx = ConsumerRing::new(rx, rx_layout, rx_len);
        Ok(RxQueue::new(umem.clone(), fill, rx, ArrivalTimes::MONOTONIC))
    }

    fn poll_busily(fd: BorrowedFd<'_>, settings: &SocketSettings) -> Result<(), SocketError> {
        let Some((usecs, budget)) = settings.busy_poll else { return Ok(()) };
        for (name, call, value) in [
            (SO_PREFER_BUSY_POLL, "SO_PREFER_BUSY_POLL", 1),
            (libc::SO_BUSY_POLL, "SO_BUSY_POLL", usecs.cast_signed()),
            (SO_BUSY_POLL_BUDGET, "SO_BUSY_POLL_BUDGET", i32::from(budget)),
        ] {
            sockopt::set_int(fd, libc::SOL_SOCKET, name, value)
                .map_err(|source| SocketError::Call { queue: settings.queue, call, source })?;
        }
        Ok(())
    }

    fn bind(
        fd: BorrowedFd<'_>,
        settings: &SocketSettings,
        segments: SocketAddrXdpFlags,
    ) -> Result<(), SocketError> {
        let &SocketSettings { if_index, queue, mode, .. } = settings;
        let copy_flag = match mode {
            BindMode::ZeroCopy => SocketAddrXdpFlags::XDP_ZEROCOPY,
            BindMode::Copy => SocketAddrXdpFlags::XDP_COPY,
        };
        let flags = copy_flag | segments | SocketAddrXdpFlags::XDP_USE_NEED_WAKEUP;
        let address = SocketAddrXdp::new(flags, if_index, queue);
        let give_up = Instant::now() + BUSY_RETRY;
        loop {
            let Err(errno) = bind(fd, &address) else { return Ok(()) };
            let source = errno.into();
            match errno {
                Errno::BUSY if Instant::now() < give_up => thread::sleep(BUSY_PAUSE),
                Errno::BUSY if mode == BindMode::Copy => {
                    return Err(SocketError::Busy { queue });
                }
                // Drivers refuse zero-copy with EOPNOTSUPP, EINVAL, EPERM, EBUSY and others, each
                // for reasons of its own.
                Errno::OPNOTSUPP => {
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

/// Registers the UMEM at a socket.
///
/// The kernel pins the pages of the range and writes frames into it; it reads nothing else of this
/// process. rustix therefore has the call as a safe function, and what it hands over is proven
/// here:
///
/// - The range is that of the UMEM's mapping ([`Umem::region`]). It stays mapped as long as the
///   [`RxQueue`] of the socket lives, which keeps the UMEM; should it be unmapped before, the
///   kernel goes on writing to the pages that it has pinned, which this process does not see any
///   more.
/// - The kernel writes only to chunks whose addresses are in the fill ring. [`RxQueue::refill`]
///   alone puts them in: those of free chunks, in which no code of this process holds a reference.
fn register(fd: BorrowedFd<'_>, umem: &Umem, settings: &SocketSettings) -> Result<(), SocketError> {
    let (addr, len) = umem.region();
    let chunk_size = umem.geometry().chunk_size();
    let give_up = Instant::now() + LOCKED_RETRY;
    loop {
        let region = XdpUmemReg {
            addr,
            len,
            chunk_size,
            headroom: EXTRA_HEADROOM,
            flags: XdpUmemRegFlags::empty(),
            tx_metadata_len: 0,
        };
        match set_xdp_umem_reg(fd, region) {
            Ok(()) => return Ok(()),
            Err(Errno::NOBUFS) if Instant::now() < give_up => thread::sleep(BUSY_PAUSE),
            Err(Errno::NOBUFS) => {
                return Err(SocketError::LockedMemory { needed_kib: len / 1024 });
            }
            Err(errno) => {
                let (queue, source) = (settings.queue, errno.into());
                return Err(SocketError::Call { queue, call: "XDP_UMEM_REG", source });
            }
        }
    }
}

/// Turns the error of a bind for frames in several chunks into [`SocketError::NoSegments`]: a bind
/// without has succeeded.
fn no_segments(error: SocketError, settings: &SocketSettings, mtu_max: u32) -> SocketError {
    let &SocketSettings { queue, mode, .. } = settings;
    match error {
        SocketError::Unsupported { source, .. } | SocketError::Call { source, .. } => {
            SocketError::NoSegments { queue, mode, mtu_max, source }
        }
        other => other,
    }
}
