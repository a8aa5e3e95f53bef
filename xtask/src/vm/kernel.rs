//! The kernels, and the capture modes that each is expected to reach.

/// A kernel that tests are run on.
#[derive(Debug)]
pub(super) struct Kernel {
    /// First components of its version.
    pub(super) version: &'static str,
    /// A newer kernel is taken if the archive has this one no more.
    pub(super) or_newer: bool,
    /// Capture mode that a virtio NIC reaches, as vxtap names it.
    pub(super) mode: &'static str,
    /// Capture mode that a veth interface with an MTU of 9001 reaches: AF_XDP divides frames from
    /// Linux 6.6 on.
    pub(super) jumbo_mode: &'static str,
}

impl Kernel {
    /// Returns `true` if AF_XDP can divide a frame into several chunks.
    pub(super) fn has_segments(&self) -> bool {
        self.jumbo_mode != "UDP socket"
    }
}

/// `virtio_net` has zero-copy since Linux 6.11, but 6.12 still answers `EOPNOTSUPP` to a bind; on
/// 6.18 it binds.
pub(super) const KERNELS: [Kernel; 3] = [
    Kernel { version: "6.1", or_newer: false, mode: "native copy", jumbo_mode: "UDP socket" },
    Kernel { version: "6.12", or_newer: false, mode: "native copy", jumbo_mode: "native copy" },
    Kernel { version: "6.18", or_newer: true, mode: "zero-copy", jumbo_mode: "native copy" },
];
