//! Outputs that other processes read: `type = "shared"`.
//!
//! A thread for each output listens at a Unix socket, gives consumers that come rings of their own, which go to the workers while these run,
//! and tells the workers when a consumer is gone. The other end, and the words, are in `output::shared`.

mod board;
mod client;
mod server;
mod socket;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

use rustix::event::{EventfdFlags, eventfd};

pub(super) use board::GuestBoard;
pub use board::GuestCounters;
pub(super) use server::{Server, start};
pub(super) use socket::Door;

/// What a server is told, from any thread.
#[derive(Debug)]
pub(super) struct Bell {
    /// One of the constants below; it never gets smaller.
    word: AtomicU8,
    /// Whether the server has ended, and with it the rings of all consumers.
    has_ended: AtomicBool,
    wakeup: std::os::fd::OwnedFd,
}

/// Go on.
const OPEN: u8 = 0;
/// Let nobody in any more, and end when all are gone: a reload has taken the output away.
const CLOSING: u8 = 1;
/// Hang up, and end: the engine stops.
const OVER: u8 = 2;

impl Bell {
    pub(super) fn new() -> std::io::Result<Arc<Self>> {
        let wakeup = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Arc::new(Self { word: AtomicU8::new(OPEN), has_ended: AtomicBool::new(false), wakeup }))
    }

    /// There is another queue, or there are other sessions.
    pub(super) fn ring(&self) {
        // It cannot overflow: the server reads it, and if it were full the server would be awake.
        let _ = rustix::io::write(&self.wakeup, &1_u64.to_ne_bytes());
    }

    /// The output is taken away.
    pub(super) fn close(&self) {
        self.word.fetch_max(CLOSING, Ordering::Release);
        self.ring();
    }

    /// The engine stops.
    pub(super) fn end(&self) {
        self.word.fetch_max(OVER, Ordering::Release);
        self.ring();
    }

    /// Whether the server has ended.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::Acquire)
    }

    fn is_open(&self) -> bool {
        self.word.load(Ordering::Acquire) == OPEN
    }

    fn is_over(&self) -> bool {
        self.word.load(Ordering::Acquire) == OVER
    }

    /// Forgets that it was rung.
    fn settle(&self) {
        let _ = rustix::io::read(&self.wakeup, &mut [0; 8]);
    }
}
