//! The pinned thread of a queue, which takes each frame from the RX ring to the output rings.
//!
//! The order of a turn is fixed:
//!
//! 1. take back the chunks that consumers have released,
//! 2. refill, before anything else takes time, so that the NIC does not starve,
//! 3. receive a batch,
//! 4. take the tunnel off, find the session, apply its filter ([`stages`]),
//! 5. publish: one store per output ring ([`output_ports`]),
//! 6. when there was nothing to receive: wait ([`idle`]),
//! 7. now and then: copy the counters out,
//! 8. when it is told to: change over to another ruleset, serve another consumer ([`control_channel`]).
//!
//! Nothing allocates, locks, formats or reads a clock per frame, but for outer fragments
//! ([`fragments`]). A system call happens only when there is nothing to do, when the driver asks to
//! be woken up, or in housekeeping.

mod batch;
mod chain;
mod control_channel;
mod fragments;
mod frame_accounting;
mod housekeeping;
mod idle;
mod output_port;
mod output_ports;
mod queues;
mod stages;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::config::WaitMode;
use crate::counters::CountersCell;
use crate::ring::Writer;
use crate::ruleset::Ruleset;
use crate::xsk::{FreeList, RefCounts, RxBackend, RxQueue};
use batch::RxBatch;
use control_channel::ControlRequest;
pub(crate) use control_channel::{ControlChannel, RulesetChange};
pub(crate) use fragments::FragmentTable;
use housekeeping::Housekeeping;
use idle::Idle;
use output_ports::OutputPorts;
pub(crate) use output_ports::WhenFull;
pub(crate) use queues::{QueueHandle, QueueSet};
use stages::Stages;

/// What a worker is made of.
pub(crate) struct WorkerConfig<K> {
    pub(crate) kernel: K,
    pub(crate) queue: RxQueue,
    pub(crate) free: FreeList,
    /// The output rings, each with its output's id.
    pub(crate) outputs: Vec<(usize, Writer)>,
    pub(crate) ruleset: Arc<Ruleset>,
    /// Where outer fragments become whole; `None` if they do not.
    pub(crate) fragments: Option<FragmentTable>,
    pub(crate) wait: WaitMode,
    pub(crate) when_full: WhenFull,
    pub(crate) counters_cell: Arc<CountersCell>,
    pub(crate) control: Arc<ControlChannel>,
}

/// The state of a worker; [`Worker::run`] is its life.
pub(crate) struct Worker<K> {
    kernel: K,
    queue: RxQueue,
    free: FreeList,
    refs: RefCounts,
    stages: Stages,
    taps: OutputPorts,
    batch: RxBatch,
    idle: Idle,
    housekeeping: Housekeeping,
    control: Arc<ControlChannel>,
    /// How much of its mail it has taken over.
    acked: u32,
}

impl<K: RxBackend> Worker<K> {
    pub(crate) fn new(parts: WorkerConfig<K>) -> Self {
        let WorkerConfig {
            kernel,
            queue,
            free,
            outputs,
            ruleset,
            fragments,
            wait,
            when_full,
            counters_cell,
            control,
        } = parts;
        let geometry = queue.umem().geometry();
        let (session_count, output_count) = (ruleset.sessions.len(), outputs.len());
        let stages = Stages::new(ruleset.clone(), kernel.arrival_minus_utc_ns(), fragments);
        Self {
            refs: RefCounts::none(geometry.chunk_count()),
            taps: OutputPorts::new(outputs, &ruleset, stages.accounts(), when_full),
            stages,
            batch: RxBatch::new(),
            idle: Idle::new(wait),
            housekeeping: Housekeeping::new(counters_cell, session_count, output_count),
            kernel,
            queue,
            free,
            control,
            acked: 0,
        }
    }

    /// Works until it is told to drain and has done so, or until the far side has no more frames.
    ///
    /// # Errors
    ///
    /// What the kernel said when the queue became useless, e.g. because the interface was deleted.
    /// The counters are posted and the output rings closed in any case.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let end = self.work();
        // What the kernel has delivered is in the ring, also when the queue has become useless.
        while self.receive() > 0 {}
        self.batch.abandon();
        self.receive();
        self.settle();
        end
    }

    fn work(&mut self) -> io::Result<()> {
        loop {
            let is_draining = self.control.is_draining();
            if let Some(mail) = self.control.mail(self.acked) {
                self.open(mail);
            }
            self.refill();
            if !is_draining && self.queue.needs_wakeup() {
                self.kernel.wake()?;
            }
            let received = self.receive();
            if self.housekeeping.is_due(received == 0 && self.idle.is_about_to_sleep()) {
                self.publish(false);
                if !is_draining {
                    self.kernel.check()?;
                }
            }
            if received > 0 {
                self.idle.note(received);
                continue;
            }
            if is_draining && self.kernel.drain()? {
                continue;
            }
            if is_draining || self.kernel.is_finished() {
                return Ok(());
            }
            self.idle.wait(&mut self.kernel)?;
        }
    }

    /// Does what it is asked for, between two batches.
    #[cold]
    fn open(&mut self, mail: ControlRequest) {
        let ControlRequest { change, rings, count, .. } = mail;
        if let Some(change) = change {
            self.adopt(change);
        }
        if !rings.is_empty() {
            let Self { stages, taps, .. } = self;
            taps.attach(stages.ruleset(), rings, stages.accounts());
        }
        self.acked = count;
        self.control.ack(count);
    }

    /// Changes over to another ruleset.
    fn adopt(&mut self, change: RulesetChange) {
        let RulesetChange { ruleset, outputs } = change;
        self.stages.adopt(ruleset.clone());
        self.taps.adopt(&ruleset, outputs, self.stages.accounts());
        // The counts of an output that is gone are final, and whoever sees its end may read them.
        self.publish(true);
        self.taps.close_gone();
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
        let Self { queue, free, refs, stages, taps, .. } = self;
        taps.reclaim(refs, free);
        taps.let_go(stages.accounts());
        queue.refill(free);
    }

    /// A batch from the RX ring to the output rings; returns the number of descriptors taken.
    fn receive(&mut self) -> u32 {
        let Self { queue, free, refs, stages, taps, batch, control, .. } = self;
        let bad_before = queue.bad_descriptors();
        let count = batch.receive(queue, free);
        stages.count_bad(queue.bad_descriptors() - bad_before);
        stages.count_broken(batch.take_broken(free));
        stages.run(queue, batch, free);
        taps.publish(queue, batch, refs, free, stages, control);
        self.check_conservation();
        count
    }

    /// The law of chunks: each is in exactly one place at a batch boundary.
    fn check_conservation(&self) {
        debug_assert_eq!(
            self.free.len()
                + self.queue.in_flight() as usize
                + self.batch.waiting() as usize
                + self.refs.published() as usize,
            self.queue.umem().geometry().chunk_count() as usize,
            "free + in flight + waiting + published = all chunks"
        );
    }

    /// The end: post the last counts. The output rings close when the worker is dropped; chunks
    /// that consumers still read stay in memory as long as they hold them.
    fn settle(&mut self) {
        self.taps.reclaim(&mut self.refs, &mut self.free);
        self.publish(true);
    }

    fn publish(&mut self, is_last: bool) {
        let Self { kernel, queue, free, refs, stages, taps, batch, housekeeping, .. } = self;
        stages.set_clock(kernel.arrival_minus_utc_ns());
        if taps.drops_when_full() {
            // The times of a capture file are those of another day.
            stages.expire_fragments();
        }
        taps.bury(stages.accounts());
        let chunks = crate::counters::Chunks {
            free: u32::try_from(free.len()).unwrap_or(u32::MAX),
            in_flight: queue.in_flight(),
            waiting: batch.waiting(),
            published: refs.published(),
            total: queue.umem().geometry().chunk_count(),
        };
        let kernel = kernel.counters();
        housekeeping.publish(is_last, |posted| {
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
