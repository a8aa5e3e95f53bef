//! Counters of a worker's UDP sockets, for other threads to read.

use std::sync::Mutex;

use crate::sys::lock;

/// Datagrams since the sockets were opened, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UdpCounts {
    /// Received for the worker. In [`UdpStats`] also those that the kernel has lost after it had
    /// accepted them.
    pub(crate) redirected: u64,
    /// From sources that are not allowed.
    pub(crate) source_not_allowed: u64,
    /// Without a source.
    pub(crate) malformed: u64,
}

/// The last published copy of a worker's counters.
#[derive(Debug, Default)]
pub(crate) struct UdpStats(Mutex<UdpCounts>);

impl UdpStats {
    /// Replaces the copy.
    pub(super) fn store(&self, counts: UdpCounts) {
        *lock(&self.0) = counts;
    }

    /// Returns the last copy.
    pub(crate) fn read(&self) -> UdpCounts {
        *lock(&self.0)
    }
}
