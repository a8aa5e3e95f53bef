//! What the engine asks of a worker: to take over another ruleset, to serve consumers that have
//! come, and to end.
//!
//! A worker looks at one word per turn. Only when that has changed it opens its mailbox, between
//! two batches.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};

use crate::ring::Writer;
use crate::ruleset::Ruleset;
use crate::sys::lock;

/// What lies in a worker's mailbox.
#[derive(Debug, Default)]
pub(super) struct ControlRequest {
    pub(super) change: Option<RulesetChange>,
    /// Rings of consumers that have come, each with the output's id.
    pub(super) rings: Vec<(usize, Writer)>,
    /// How many times something was put in since the start.
    pub(super) count: u32,
    is_closed: bool,
}

/// What a worker changes over to.
#[derive(Debug)]
pub(crate) struct RulesetChange {
    pub(crate) ruleset: Arc<Ruleset>,
    /// The rings of outputs that are new, each with the output's id.
    pub(crate) outputs: Vec<(usize, Writer)>,
}

/// The orders of one worker.
#[derive(Debug, Default)]
pub(crate) struct ControlChannel {
    /// Bit 31: end. The others: how many times something was put into the mailbox.
    word: AtomicU32,
    mailbox: Mutex<ControlRequest>,
    /// How many of them the worker has taken over.
    acked: AtomicU32,
}

const DRAIN: u32 = 1 << 31;

impl ControlChannel {
    /// Nothing new comes any more: finish what is in the rings, then end.
    pub(crate) fn drain(&self) {
        self.word.fetch_or(DRAIN, Ordering::Release);
    }

    /// Asks for a change; the one before has to be [`Self::is_acked`].
    pub(crate) fn post(&self, change: RulesetChange) {
        self.put(|mail| mail.change = Some(change));
    }

    /// Gives the worker the ring of a consumer that has come, of an output that it knows. The
    /// worker lets go of it when the consumer is gone. If the worker has ended, the ring closes at
    /// once.
    pub(crate) fn attach(&self, output: usize, ring: Writer) {
        self.put(|mail| mail.rings.push((output, ring)));
    }

    fn put(&self, put: impl FnOnce(&mut ControlRequest)) {
        let mut mail = self.lock();
        put(&mut mail);
        if mail.is_closed {
            (mail.change, mail.rings) = (None, Vec::new());
        }
        mail.count += 1;
        self.word.fetch_add(1, Ordering::Release);
    }

    fn lock(&self) -> MutexGuard<'_, ControlRequest> {
        lock(&self.mailbox)
    }

    /// Whether the worker has taken over all that was announced.
    pub(crate) fn is_acked(&self) -> bool {
        self.word.load(Ordering::Acquire) & !DRAIN == self.acked.load(Ordering::Acquire)
    }

    /// Throws away what the worker has not taken over because it has ended, and what comes later.
    /// The rings close: nobody would write to them any more.
    pub(crate) fn discard(&self) {
        let mut mail = self.lock();
        *mail = ControlRequest { count: mail.count, is_closed: true, ..ControlRequest::default() };
    }

    #[inline]
    pub(super) fn is_draining(&self) -> bool {
        self.word.load(Ordering::Acquire) & DRAIN != 0
    }

    /// What was put in and not taken over yet; `acked` is how often something was.
    #[inline]
    pub(super) fn mail(&self, acked: u32) -> Option<ControlRequest> {
        if self.word.load(Ordering::Acquire) & !DRAIN == acked { None } else { Some(self.open()) }
    }

    #[cold]
    fn open(&self) -> ControlRequest {
        let mut mail = self.lock();
        let count = mail.count;
        std::mem::replace(&mut *mail, ControlRequest { count, ..ControlRequest::default() })
    }

    /// To be said once so much has been taken over.
    pub(super) fn ack(&self, acked: u32) {
        self.acked.store(acked, Ordering::Release);
    }
}
