//! Rings of workers that begin later, on their way to a consumer.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::Reader;
use crate::sys::lock;

/// Rings for a consumer, and the end of all. The consumer has the only strong reference, so that
/// the engine sees whether the consumer is still there.
#[derive(Debug, Default)]
pub(crate) struct NewRings {
    /// Number of readers that were ever put in.
    count: AtomicUsize,
    readers: Mutex<Vec<Reader>>,
    /// No frame comes any more, also if writers have not closed their rings.
    is_closed: AtomicBool,
}

impl NewRings {
    /// Gives the consumer another ring.
    pub(crate) fn put(&self, reader: Reader) {
        lock(&self.readers).push(reader);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Tells the consumer that the writers of its rings are gone; it can still read what is in
    /// them.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }

    /// Returns the number of readers that were ever put in.
    #[inline]
    pub(super) fn count(&self) -> usize {
        self.count.load(Ordering::Acquire)
    }

    #[inline]
    pub(super) fn is_closed(&self) -> bool {
        self.is_closed.load(Ordering::Acquire)
    }

    /// Moves the readers that are here to the end of `readers`, and returns their number.
    pub(super) fn take(&self, readers: &mut Vec<Reader>) -> usize {
        let mut new = lock(&self.readers);
        let count = new.len();
        readers.append(&mut new);
        count
    }
}
