//! The pinned thread of a queue, which takes each frame from the RX ring to the output rings.
//!
//! The order of a turn is fixed:
//!
//! 1. handle the requests of the engine, if there are any: change the ruleset, serve an attached
//!    consumer, copy outer frames ([`control_channel`]),
//! 2. take back the chunks that consumers have released,
//! 3. refill the fill ring, before anything else takes time, so that the NIC has chunks,
//! 4. receive a batch,
//! 5. remove the tunnel headers, find the session, apply its filter ([`stages`]),
//! 6. publish: one store per output ring ([`output_ports`]),
//! 7. from time to time: publish the counters ([`housekeeping`]),
//! 8. if nothing was received: wait ([`idle`]).
//!
//! Nothing allocates, locks, formats or reads a clock per frame, except for outer fragments
//! ([`fragments`]). A system call happens only when there is nothing to do, when the driver asks
//! for a wake-up, or in housekeeping.

mod batch;
mod chain;
mod control_channel;
mod fragments;
mod frame_accounting;
mod head;
mod housekeeping;
mod idle;
mod outer_copies;
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
use crate::counters::{ChunkCounts, CountersCell};
use crate::ring::Writer;
use crate::ruleset::Ruleset;
use crate::xsk::{FreeList, RefCounts, RxBackend, RxQueue};
use batch::RxBatch;
pub(crate) use control_channel::{ControlChannel, RulesetChange};
use control_channel::{ControlReceiver, ControlRequest};
pub(crate) use fragments::FragmentTable;
use frame_accounting::FrameAccounting;
use housekeeping::Housekeeping;
use idle::Idle;
use outer_copies::OuterCopies;
use output_ports::OutputPorts;
pub(crate) use output_ports::WhenFull;
pub(crate) use queues::{QueueHandle, QueueSet};
use stages::{BatchClock, Stages};

/// The parts of a worker.
pub(crate) struct WorkerConfig<K> {
    pub(crate) backend: K,
    pub(crate) queue: RxQueue,
    pub(crate) free: FreeList,
    /// The output rings, each with its output's id.
    pub(crate) outputs: Vec<(usize, Writer)>,
    pub(crate) ruleset: Arc<Ruleset>,
    /// Table that reassembles outer fragments; `None` if they are not reassembled.
    pub(crate) fragments: Option<FragmentTable>,
    pub(crate) wait: WaitMode,
    pub(crate) when_full: WhenFull,
    pub(crate) counters_cell: Arc<CountersCell>,
    pub(crate) control: Arc<ControlChannel>,
}

/// The state of a worker; [`Worker::run`] runs it to its end.
pub(crate) struct Worker<K> {
    backend: K,
    queue: RxQueue,
    free: FreeList,
    refs: RefCounts,
    stages: Stages,
    ports: OutputPorts,
    batch: RxBatch,
    accounting: FrameAccounting,
    copies: OuterCopies,
    idle: Idle,
    housekeeping: Housekeeping,
    control: ControlReceiver,
    /// Number of requests that it has handled.
    acked: u64,
}

impl<K: RxBackend> Worker<K> {
    pub(crate) fn new(config: WorkerConfig<K>) -> Self {
        let WorkerConfig {
            backend,
            queue,
            free,
            outputs,
            ruleset,
            fragments,
            wait,
            when_full,
            counters_cell,
            control,
        } = config;
        let control = ControlReceiver(control);
        let geometry = queue.umem().geometry();
        let (session_count, output_count) = (ruleset.sessions.len(), outputs.len());
        let accounting = FrameAccounting::new(session_count);
        Self {
            refs: RefCounts::none(geometry.chunk_count()),
            ports: OutputPorts::new(outputs, &ruleset, &accounting, when_full),
            stages: Stages::new(ruleset, backend.arrival_minus_utc_ns(), fragments),
            batch: RxBatch::new(),
            accounting,
            copies: OuterCopies::default(),
            idle: Idle::new(wait),
            housekeeping: Housekeeping::new(counters_cell, session_count, output_count),
            backend,
            queue,
            free,
            control,
            acked: 0,
        }
    }

    /// Processes frames until it has to drain and has done so, or until the RX backend has no more
    /// frames.
    ///
    /// # Errors
    ///
    /// The kernel's error when the queue became unusable, e.g. because the interface was deleted.
    /// The counters are published and the output rings closed in any case.
    pub(crate) fn run(mut self) -> io::Result<()> {
        let result = self.run_loop();
        // Frames that the kernel has delivered are in the ring, also when the queue is unusable.
        while self.receive() > 0 {}
        self.batch.abandon();
        self.receive();
        self.publish_last();
        result
    }

    fn run_loop(&mut self) -> io::Result<()> {
        loop {
            let is_draining = self.control.is_draining();
            if let Some(request) = self.control.take_requests(self.acked) {
                self.handle(request);
            }
            self.refill();
            if !is_draining && self.queue.needs_wakeup() {
                self.backend.wake()?;
            }
            let received = self.receive();
            if self.housekeeping.is_due(received == 0 && self.idle.is_about_to_sleep()) {
                self.publish_counters(false);
                if !is_draining {
                    self.backend.check()?;
                }
            }
            if received > 0 {
                self.idle.add_received(received);
                continue;
            }
            if is_draining && self.backend.drain()? {
                continue;
            }
            if is_draining || self.backend.is_finished() {
                return Ok(());
            }
            self.idle.wait(&mut self.backend)?;
        }
    }

    /// Handles the pending requests, between two batches.
    #[cold]
    fn handle(&mut self, request: ControlRequest) {
        let ControlRequest { change, rings, outer_readers, count, .. } = request;
        if let Some(change) = change {
            self.adopt(change);
        }
        if !rings.is_empty() {
            let Self { stages, ports, accounting, .. } = self;
            ports.attach(stages.ruleset(), rings, accounting);
        }
        self.copies.attach(outer_readers);
        self.acked = count;
        self.control.ack(count);
    }

    /// Changes to another ruleset.
    fn adopt(&mut self, change: RulesetChange) {
        let RulesetChange { ruleset, outputs } = change;
        self.accounting.grow(ruleset.sessions.len());
        self.ports.adopt(&ruleset, outputs, &self.accounting);
        self.stages.adopt(ruleset);
        // The final counts of a removed output have to be readable when its rings close.
        self.publish_counters(true);
        self.ports.close_removed();
    }

    /// Runs one turn without waiting or housekeeping. Returns the number of descriptors taken.
    #[cfg(feature = "internals")]
    #[inline]
    pub(crate) fn turn(&mut self) -> u32 {
        self.refill();
        self.receive()
    }

    /// Returns the RX backend.
    #[cfg(feature = "internals")]
    pub(crate) const fn backend_mut(&mut self) -> &mut K {
        &mut self.backend
    }

    /// Takes released chunks back, and gives free ones to the kernel.
    #[inline(never)]
    fn refill(&mut self) {
        let Self { queue, free, refs, ports, accounting, .. } = self;
        ports.reclaim(refs, free);
        ports.retire_detached(accounting);
        queue.refill(free);
    }

    /// Moves a batch from the RX ring to the output rings. Returns the number of descriptors taken.
    fn receive(&mut self) -> u32 {
        let Self { queue, free, refs, stages, ports, batch, accounting, control, copies, .. } =
            self;
        let bad_before = queue.bad_descriptors();
        let count = batch.receive(queue, free);
        accounting.count_bad(queue.bad_descriptors() - bad_before);
        accounting.count_incomplete(batch.take_incomplete(free));
        let is_copied = copies.are_wanted();
        let mut clock = BatchClock::default();
        if is_copied {
            copies.copy(queue, batch, |queue, received| stages.utc_ns(queue, received, &mut clock));
        }
        stages.run(queue, batch, free, accounting, &mut clock);
        if ports.needs_flows() {
            batch.find_flows(queue);
        }
        if !batch.packets().is_empty() {
            ports.wait_for_room(batch.descriptors(), refs, free, control);
        }
        ports.publish(batch, refs, free, accounting);
        if is_copied {
            copies.hand_over(batch);
        }
        self.check_conservation();
        count
    }

    /// Checks that each chunk is in exactly one place at a batch boundary.
    fn check_conservation(&self) {
        debug_assert_eq!(
            self.free.len()
                + self.queue.in_flight() as usize
                + self.batch.waiting() as usize
                + self.refs.published() as usize,
            self.queue.umem().geometry().chunk_count() as usize,
            "free + in flight + incomplete + published = all chunks"
        );
    }

    /// Publishes the last counts. The output rings close when the worker is dropped; chunks that
    /// consumers still read stay in memory as long as consumers hold them.
    fn publish_last(&mut self) {
        self.ports.reclaim(&mut self.refs, &mut self.free);
        self.publish_counters(true);
    }

    fn publish_counters(&mut self, is_last: bool) {
        let Self {
            backend, queue, free, refs, stages, ports, batch, accounting, housekeeping, ..
        } = self;
        stages.set_clock(backend.arrival_minus_utc_ns());
        if ports.drops_when_full() {
            // The arrival times of a capture file are not comparable with the clock.
            stages.expire_fragments();
        }
        ports.retire(accounting);
        let chunks = ChunkCounts {
            free: u32::try_from(free.len()).unwrap_or(u32::MAX),
            in_flight: queue.in_flight(),
            incomplete: batch.waiting(),
            published: refs.published(),
            total: queue.umem().geometry().chunk_count(),
        };
        let kernel = backend.counters();
        housekeeping.publish_counters(is_last, |counters| {
            accounting.copy_to(counters);
            ports.copy_to(accounting, counters);
            counters.chunks = chunks;
            // Counters that cannot be read keep their last value.
            counters.kernel = kernel.unwrap_or(counters.kernel);
        });
    }
}

/// Maximum time that a worker sleeps while nothing arrives, and thus maximum delay of a request.
const SLEEP_MAX: Duration = Duration::from_millis(50);
