//! Wakes an output's server thread and tells it its lifecycle state (eventfd).

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};

/// Lifecycle state of a server thread, set by any thread.
#[derive(Debug)]
pub(crate) struct Notifier {
    /// One of the constants below; it only grows.
    state: AtomicU8,
    /// Set when the server has ended, and with it the rings of all consumers.
    has_ended: AtomicBool,
    /// Eventfd that is readable after a notification.
    wakeup: OwnedFd,
}

/// The workers do not know the output yet, and would close its rings.
const CREATED: u8 = 0;
/// Consumers may attach.
const OPEN: u8 = 1;
/// Accept no more consumers, and end when all have detached: a reload has removed the output.
const CLOSING: u8 = 2;
/// End: the engine stops, and no ring gets more frames.
const ENDED: u8 = 3;

impl Notifier {
    pub(crate) fn new() -> std::io::Result<Arc<Self>> {
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self {
            state: AtomicU8::new(CREATED),
            has_ended: AtomicBool::new(false),
            wakeup,
        }))
    }

    /// Lets consumers attach; called once the workers know the output.
    pub(crate) fn open(&self) {
        self.state.fetch_max(OPEN, Ordering::Release);
        self.notify();
    }

    /// Waits until consumers may attach, or the server has to end.
    pub(crate) fn wait_until_open(&self) -> std::io::Result<()> {
        while self.state.load(Ordering::Acquire) == CREATED {
            match poll(&mut [PollFd::new(self, PollFlags::IN)], None) {
                Ok(_) | Err(rustix::io::Errno::INTR) => self.drain(),
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    /// Wakes the server: there are new queues or sessions.
    pub(crate) fn notify(&self) {
        // Cannot overflow: the server reads it, and a full counter would have woken it.
        let _ = rustix::io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }

    /// Tells the server that the output is removed.
    pub(crate) fn close(&self) {
        self.state.fetch_max(CLOSING, Ordering::Release);
        self.notify();
    }

    /// Tells the server that the engine stops.
    pub(crate) fn end(&self) {
        self.state.fetch_max(ENDED, Ordering::Release);
        self.notify();
    }

    /// Reports the end of the server; called by the server itself.
    pub(crate) fn set_ended(&self) {
        self.has_ended.store(true, Ordering::Release);
    }

    /// Returns whether the server has ended.
    pub(crate) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    pub(crate) fn is_open(&self) -> bool {
        self.state.load(Ordering::Acquire) == OPEN
    }

    pub(crate) fn must_end(&self) -> bool {
        self.state.load(Ordering::Acquire) == ENDED
    }

    /// Clears pending notifications.
    pub(crate) fn drain(&self) {
        let _ = rustix::io::read(&self.wakeup, &mut [0; 8]);
    }
}

impl AsFd for Notifier {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wakeup.as_fd()
    }
}
