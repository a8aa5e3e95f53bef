//! Requests of the engine to a worker: change the ruleset, serve attached consumers, copy outer
//! frames, drain.
//!
//! A worker reads one word per turn. Only when it has changed, the worker locks the pending
//! requests, between two batches.

use std::ops::Deref;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::outer_queue::OuterSender;
use crate::ring::Writer;
use crate::ruleset::Ruleset;
use crate::sys::lock;

/// The requests that a worker has not taken yet.
#[derive(Debug, Default)]
pub(super) struct ControlRequest {
    pub(super) change: Option<RulesetChange>,
    /// Rings of consumers that have attached, each with the output's id.
    pub(super) rings: Vec<(usize, Writer)>,
    /// Readers of outer frames that have attached.
    pub(super) outer_readers: Vec<OuterSender>,
    /// Number of requests since the start.
    pub(super) count: u64,
    is_closed: bool,
}

/// A ruleset to change to.
#[derive(Debug)]
pub(crate) struct RulesetChange {
    pub(crate) ruleset: Arc<Ruleset>,
    /// Rings of new outputs, each with the output's id.
    pub(crate) outputs: Vec<(usize, Writer)>,
}

/// The requests to one worker.
#[derive(Debug, Default)]
pub(crate) struct ControlChannel {
    /// Bit 63: drain. The other bits: number of requests since the start. At a million requests per
    /// second they would reach it after 292 000 years.
    word: AtomicU64,
    pending: Mutex<ControlRequest>,
    /// Number of requests that the worker has handled.
    acked: AtomicU64,
}

const DRAIN: u64 = 1 << 63;

/// The worker's end of a channel. Dropped when the worker ends: requests that it has not taken, and
/// all later ones, are dropped too, so that nobody waits for it.
#[derive(Debug)]
pub(super) struct ControlReceiver(pub(super) Arc<ControlChannel>);

impl Deref for ControlReceiver {
    type Target = Arc<ControlChannel>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl Drop for ControlReceiver {
    fn drop(&mut self) {
        self.0.close();
    }
}

impl ControlChannel {
    /// Tells the worker that no frame follows those in its rings, and to end after them.
    pub(crate) fn drain(&self) {
        self.word.fetch_or(DRAIN, Ordering::Release);
    }

    /// Requests a change of the ruleset; the change before has to be
    /// [acknowledged](Self::is_acked).
    pub(crate) fn post(&self, change: RulesetChange) {
        self.update(|request| request.change = Some(change));
    }

    /// Gives the worker the ring of a consumer that has attached to a known output. The worker
    /// drops the ring when the consumer has detached. If the worker has ended, the ring closes at
    /// once.
    pub(crate) fn attach(&self, output: usize, ring: Writer) {
        self.update(|request| request.rings.push((output, ring)));
    }

    /// Makes the worker send copies of outer frames until the reader goes. If the worker has ended,
    /// the queue ends at once.
    pub(crate) fn copy_outer(&self, reader: OuterSender) {
        self.update(|request| request.outer_readers.push(reader));
    }

    fn update(&self, update: impl FnOnce(&mut ControlRequest)) {
        let mut request = self.lock();
        update(&mut request);
        if request.is_closed {
            (request.change, request.rings) = (None, Vec::new());
            request.outer_readers.clear();
        }
        request.count += 1;
        self.word.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, ControlRequest> {
        lock(&self.pending)
    }

    /// Returns whether the worker has handled all requests.
    pub(crate) fn is_acked(&self) -> bool {
        self.word.load(Ordering::Acquire) & !DRAIN == self.acked.load(Ordering::Acquire)
    }

    /// Returns whether nothing is left for the worker to do: it has handled all requests, or has
    /// ended.
    pub(crate) fn is_settled(&self) -> bool {
        self.is_acked() || self.lock().is_closed
    }

    /// Drops the requests that the worker has not taken because it has ended, and all later ones.
    /// Their rings close, as nothing will be written to them.
    fn close(&self) {
        let mut request = self.lock();
        *request =
            ControlRequest { count: request.count, is_closed: true, ..ControlRequest::default() };
    }

    #[inline]
    pub(super) fn is_draining(&self) -> bool {
        self.word.load(Ordering::Acquire) & DRAIN != 0
    }

    /// Takes the pending requests; `acked` is the number of those that were handled before.
    #[inline]
    pub(super) fn take_requests(&self, acked: u64) -> Option<ControlRequest> {
        if self.word.load(Ordering::Acquire) & !DRAIN == acked { None } else { Some(self.take()) }
    }

    #[cold]
    fn take(&self) -> ControlRequest {
        let mut request = self.lock();
        let count = request.count;
        std::mem::replace(&mut *request, ControlRequest { count, ..ControlRequest::default() })
    }

    /// Acknowledges that `acked` requests have been handled.
    pub(super) fn ack(&self, acked: u64) {
        self.acked.store(acked, Ordering::Release);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_without_end_are_not_taken_for_a_request_to_drain() {
        let count = (1 << 31) - 1;
        let channel = ControlChannel { word: count.into(), ..ControlChannel::default() };
        channel.lock().count = count;
        channel.update(|_| {});
        assert!(!channel.is_draining());
        assert_eq!(channel.take_requests(count).unwrap().count, count + 1);
        channel.drain();
        assert!(channel.is_draining() && channel.take_requests(count + 1).is_none());
    }
}
