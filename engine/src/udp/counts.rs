//! What a worker's UDP sockets have done, for others to read.

use std::sync::{Mutex, PoisonError};

/// Datagrams since the sockets were opened, by what became of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct UdpCounts {
    /// Taken for the worker; read from the board also those that the kernel has lost after it had
    /// accepted them.
    pub(crate) redirected: u64,
    /// From sources that may not send here.
    pub(crate) source_not_allowed: u64,
    /// Without a source.
    pub(crate) malformed: u64,
}

/// Where a worker leaves a copy.
#[derive(Debug, Default)]
pub(crate) struct UdpStats(Mutex<UdpCounts>);

impl UdpStats {
    pub(super) fn post(&self, counts: UdpCounts) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = counts;
    }

    /// The last copy.
    pub(crate) fn read(&self) -> UdpCounts {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
