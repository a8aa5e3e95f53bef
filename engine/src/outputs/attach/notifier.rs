//! What the thread of an output is told whose consumers come and go.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// What a server is told, from any thread.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// One of the constants below; it never gets smaller.
    word: AtomicU8,
    /// Whether the server has ended, and with it the rings of all consumers.
    has_ended: AtomicBool,
    /// Readable once it has been rung.
    wakeup: OwnedFd,
}

/// The workers do not know the output yet, and would close its rings.
const WAITING: u8 = 0;
/// Go on.
const OPEN: u8 = 1;
/// Let nobody in any more, and end when all are gone: a reload has taken the output away.
const CLOSING: u8 = 2;
/// End: the engine stops, and nothing new comes into any ring.
const OVER: u8 = 3;

impl Notifier {
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self {
            word: AtomicU8::new(WAITING),
            has_ended: AtomicBool::new(false),
            wakeup,
        }))
    }

    /// The workers know the output.
    pub(crate) fn open(&self) {
        self.word.fetch_max(OPEN, Ordering::Release);
        self.ring();
    }

    /// Waits until consumers may be let in, or it is too late for that.
    pub(crate) fn wait_until_open(&self) -> std::io::Result<()> {
        while self.word.load(Ordering::Acquire) == WAITING {
            match poll(&mut [PollFd::new(self, PollFlags::IN)], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => self.drain(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// There is another queue, or there are other sessions.
    pub(crate) fn ring(&self) {
        // It cannot overflow: the server reads it, and if it were full the server would be awake.
        let _ = rustix::io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }

    /// The output is taken away.
    pub(crate) fn close(&self) {
        self.word.fetch_max(CLOSING, Ordering::Release);
        self.ring();
    }

    /// The engine stops.
    pub(crate) fn end(&self) {
        self.word.fetch_max(OVER, Ordering::Release);
        self.ring();
    }

    /// To be said by the server when it ends.
    pub(crate) fn set_ended(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Whether the server has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.word.load(Ordering::Acquire) == OPEN
    }

    pub(crate) fn is_over(&self) -> bool {
        self.word.load(Ordering::Acquire) == OVER
    }

    /// Forgets that it was rung.
    pub(crate) fn drain(&self) {
        let _ = rustix::io::read(&self.wakeup, &mut [0; 8]);
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }
}
