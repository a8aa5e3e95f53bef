//! Identity of the queue that a ring comes from, and state of the peer at its other end.

use std::sync::atomic::{AtomicBool, Ordering};

/// The RX queue that the frames of a ring come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueId {
    /// Index of the interface in the configuration.
    pub(crate) interface: usize,
    /// RX queue of the interface.
    pub(crate) queue: u32,
}

/// State of a ring's consumer, in memory that a consumer of another process cannot write to.
#[derive(Debug, Default)]
pub(crate) struct PeerState {
    is_gone: AtomicBool,
    has_invalid_tail: AtomicBool,
}

impl PeerState {
    /// Marks the consumer as gone; to be called after its last read.
    pub(crate) fn set_gone(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    /// Returns whether the consumer is gone: it reads no more.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Returns whether the consumer counts as gone because of an invalid tail.
    pub(crate) fn has_invalid_tail(&self) -> bool {
        self.has_invalid_tail.load(Ordering::Acquire)
    }

    /// Marks the consumer as gone because of an invalid tail.
    #[cold]
    pub(super) fn set_invalid_tail(&self) {
        self.has_invalid_tail.store(true, Ordering::Release);
        self.set_gone();
    }
}
