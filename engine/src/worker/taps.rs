//! The worker's ends of the output rings: frames are handed out, chunks come home.

use std::thread;
use std::time::Duration;

use super::Orders;
use super::accounts::Accounts;
use super::batch::{Batch, Work};
use super::stages::Stages;
use crate::counters::{Tally, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::filter::Filter;
use crate::output::Writer;
use crate::xsk::{FreeList, Holders};

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
    /// How many frames of the batch it takes: the first ones, since room does not grow meanwhile.
    takes: usize,
    /// By session: what it had no room for.
    full: Box<[Tally]>,
}

/// All output rings of a worker.
#[derive(Debug)]
pub(super) struct Taps {
    taps: Vec<Tap>,
    when_full: WhenFull,
}

impl Taps {
    pub(super) fn new(outputs: Vec<Writer>, session_count: usize, when_full: WhenFull) -> Self {
        let full = || vec![Tally::default(); session_count].into_boxed_slice();
        let tap = |writer| Tap { writer, is_open: true, takes: 0, full: full() };
        Self { taps: outputs.into_iter().map(tap).collect(), when_full }
    }

    /// Takes back what the consumers have released.
    #[inline]
    pub(super) fn reclaim(&mut self, holders: &mut Holders, free: &mut FreeList) {
        for tap in &mut self.taps {
            tap.reclaim(holders, free);
        }
    }

    /// Offers each frame to each output, and publishes with one store per ring. The batch is empty afterwards.
    #[inline(never)]
    pub(super) fn publish<F: Filter>(
        &mut self,
        batch: &mut Batch,
        holders: &mut Holders,
        free: &mut FreeList,
        stages: &mut Stages<F>,
        orders: &Orders,
    ) {
        let count = batch.works().len();
        if count == 0 {
            return;
        }
        if self.when_full == WhenFull::Wait && !orders.is_draining() {
            self.wait_for_room(count, holders, free, orders);
        }
        let (least, most) = self.divide(count);
        let (taken, refused) = batch.works_mut().split_at_mut(most);
        self.hand_out(taken, refused, least, holders);
        stages.deliver(taken.len());
        self.refuse(refused, free, stages);
        batch.clear();
    }

    /// Decides how many of `count` frames each output takes; returns the smallest and the largest number.
    #[inline]
    fn divide(&mut self, count: usize) -> (usize, usize) {
        let (mut least, mut most) = (count, 0);
        for tap in &mut self.taps {
            tap.takes = if tap.is_open { tap.writer.room().min(count) } else { 0 };
            (least, most) = (least.min(tap.takes), most.max(tap.takes));
        }
        (least.min(most), most)
    }

    /// Turns the chunks of the frames that somebody takes into claims and publishes them; the first `least` are taken by all.
    #[inline]
    fn hand_out(&mut self, taken: &mut [Work], refused: &[Work], least: usize, holders: &mut Holders) {
        if let [tap] = &mut self.taps[..] {
            let claimed = taken.iter_mut().map(|work| {
                let share = holders.publish_alone(work.received.take_chunk());
                (&work.descriptor, share)
            });
            tap.writer.push_all(claimed);
            tap.writer.publish();
            tap.miss(refused);
            return;
        }
        let (by_all, by_some) = taken.split_at_mut(least);
        for work in by_all {
            work.shares = holders.publish(work.received.take_chunk(), self.taps.len());
        }
        for (place, work) in (least..).zip(by_some) {
            let takers = self.taps.iter().filter(|tap| tap.takes > place).count();
            work.shares = holders.publish(work.received.take_chunk(), takers);
        }
        for tap in &mut self.taps {
            tap.take(taken, refused);
        }
    }

    /// Takes back and counts what nobody has taken.
    #[inline]
    fn refuse<F: Filter>(&self, refused: &mut [Work], free: &mut FreeList, stages: &mut Stages<F>) {
        let reason = if self.taps.is_empty() { DropReason::NoOutput } else { DropReason::OutputFull };
        for work in refused {
            stages.refuse(&work.descriptor, reason);
            free.give(work.received.take_chunk());
        }
    }

    /// Returns when each output has room for `count` frames, or is empty, or has lost its consumer, or when the worker
    /// is told to end.
    fn wait_for_room(&mut self, count: usize, holders: &mut Holders, free: &mut FreeList, orders: &Orders) {
        let is_stuck = |tap: &Tap| tap.is_open && tap.writer.room() < count.min(tap.writer.len());
        while self.taps.iter().any(is_stuck) && !orders.is_draining() {
            self.reclaim(holders, free);
            if self.taps.iter().any(is_stuck) {
                thread::sleep(ROOM_PAUSE);
            }
        }
    }

    /// Copies the counts, which follow from the sessions' accounts.
    pub(super) fn copy_to(&self, accounts: &Accounts, posted: &mut WorkerCounters) {
        for (tap, pushed) in self.taps.iter().zip(&mut posted.pushed) {
            *pushed = tap.writer.pushed();
        }
        for (tap, to) in self.taps.iter().zip(&mut posted.outputs) {
            to.clear();
            to.extend(
                tap.full.iter().enumerate().map(|(session, &full)| accounts.output_ledger(session, full)),
            );
        }
    }
}

impl Tap {
    /// Publishes what it takes, and counts what it has no room for: the end of `taken`, and all of `refused`.
    #[inline]
    fn take(&mut self, taken: &mut [Work], refused: &[Work]) {
        let (taken, missed) = taken.split_at_mut(self.takes);
        self.writer.push_all(taken.iter_mut().map(|work| (&work.descriptor, work.shares.take())));
        self.writer.publish();
        self.miss(missed);
        self.miss(refused);
    }

    /// Counts frames that it had no room for.
    #[inline]
    fn miss(&mut self, missed: &[Work]) {
        for Work { descriptor, .. } in missed {
            self.full[descriptor.session as usize].add(u64::from(descriptor.len));
        }
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
