//! The kernels, and what is expected of each.

/// A kernel that tests are run on.
#[derive(Debug)]
pub(super) struct Kernel {
    /// How its version begins.
    pub(super) version: &'static str,
    /// Whether a newer one does as well, where this one can no longer be had.
    pub(super) or_newer: bool,
    /// The rung of the capture ladder that a virtio NIC reaches, as vxtap names it.
    pub(super) rung: &'static str,
    /// The one that a veth interface with an MTU of 9001 reaches: AF_XDP divides frames from Linux
    /// 6.6 on.
    pub(super) jumbo_rung: &'static str,
}

impl Kernel {
    /// Whether a frame may lie in several chunks.
    pub(super) fn has_segments(&self) -> bool {
        self.jumbo_rung != "UDP socket"
    }
}

/// `virtio_net` has zero-copy since Linux 6.11, but 6.12 still answers `EOPNOTSUPP` to a bind; on
/// 6.18 it binds.
pub(super) const KERNELS: [Kernel; 3] = [
    Kernel { version: "6.1", or_newer: false, rung: "native copy", jumbo_rung: "UDP socket" },
    Kernel { version: "6.12", or_newer: false, rung: "native copy", jumbo_rung: "native copy" },
    Kernel { version: "6.18", or_newer: true, rung: "zero-copy", jumbo_rung: "native copy" },
];
