//! The AF_XDP socket of one NIC queue: set-up (`open`), wake-ups, statistics.

mod open;
mod rings;
mod settings;

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::sockopt::{socket_error, xdp_statistics};
use rustix::net::{RecvFlags, recv};

use super::rx_backend::{KernelCounters, RxBackend};
use crate::sys::clock::monotonic_minus_utc_ns;
use crate::sys::wait_for;
pub(crate) use settings::SocketSettings;
pub use settings::{BindMode, SocketError};

/// An AF_XDP socket bound to a queue, without transmit side.
#[derive(Debug)]
pub(crate) struct Socket {
    fd: OwnedFd,
    is_polled: bool,
    has_segments: bool,
}

impl Socket {
    /// Returns whether frames may come in several chunks (`XDP_USE_SG`).
    pub(crate) const fn has_segments(&self) -> bool {
        self.has_segments
    }

    /// Returns the error of a wake-up if it is final. Drivers answer ENXIO or EINVAL while they
    /// have no program or are being set up anew, which passes; the socket of an interface that was
    /// deleted has an error pending
    /// ([`xsk_notifier`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c)).
    #[cold]
    fn check_wakeup_error(&self, error: io::Error) -> io::Result<()> {
        let pending = socket_error(&self.fd)?;
        match error.raw_os_error() {
            _ if pending == Err(Errno::NETDOWN) => {
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
        let mut entries = [PollFd::new(&self.fd, PollFlags::IN)];
        wait_for(&mut entries, timeout).or_else(passing)
    }

    fn wake(&mut self) -> io::Result<()> {
        let mut nothing = [0_u8; 0];
        match recv(&self.fd, &mut nothing, RecvFlags::DONTWAIT) {
            Err(errno) => passing(errno.into()).or_else(|error| self.check_wakeup_error(error)),
            Ok(_) => Ok(()),
        }
    }

    fn check(&mut self) -> io::Result<()> {
        self.wake()
    }

    fn is_polled(&self) -> bool {
        self.is_polled
    }

    fn is_finished(&self) -> bool {
        false
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        let statistics = xdp_statistics(&self.fd)?;
        Ok(KernelCounters {
            rx_dropped: statistics.rx_dropped,
            rx_invalid_descs: statistics.rx_invalid_descs,
            rx_ring_full: statistics.rx_ring_full.unwrap_or(0),
            rx_fill_ring_empty_descs: statistics.rx_fill_ring_empty_descs.unwrap_or(0),
        })
    }

    fn arrival_minus_utc_ns(&self) -> i64 {
        monotonic_minus_utc_ns()
    }
}

/// Ignores errors that pass: interrupted, nothing to do, link down for the moment.
#[cold]
fn passing(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::EINTR | libc::EAGAIN | libc::EBUSY | libc::ENOBUFS | libc::ENETDOWN) => Ok(()),
        _ => Err(error),
    }
}
