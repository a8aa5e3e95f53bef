//! What the engine asks of a worker: to take over another ruleset, and to end.
//!
//! A worker looks at one word per turn. Only when that has changed it opens its mailbox, between two batches.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::output::Writer;
use crate::ruleset::Ruleset;

/// What a worker changes over to.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) ruleset: Arc<Ruleset>,
    /// The rings of outputs that are new, each with the output's id.
    pub(crate) outputs: Vec<(usize, Writer)>,
}

/// The orders of one worker.
#[derive(Debug, Default)]
pub(crate) struct Orders {
    /// Bit 31: end. The others: how many changes were announced.
    word: AtomicU32,
    mailbox: Mutex<Option<Change>>,
    /// How many changes the worker has taken over.
    obeyed: AtomicU32,
}

const DRAIN: u32 = 1 << 31;

impl Orders {
    /// Nothing new comes any more: finish what is in the rings, then end.
    pub(crate) fn drain(&self) {
        self.word.fetch_or(DRAIN, Ordering::Release);
    }

    /// Asks for a change; the one before has to be [`Self::is_obeyed`].
    pub(crate) fn announce(&self, change: Change) {
        *self.mailbox.lock().unwrap_or_else(PoisonError::into_inner) = Some(change);
        self.word.fetch_add(1, Ordering::Release);
    }

    /// Whether the worker has taken over all that was announced.
    pub(crate) fn is_obeyed(&self) -> bool {
        self.word.load(Ordering::Acquire) & !DRAIN == self.obeyed.load(Ordering::Acquire)
    }

    /// Throws away what the worker has not taken over because it has ended. The rings of new outputs close: nobody would write to
    /// them any more.
    pub(crate) fn forget(&self) {
        drop(self.open());
    }

    #[inline]
    pub(super) fn is_draining(&self) -> bool {
        self.word.load(Ordering::Acquire) & DRAIN != 0
    }

    /// The change that was announced and not taken over yet; `obeyed` is how many were.
    #[inline]
    pub(super) fn change(&self, obeyed: u32) -> Option<Change> {
        if self.word.load(Ordering::Acquire) & !DRAIN == obeyed { None } else { self.open() }
    }

    #[cold]
    fn open(&self) -> Option<Change> {
        self.mailbox.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// To be said once a change has been taken over.
    pub(super) fn obey(&self, obeyed: u32) {
        self.obeyed.store(obeyed, Ordering::Release);
    }
}
