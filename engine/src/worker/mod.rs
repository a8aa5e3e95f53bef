//! The pinned thread of a queue, which takes each frame from the RX ring to the output rings.
//!
//! The order of a turn is fixed:
//!
//! 1. take back the chunks that consumers have released,
//! 2. refill, before anything else takes time, so that the NIC does not starve,
//! 3. receive a batch,
//! 4. take the tunnel off, find the session ([`stages`]),
//! 5. publish: one store per output ring ([`taps`]),
//! 6. when there was nothing to receive: wait ([`idle`]),
//! 7. now and then: copy the counters out.
//!
//! Nothing allocates, locks, formats or reads a clock per frame. A system call happens only when there is nothing to
//! do, when the driver asks to be woken up, or in housekeeping.

mod accounts;
mod batch;
mod housekeeping;
mod idle;
mod stages;
mod taps;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::time::Duration;

use crate::config::{UnknownSessions, WaitMode};
use crate::counters::Board;
use crate::filter::Filter;
use crate::output::Writer;
use crate::session::SessionTable;
use crate::xsk::{FreeList, Holders, KernelSide, RxQueue};
use batch::Batch;
use housekeeping::Housekeeping;
use idle::Idle;
use stages::Stages;
use taps::Taps;
pub(crate) use taps::WhenFull;

/// What the engine asks of its workers, all of them at once.
#[derive(Debug, Default)]
pub(crate) struct Orders(AtomicU8);

impl Orders {
    const DRAIN: u8 = 1;

    /// Nothing new comes any more: finish what is in the rings, then end.
    pub(crate) fn drain(&self) {
        self.0.store(Self::DRAIN, Ordering::Release);
    }

    fn is_draining(&self) -> bool {
        self.0.load(Ordering::Acquire) == Self::DRAIN
    }
}

/// What a worker is made of.
pub(crate) struct Parts<K, F> {
    pub(crate) kernel: K,
    pub(crate) queue: RxQueue,
    pub(crate) free: FreeList,
    pub(crate) outputs: Vec<Writer>,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) filter: F,
    pub(crate) unknown: UnknownSessions,
    pub(crate) wait: WaitMode,
    pub(crate) when_full: WhenFull,
    pub(crate) board: Arc<Board>,
    pub(crate) orders: Arc<Orders>,
}

/// The state of a worker; [`Worker::run`] is its life.
pub(crate) struct Worker<K, F> {
    kernel: K,
    queue: RxQueue,
    free: FreeList,
    holders: Holders,
    stages: Stages<F>,
    taps: Taps,
    batch: Batch,
    idle: Idle,
    housekeeping: Housekeeping,
    orders: Arc<Orders>,
}

impl<K: KernelSide, F: Filter> Worker<K, F> {
    pub(crate) fn new(parts: Parts<K, F>) -> Self {
        let Parts { kernel, queue, free, outputs, sessions, filter, unknown, wait, when_full, board, orders } =
            parts;
        let geometry = queue.umem().geometry();
        let (session_count, output_count) = (sessions.len(), outputs.len());
        Self {
            holders: Holders::none(geometry.chunk_count()),
            stages: Stages::new(sessions, filter, unknown, kernel.arrival_minus_utc_ns()),
            taps: Taps::new(outputs, session_count, when_full),
            batch: Batch::new(),
            idle: Idle::new(wait),
            housekeeping: Housekeeping::new(board, session_count, output_count),
            kernel,
            queue,
            free,
            orders,
        }
    }

    /// Works until it is told to drain and has done so, or until the far side has no more frames.
    ///
    /// # Errors
    ///
    /// What the kernel said when the queue became useless, e.g. because the interface was deleted. The counters are
    /// posted and the output rings closed in any case.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let end = self.work();
        // What the kernel has delivered is in the ring, also when the queue has become useless.
        while self.receive() > 0 {}
        self.settle();
        end
    }

    fn work(&mut self) -> io::Result<()> {
        loop {
            let is_draining = self.orders.is_draining();
            self.refill();
            if !is_draining && self.queue.needs_wakeup() {
                self.kernel.drive()?;
            }
            let received = self.receive();
            if self.housekeeping.is_due(received == 0 && self.idle.is_about_to_sleep()) {
                self.post(false);
                if !is_draining {
                    self.kernel.check()?;
                }
            }
            if received > 0 {
                self.idle.note(received);
                continue;
            }
            if is_draining || self.kernel.is_finished() {
                return Ok(());
            }
            self.idle.wait(&mut self.kernel)?;
        }
    }

    /// One turn without waiting or housekeeping; returns the number of descriptors taken.
    #[cfg(feature = "internals")]
    #[inline]
    pub(crate) fn turn(&mut self) -> u32 {
        self.refill();
        self.receive()
    }

    /// The far side.
    #[cfg(feature = "internals")]
    pub(crate) const fn kernel_mut(&mut self) -> &mut K {
        &mut self.kernel
    }

    /// Chunks home, and out to the kernel again.
    #[inline(never)]
    fn refill(&mut self) {
        let Self { queue, free, holders, taps, .. } = self;
        taps.reclaim(holders, free);
        queue.refill(free);
    }

    /// A batch from the RX ring to the output rings; returns the number of descriptors taken.
    fn receive(&mut self) -> u32 {
        let Self { queue, free, holders, stages, taps, batch, orders, .. } = self;
        let bad_before = queue.bad_descriptors();
        let count = batch.receive(queue, free);
        stages.count_bad(queue.bad_descriptors() - bad_before);
        stages.run(queue, batch, free);
        taps.publish(batch, holders, free, stages, orders);
        self.check_conservation();
        count
    }

    /// The law of chunks: each is in exactly one place at a batch boundary.
    fn check_conservation(&self) {
        debug_assert_eq!(
            self.free.len() + self.queue.lent() as usize + self.holders.published() as usize,
            self.queue.umem().geometry().chunk_count() as usize,
            "free + lent + published = all chunks"
        );
    }

    /// The end: post the last counts. The output rings close when the worker is dropped; chunks that consumers still
    /// read stay in memory as long as they hold them.
    fn settle(&mut self) {
        self.taps.reclaim(&mut self.holders, &mut self.free);
        self.post(true);
    }

    fn post(&mut self, is_last: bool) {
        let Self { kernel, queue, free, holders, stages, taps, housekeeping, .. } = self;
        stages.set_clock(kernel.arrival_minus_utc_ns());
        let chunks = crate::counters::Chunks {
            free: u32::try_from(free.len()).unwrap_or(u32::MAX),
            lent: queue.lent(),
            published: holders.published(),
            total: queue.umem().geometry().chunk_count(),
        };
        let kernel = kernel.counters();
        housekeeping.post(is_last, |posted| {
            stages.copy_to(posted);
            taps.copy_to(stages.accounts(), posted);
            posted.chunks = chunks;
            // What cannot be read stays as it was when it last could.
            posted.kernel = kernel.unwrap_or(posted.kernel);
        });
    }
}

/// The longest time that a worker sleeps while nothing arrives: how late it may notice an order.
const SLEEP_MAX: Duration = Duration::from_millis(50);
