//! The worker's ends of the output rings: frames are handed out, chunks come home.

use std::thread;
use std::time::Duration;

use crate::counters::{OutputLedger, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::output::{Descriptor, Writer};
use crate::session::SessionId;
use crate::xsk::{Chunk, FreeList, Holders};

use super::Orders;
use super::stages::{Batch, Stages};

/// What happens to a frame for which an output has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// It is lost for that output: a NIC does not wait.
    Drop,
    /// The worker waits: a capture file has time.
    Wait,
}

/// Pause of a worker that waits for a consumer, which naps for as long or some times longer itself.
const ROOM_PAUSE: Duration = Duration::from_micros(50);

/// An output ring and its counts.
#[derive(Debug)]
struct Tap {
    writer: Writer,
    /// Whether the consumer was there at the start of the turn.
    is_open: bool,
    by_session: Vec<OutputLedger>,
}

/// All output rings of a worker.
#[derive(Debug)]
pub(super) struct Taps {
    taps: Vec<Tap>,
    when_full: WhenFull,
}

impl Taps {
    pub(super) fn new(outputs: Vec<Writer>, session_count: usize, when_full: WhenFull) -> Self {
        let tap =
            |writer| Tap { writer, is_open: true, by_session: vec![OutputLedger::default(); session_count] };
        Self { taps: outputs.into_iter().map(tap).collect(), when_full }
    }

    /// Takes back what the consumers have released.
    #[inline]
    pub(super) fn reclaim(&mut self, holders: &mut Holders, free: &mut FreeList) {
        for tap in &mut self.taps {
            tap.reclaim(holders, free);
        }
    }

    /// Offers each frame to each output, and publishes with one store per ring. `batch.frames` is empty afterwards.
    #[inline]
    pub(super) fn publish(
        &mut self,
        batch: &mut Batch,
        holders: &mut Holders,
        free: &mut FreeList,
        stages: &mut Stages,
        orders: &Orders,
    ) {
        if batch.frames.is_empty() {
            return;
        }
        let waits = self.when_full == WhenFull::Wait && !orders.is_draining();
        for (chunk, descriptor) in batch.frames.drain(..) {
            let session = SessionId(descriptor.session);
            if waits {
                self.wait_for_room(holders, free, orders);
            }
            match self.offer(chunk, &descriptor, holders) {
                Ok(()) => stages.deliver_from(session, u64::from(descriptor.len)),
                Err(chunk) => {
                    free.give(chunk);
                    let no_output = self.taps.is_empty();
                    let reason = if no_output { DropReason::NoOutput } else { DropReason::OutputFull };
                    stages.drop_from(session, reason);
                }
            }
        }
        for tap in &mut self.taps {
            tap.writer.publish();
        }
    }

    /// Gives the frame to each output that has room.
    ///
    /// # Errors
    ///
    /// The chunk, if none has.
    #[inline]
    fn offer(&mut self, chunk: Chunk, descriptor: &Descriptor, holders: &mut Holders) -> Result<(), Chunk> {
        let takers = self.taps.iter().filter(|tap| tap.has_room()).count();
        if takers == 0 {
            self.taps.iter_mut().for_each(|tap| tap.ledger(descriptor).full += 1);
            return Err(chunk);
        }
        let mut shares = holders.publish(chunk, takers);
        for tap in &mut self.taps {
            if tap.has_room() {
                tap.ledger(descriptor).delivered.add(u64::from(descriptor.len));
                tap.writer.push(*descriptor, shares.take());
            } else {
                tap.ledger(descriptor).full += 1;
            }
        }
        Ok(())
    }

    /// Returns when each output has room for a frame or has lost its consumer, or when the worker is told to end.
    fn wait_for_room(&mut self, holders: &mut Holders, free: &mut FreeList, orders: &Orders) {
        let is_stuck = |tap: &Tap| tap.is_open && !tap.writer.has_room();
        while self.taps.iter().any(is_stuck) && !orders.is_draining() {
            // All of them: a reader of several outputs may wait for another one's frames.
            self.taps.iter_mut().for_each(|tap| tap.writer.publish());
            self.reclaim(holders, free);
            if self.taps.iter().any(is_stuck) {
                thread::sleep(ROOM_PAUSE);
            }
        }
    }

    /// Copies the counts.
    pub(super) fn copy_to(&self, posted: &mut WorkerCounters) {
        for (tap, to) in self.taps.iter().zip(&mut posted.outputs) {
            to.clone_from(&tap.by_session);
        }
    }
}

impl Tap {
    #[inline]
    fn has_room(&self) -> bool {
        self.is_open && self.writer.has_room()
    }

    #[inline]
    fn ledger(&mut self, descriptor: &Descriptor) -> &mut OutputLedger {
        &mut self.by_session[descriptor.session as usize]
    }

    #[inline]
    fn reclaim(&mut self, holders: &mut Holders, free: &mut FreeList) {
        self.is_open = !self.writer.is_reader_gone();
        self.writer.reclaim(|share| {
            if let Some(chunk) = holders.give_back(share) {
                free.give(chunk);
            }
        });
    }
}
