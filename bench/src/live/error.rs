//! Errors of sending live frames, each one sentence with a remedy.

use std::error::Error;
use std::io;

use nix::errno::Errno;

use super::{FRAME_MAX, TABLE_MAX};
use crate::profile::ProfileError;
use crate::totals::Totals;

/// Reason why live frames cannot be sent, or not all of them.
#[derive(Debug, thiserror::Error)]
pub enum LiveError {
    /// The profile cannot be used.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// No interface of this name in the thread's network namespace.
    #[error("there is no interface {interface} in this network namespace: `ip link` lists them")]
    NoInterface {
        /// Name of the interface.
        interface: String,
    },
    /// A table of no frames, or of more than the kernel's memory is allocated for.
    #[error("a table of {given} frames: give 1 to {TABLE_MAX}")]
    Table {
        /// The given number.
        given: u32,
    },
    /// A batch of a size that the kernel does not take.
    #[error("batches of {given} frames: give 1 to 256")]
    Batch {
        /// The given number.
        given: u32,
    },
    /// A frame longer than a live frame's memory.
    #[error(
        "a frame of {frame_len} bytes is too long for live frames, which have {FRAME_MAX} at most: give a smaller size or \
         --via packet"
    )]
    TooLong {
        /// Bytes of the frame, tunnel included.
        frame_len: usize,
    },
    /// Left-over frame ends make the checksum wrong.
    #[error(
        "the outer UDP checksum over IPv6 covers the whole frame, of which only the headers are written: give \
         --proof-every 1 or --zero-checksum-v6"
    )]
    Checksum,
    /// Generated traffic has no recorded times.
    #[error("live frames have no recorded times: give a rate or full speed")]
    Recorded,
    /// A step that needs privileges.
    #[error("not permitted to {what}; run as root, or with CAP_BPF, CAP_NET_ADMIN and CAP_PERFMON")]
    NotPermitted {
        /// The step, as an infinitive.
        what: &'static str,
    },
    /// The kernel cannot do it.
    #[error(
        "this kernel has no live frames for XDP test runs: Linux 5.18 or later is needed; use --via packet"
    )]
    NoLiveFrames,
    /// Loading, a map, or the run itself failed.
    #[error("cannot {what} ({})", cause(source.as_ref()))]
    Kernel {
        /// The step, as an infinitive.
        what: &'static str,
        /// Underlying error.
        source: Box<dyn Error + Send + Sync>,
    },
    /// Frames that the kernel did not offer to the device, or none that the device took.
    #[error(
        "{} of {} frames could not be passed to {interface}: {}",
        totals.refused, totals.refused + totals.frames, reason(interface, *errno)
    )]
    NotTaken {
        /// Name of the interface.
        interface: String,
        /// The kernel's reason; 0: it gave none.
        errno: i32,
        /// Frames that were sent and refused.
        totals: Box<Totals>,
    },
}

impl LiveError {
    /// Returns whether the caller requested something impossible, as opposed to a failure.
    pub const fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::Profile(_)
                | Self::Table { .. }
                | Self::Batch { .. }
                | Self::TooLong { .. }
                | Self::Checksum
                | Self::Recorded
        )
    }

    /// Classifies an error of aya by its remedy.
    pub(super) fn of(what: &'static str, error: impl Error + Send + Sync + 'static) -> Self {
        match os_error(&error) {
            Some(Errno::EPERM | Errno::EACCES) => Self::NotPermitted { what },
            _ => Self::Kernel { what, source: Box::new(error) },
        }
    }
}

/// Explains a refused redirect; the numbers are those of `kernel/bpf/devmap.c` and
/// `drivers/net/veth.c`.
fn reason(interface: &str, errno: i32) -> String {
    match Errno::from_raw(errno) {
        Errno::EOPNOTSUPP | Errno::ENXIO => {
            "it takes no redirected frames; the other end of a veth pair needs an XDP program or \
             `ethtool -K DEV gro on`, a NIC needs a driver with ndo_xdp_xmit"
                .to_owned()
        }
        Errno::ENETDOWN => format!("it is down: `ip link set {interface} up`"),
        Errno::EMSGSIZE => {
            "they are longer than its MTU allows; raise it or give a smaller size".to_owned()
        }
        Errno::UnknownErrno => "it took none of them; is its other end up?".to_owned(),
        errno => io::Error::from(errno).to_string(),
    }
}

/// The operating system's error at the bottom of a chain.
pub(super) fn os_error(error: &(dyn Error + 'static)) -> Option<Errno> {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let numbers = chain.filter_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
    numbers.last().map(Errno::from_raw)
}

/// Returns the first line of the innermost message, which leaves out a verifier's log.
fn cause(error: &(dyn Error + 'static)) -> String {
    let chain = std::iter::successors(Some(error), |&error| error.source());
    let texts = chain.map(|error| error.to_string().lines().next().unwrap_or_default().to_owned());
    texts.last().unwrap_or_default()
}
