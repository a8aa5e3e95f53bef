//! What an output that consumers come to has counted of them.

use std::sync::{Mutex, PoisonError};

/// Consumers of one member of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ConsumerCounters {
    /// That are there now.
    pub attached: u64,
    /// That ever came.
    pub came: u64,
    /// That were cut off, because their tail made no sense, or because they did not take the end of
    /// their stream. Part of those that came.
    pub cut_off: u64,
    /// That were turned away, because the member had as many as it may, or there was no memory.
    pub refused: u64,
}

/// The counters by member, for others to read.
#[derive(Debug)]
pub(crate) struct ConsumerStats(Mutex<Vec<ConsumerCounters>>);

impl ConsumerStats {
    pub(crate) fn new(members: u32) -> Self {
        Self(Mutex::new(vec![ConsumerCounters::default(); members as usize]))
    }

    /// The counters of a member.
    pub(crate) fn read(&self, member: u32) -> ConsumerCounters {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(member as usize).copied().unwrap_or_default()
    }

    pub(crate) fn count(&self, member: u32, count: impl FnOnce(&mut ConsumerCounters)) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get_mut(member as usize).map(count);
    }
}
