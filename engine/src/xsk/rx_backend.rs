//! Calls that a worker makes to the kernel, or to code that plays its part, besides the rings.

use std::io;
use std::time::Duration;

/// The kernel's counters of an AF_XDP socket: `struct xdp_statistics` of
/// [`include/uapi/linux/if_xdp.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/if_xdp.h),
/// without its transmit side. In frames (descriptors for the second) since the socket was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KernelCounters {
    /// Dropped for want of an empty chunk, or because they do not fit into one.
    pub rx_dropped: u64,
    /// As the kernel reports it. It counts refused entries of the fill ring elsewhere, so that this
    /// stays 0.
    pub rx_invalid_descs: u64,
    /// Dropped because the RX ring was full.
    pub rx_ring_full: u64,
    /// Times that the kernel found the fill ring empty. A sign of stress, not a loss of its own:
    /// lost frames are in [`Self::rx_dropped`], and zero-copy drivers count here without losing
    /// any.
    pub rx_fill_ring_empty_descs: u64,
}

/// The source of an [`super::RxQueue`]'s frames: an AF_XDP socket, or code that plays its part,
/// which needs none of the methods that have a default.
pub(crate) trait RxBackend: Send {
    /// Returns when there may be frames, or after `timeout` (0: at once). Wakes the driver if it
    /// asked for that.
    ///
    /// # Errors
    ///
    /// The error of the system call, if the queue is of no more use.
    fn wait(&mut self, timeout: Duration) -> io::Result<()>;

    /// Wakes the driver: it reads the fill ring and, where it is polled from here, receives frames.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    fn wake(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Checks that the queue is still of use; called now and then.
    ///
    /// # Errors
    ///
    /// The reason if it is not.
    fn check(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Returns whether frames come only while [`Self::wake`] runs (busy polling), so that it is to
    /// be called whenever there are none.
    fn is_polled(&self) -> bool {
        false
    }

    /// Returns whether no frame will come any more.
    fn is_finished(&self) -> bool;

    /// Receives what has arrived before the end, for a source whose frames do not come by
    /// themselves; returns whether there may be more. Called until there is not.
    ///
    /// # Errors
    ///
    /// As for [`Self::wait`].
    fn drain(&mut self) -> io::Result<bool> {
        Ok(false)
    }

    /// Returns the kernel's counters.
    ///
    /// # Errors
    ///
    /// The error of the system call.
    fn counters(&mut self) -> io::Result<KernelCounters>;

    /// Returns the nanoseconds by which the clock of the arrival times is ahead of UTC.
    fn arrival_minus_utc_ns(&self) -> i64 {
        0
    }
}

impl<K: RxBackend + ?Sized> RxBackend for Box<K> {
    fn wait(&mut self, timeout: Duration) -> io::Result<()> {
        (**self).wait(timeout)
    }

    fn wake(&mut self) -> io::Result<()> {
        (**self).wake()
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
