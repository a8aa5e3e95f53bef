//! Settings of a socket, and the errors of opening one.

use std::fmt;
use std::io;

/// Way of a frame from the driver into the UMEM.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BindMode {
    /// The NIC writes into the UMEM.
    ZeroCopy,
    /// The kernel copies.
    Copy,
}

impl fmt::Display for BindMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::ZeroCopy => "zero-copy",
            Self::Copy => "copy mode",
        })
    }
}

/// Settings that a socket is opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SocketSettings {
    /// Interface index.
    pub(crate) if_index: u32,
    /// RX queue of the interface.
    pub(crate) queue: u32,
    /// Forced; there is no silent fallback from one to the other.
    pub(crate) mode: BindMode,
    /// Set if frames of the interface may be longer than a chunk, so that a socket without segments
    /// is of no use: the largest MTU, in bytes, with which they are not.
    pub(crate) needs_segments_above: Option<u32>,
    /// Entries of the fill ring, a power of two.
    pub(crate) fill_len: u32,
    /// Entries of the RX ring, a power of two.
    pub(crate) rx_len: u32,
    /// Busy polling, if wanted: `SO_BUSY_POLL` in microseconds and `SO_BUSY_POLL_BUDGET` in frames.
    pub(crate) busy_poll: Option<(u32, u16)>,
}

/// Error of opening the socket of a queue.
#[derive(Debug, thiserror::Error)]
pub enum SocketError {
    /// The process may not open AF_XDP sockets.
    #[error("no permission to open an AF_XDP socket: run as root, or give the process CAP_NET_RAW")]
    NotPermitted,
    /// The UMEM is more than the process may lock.
    #[error(
        "too little locked memory for a UMEM of {needed_kib} KiB: raise RLIMIT_MEMLOCK (`ulimit -l`, LimitMEMLOCK=) \
         or lower memory.per_queue_mib"
    )]
    LockedMemory {
        /// Size of this queue's UMEM in KiB.
        needed_kib: u64,
    },
    /// Another socket is bound to the queue.
    #[error(
        "queue {queue} is taken by another AF_XDP socket: stop the program that has it (`ss --xdp` names it)"
    )]
    Busy {
        /// The RX queue.
        queue: u32,
    },
    /// The driver cannot do this mode.
    #[error(
        "the driver does not offer {mode} for queue {queue} ({source}): use capture.mode = \"auto\", \"native\" or \
         \"generic\""
    )]
    Unsupported {
        /// The RX queue.
        queue: u32,
        /// The mode that was tried.
        mode: BindMode,
        /// Error of the system call.
        source: io::Error,
    },
    /// Frames that are longer than a chunk would be lost.
    #[error(
        "the MTU is too large for {mode}: frames that are longer than a chunk cannot be divided by this kernel (before Linux \
         6.6) or driver ({source}); set it to {mtu_max} or less (`ip link set dev INTERFACE mtu {mtu_max}`)"
    )]
    NoSegments {
        /// The RX queue.
        queue: u32,
        /// The mode that was tried.
        mode: BindMode,
        /// The largest MTU that fits, in bytes.
        mtu_max: u32,
        /// Error of the system call.
        source: io::Error,
    },
    /// Any other system call failed.
    #[error("cannot set up the AF_XDP socket of queue {queue} ({call}): {source}")]
    Call {
        /// The RX queue.
        queue: u32,
        /// The system call and its option.
        call: &'static str,
        /// Error of the system call.
        source: io::Error,
    },
}
