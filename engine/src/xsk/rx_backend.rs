//! What a worker asks of the kernel besides the rings.

use std::io;
use std::time::Duration;

/// What the kernel counts for an AF_XDP socket: `struct xdp_statistics` of
/// `include/uapi/linux/if_xdp.h`, without its transmit side. In frames (descriptors for the second)
/// since the socket was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Dropped for want of an empty chunk, or because they do not fit into one.
    pub rx_dropped: u64,
    /// As the kernel reports it. It counts refused entries of the fill ring elsewhere, so that this
    /// stays 0.
    pub rx_invalid_descs: u64,
    /// Dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// How often the kernel found the fill ring empty. A sign of stress, not a loss of its own:
    /// what was lost is in [`Self::rx_dropped`], and zero-copy drivers count here without losing
    /// anything.
    pub rx_fill_ring_empty_descs: u64,
}

/// The far side of an [`super::RxQueue`]: an AF_XDP socket, or something that plays its part.
pub(crate) trait RxBackend: Send {
    /// Returns when there may be frames, or after `timeout` (0: at once). Wakes the driver if it
    /// asked for that.
    ///
    /// # Errors
    ///
    /// What the system call said, if the queue is of no more use.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Makes the driver look at the fill ring, and at the wire where it is polled from here; does
    /// not wait.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    fn drive(&mut self) -> io::Result<()>;

    /// Whether the queue is still of use; asked now and then.
    ///
    /// # Errors
    ///
    /// Why it is not.
    fn check(&mut self) -> io::Result<()>;

    /// Whether [`Self::drive`] is what brings frames in (busy polling), so that it is to be called
    /// whenever there are none.
    fn is_polled(&self) -> bool;

    /// Whether no frame will come any more.
    fn is_finished(&self) -> bool;

    /// Takes in what has arrived before the end, for who has to do so himself. Called until it says
    /// that nothing is left.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    fn drain(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// What the kernel has counted.
    ///
    /// # Errors
    ///
    /// What the system call said.
    fn counters(&mut self) -> io::Result<KernelCounters>;

    /// How far the clock of the arrival times is ahead of UTC, in nanoseconds.
    fn arrival_minus_utc_ns(&self) -> i64;
}

impl<K: RxBackend + ?Sized> RxBackend for Box<K> {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        (**self).wait(timeout)
    }

    fn drive(&mut self) -> io::Result<()> {
        (**self).drive()
    }

    fn check(&mut self) -> io::Result<()> {
        (**self).check()
    }

    fn is_polled(&self) -> bool {
        (**self).is_polled()
    }

    fn is_finished(&self) -> bool {
        (**self).is_finished()
    }

    fn drain(&mut self) -> io::Result<bool> {
        (**self).drain()
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        (**self).counters()
    }

    fn arrival_minus_utc_ns(&self) -> i64 {
        (**self).arrival_minus_utc_ns()
    }
}
