//! What an output that consumers come to has counted of them.

use std::sync::{Mutex, PoisonError};

/// Consumers of one member of an output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct GuestCounters {
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
pub(in crate::engine) struct GuestBoard(Mutex<Vec<GuestCounters>>);

impl GuestBoard {
    pub(in crate::engine) fn new(members: u32) -> Self {
        Self(Mutex::new(vec![GuestCounters::default(); members as usize]))
    }

    /// The counters of a member.
    pub(in crate::engine) fn read(&self, member: u32) -> GuestCounters {
        let counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get(member as usize).copied().unwrap_or_default()
    }

    pub(in crate::engine) fn count(&self, member: u32, count: impl FnOnce(&mut GuestCounters)) {
        let mut counters = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counters.get_mut(member as usize).map(count);
    }
}
