//! Counters of the consumers that attach to an output.

use std::sync::Mutex;

use crate::sys::lock;

/// Counters of the consumers of one member of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCounters {
    /// Consumers that are attached.
    pub attached: u64,
    /// Consumers that ever attached.
    pub attached_total: u64,
    /// Consumers that were disconnected, because their ring index was invalid, or because they did
    /// not detach when the output ended; readers of a stream that took nothing. Part of
    /// `attached_total`.
    pub disconnected: u64,
    /// Consumers that were refused, because the member had the largest number of consumers, or
    /// there was no memory, or their user may not read.
    pub refused: u64,
}

/// The counters by member, shared between threads.
#[derive(Debug)]
pub(crate) struct ConsumerStats(Mutex<Vec<ConsumerCounters>>);

impl ConsumerStats {
    pub(crate) fn new(members: u32) -> Self {
        Self(Mutex::new(vec![ConsumerCounters::default(); members as usize]))
    }

    /// Returns the counters of a member.
    pub(crate) fn read(&self, member: u32) -> ConsumerCounters {
        let counters = lock(&self.0);
        counters.get(member as usize).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self, member: u32, count: impl FnOnce(&mut ConsumerCounters)) {
        let mut counters = lock(&self.0);
        counters.get_mut(member as usize).map(count);
    }
}
