//! The worker's ends of the output rings: frames are handed out, chunks come home.

use std::thread;
use std::time::Duration;

use super::ControlChannel;
use super::batch::{PacketContext, RxBatch};
use super::chain::FurtherChunks;
use super::frame_accounting::FrameAccounting;
use super::output_port::OutputPort;
use super::stages::Stages;
use crate::config::BATCH_MAX;
use crate::counters::{FrameBytes, OutputCounters, RingCounts, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::flow::Flow;
use crate::ring::Writer;
use crate::ruleset::{OutputSelector, Ruleset};
use crate::xsk::{FreeList, RefCounts, RxQueue};

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

/// All output rings of a worker.
#[derive(Debug)]
pub(super) struct OutputPorts {
    open: Vec<OutputPort>,
    /// Whether each of them gets the frames of all sessions.
    is_uniform: bool,
    /// By session: what the outputs had been offered when the routes last changed.
    changed_at: Vec<FrameBytes>,
    /// Of the frames of a batch, if an output asks for them.
    flows: Vec<Option<Flow>>,
    /// Final counts of rings that are gone, together for each output.
    ended: Vec<Ended>,
    when_full: WhenFull,
}

/// What rings of an output that are gone have got.
#[derive(Debug)]
struct Ended {
    id: usize,
    ledgers: Vec<OutputCounters>,
    counts: RingCounts,
}

impl Ended {
    fn merge(&mut self, other: &Self) {
        self.ledgers.resize(self.ledgers.len().max(other.ledgers.len()), OutputCounters::default());
        self.ledgers.iter_mut().zip(&other.ledgers).for_each(|(sum, ledger)| sum.merge(*ledger));
        self.counts.pushed += other.counts.pushed;
        self.counts.unread += other.counts.unread;
    }
}

impl OutputPorts {
    /// Rings of outputs, with their ids.
    pub(super) fn new(
        outputs: Vec<(usize, Writer)>,
        ruleset: &Ruleset,
        accounts: &FrameAccounting,
        when_full: WhenFull,
    ) -> Self {
        let mut taps = Self {
            open: Vec::new(),
            is_uniform: true,
            changed_at: Vec::new(),
            flows: Vec::with_capacity(BATCH_MAX as usize),
            ended: Vec::new(),
            when_full,
        };
        taps.adopt(ruleset, outputs, accounts);
        taps
    }

    /// How many rings there are.
    #[cfg(test)]
    pub(super) const fn count(&self) -> usize {
        self.open.len()
    }

    /// Whether frames for which there is no room are lost.
    pub(super) fn drops_when_full(&self) -> bool {
        self.when_full == WhenFull::Drop
    }

    /// Changes over to the routes of a ruleset, with rings of outputs that are new.
    pub(super) fn adopt(
        &mut self,
        ruleset: &Ruleset,
        outputs: impl IntoIterator<Item = (usize, Writer)>,
        accounts: &FrameAccounting,
    ) {
        self.open.extend(
            outputs.into_iter().map(|(id, writer)| OutputPort::new(id, writer, false, accounts)),
        );
        self.choose(ruleset, accounts);
    }

    /// Takes in rings of consumers that have come, each for as long as its consumer is there.
    #[cold]
    pub(super) fn attach(
        &mut self,
        ruleset: &Ruleset,
        rings: Vec<(usize, Writer)>,
        accounts: &FrameAccounting,
    ) {
        self.open.extend(
            rings.into_iter().map(|(id, writer)| OutputPort::new(id, writer, true, accounts)),
        );
        self.choose(ruleset, accounts);
    }

    fn choose(&mut self, ruleset: &Ruleset, accounts: &FrameAccounting) {
        let Self { open, is_uniform, changed_at, .. } = self;
        for tap in open.iter_mut() {
            let choice = ruleset.choices.get(tap.id).cloned().unwrap_or(OutputSelector::CLOSED);
            tap.adopt(choice, accounts, changed_at);
        }
        *changed_at = accounts.offered_by_session().collect();
        *is_uniform = open.iter().all(OutputPort::gets_all);
    }

    /// Ends the rings of outputs that are gone; what is in them can still be read.
    pub(super) fn close_gone(&self) {
        self.open.iter().for_each(OutputPort::close_if_gone);
    }

    /// Lets go of the rings of outputs that are gone and have given everything back.
    pub(super) fn bury(&mut self, accounts: &FrameAccounting) {
        self.bury_all(OutputPort::has_ended, accounts);
    }

    /// Lets go of the rings whose consumers were there for a time and are gone; to be called when
    /// what they had is back.
    #[inline]
    pub(super) fn let_go(&mut self, accounts: &FrameAccounting) {
        if self.open.iter().any(OutputPort::is_left) {
            self.bury_all(OutputPort::is_left, accounts);
        }
    }

    #[cold]
    fn bury_all(&mut self, is_over: impl Fn(&OutputPort) -> bool, accounts: &FrameAccounting) {
        let Self { open, is_uniform, changed_at, ended, .. } = self;
        for tap in open.extract_if(.., |tap| is_over(tap)) {
            let ledgers = tap.ledgers(accounts, changed_at).collect();
            let last = Ended { id: tap.id, ledgers, counts: tap.counts() };
            match ended.iter_mut().find(|ended| ended.id == tap.id) {
                Some(ended) => ended.merge(&last),
                None => ended.push(last),
            }
        }
        *is_uniform = open.iter().all(OutputPort::gets_all);
    }

    /// Takes back what the consumers have released.
    #[inline]
    pub(super) fn reclaim(&mut self, refs: &mut RefCounts, free: &mut FreeList) {
        for tap in &mut self.open {
            tap.reclaim(refs, free);
        }
    }

    /// Offers each frame to each output, and publishes with one store per ring. The batch is empty
    /// afterwards.
    #[inline(never)]
    pub(super) fn publish(
        &mut self,
        queue: &RxQueue,
        batch: &mut RxBatch,
        refs: &mut RefCounts,
        free: &mut FreeList,
        stages: &mut Stages,
        control: &ControlChannel,
    ) {
        let count = batch.works().len();
        if count == 0 {
            batch.clear();
            return;
        }
        #[cfg(debug_assertions)]
        batch
            .works()
            .iter()
            .for_each(|work| assert_eq!(work.generation, stages.generation(), "one ruleset"));
        if self.when_full == WhenFull::Wait && !control.is_draining() {
            self.wait_for_room(batch.descriptors(), refs, free, control);
        }
        if !self.is_uniform || batch.has_parts() {
            self.publish_chosen(queue, batch, refs, free, stages);
            return;
        }
        let (least, most) = self.divide(count);
        let (taken, refused) = batch.works_mut().split_at_mut(most);
        self.hand_out(taken, refused, least, refs);
        stages.deliver(taken.len());
        self.refuse(refused, free, stages);
        batch.clear();
    }

    /// Decides how many of `count` frames each output takes; returns the smallest and the largest
    /// number.
    #[inline]
    fn divide(&mut self, count: usize) -> (usize, usize) {
        let (mut least, mut most) = (count, 0);
        for tap in &mut self.open {
            tap.takes = if tap.is_open { tap.writer.room().min(count) } else { 0 };
            (least, most) = (least.min(tap.takes), most.max(tap.takes));
        }
        (least.min(most), most)
    }

    /// Turns the chunks of the frames that somebody takes into claims and publishes them; the first
    /// `least` are taken by all.
    #[inline]
    fn hand_out(
        &mut self,
        taken: &mut [PacketContext],
        refused: &[PacketContext],
        least: usize,
        refs: &mut RefCounts,
    ) {
        if let [tap] = &mut self.open[..] {
            let claimed = taken.iter_mut().map(|work| {
                let chunk_ref = refs.publish_alone(work.received.take_chunk());
                (&work.descriptor, chunk_ref)
            });
            tap.writer.push_all(claimed);
            tap.writer.publish();
            tap.miss(refused);
            return;
        }
        let (by_all, by_some) = taken.split_at_mut(least);
        for work in by_all {
            work.chunk_refs = refs.publish(work.received.take_chunk(), self.open.len());
        }
        for (place, work) in (least..).zip(by_some) {
            let takers = self.open.iter().filter(|tap| tap.takes > place).count();
            work.chunk_refs = refs.publish(work.received.take_chunk(), takers);
        }
        for tap in &mut self.open {
            tap.take(taken, refused);
        }
    }

    /// As the rest of [`Self::publish`] does, where some outputs get the frames of some sessions
    /// only, or a frame lies in several chunks.
    fn publish_chosen(
        &mut self,
        queue: &RxQueue,
        batch: &mut RxBatch,
        refs: &mut RefCounts,
        free: &mut FreeList,
        stages: &mut Stages,
    ) {
        let (works, parts) = batch.with_parts();
        // What was removed from the batch has left its parts, without chunks.
        for work in works.iter_mut().filter(|work| work.further != FurtherChunks::NONE) {
            work.lay_out(parts, free);
        }
        if self.open.iter().any(OutputPort::is_narrow) {
            self.flows.clear();
            self.flows.extend(works.iter().map(|work| work.flow(queue)));
        }
        self.open.iter_mut().for_each(|tap| tap.choose(works, &self.flows));
        let wanted = self.open.iter().fold(0, |places, tap| places | tap.chosen | tap.missed);
        for (place, work) in works.iter_mut().enumerate() {
            let takers = self.open.iter().filter(|tap| tap.chosen >> place & 1 == 1).count();
            let further = &mut parts[work.further.range()];
            if takers > 0 {
                work.chunk_refs = refs.publish(work.received.take_chunk(), takers);
                for part in further {
                    part.chunk_refs = refs.publish(part.received.take_chunk(), takers);
                }
                stages.deliver(1);
                continue;
            }
            for part in further {
                free.give(part.received.take_chunk());
            }
            let is_wanted = wanted >> place & 1 == 1;
            let reason = if is_wanted { DropReason::OutputFull } else { DropReason::NoOutput };
            stages.refuse(&work.descriptor, reason);
            free.give(work.received.take_chunk());
        }
        self.open.iter_mut().for_each(|tap| tap.take_chosen(works, parts));
        batch.clear();
    }

    /// Takes back and counts what nobody has taken.
    #[inline]
    fn refuse(&self, refused: &mut [PacketContext], free: &mut FreeList, stages: &mut Stages) {
        let reason =
            if self.open.is_empty() { DropReason::NoOutput } else { DropReason::OutputFull };
        for work in refused {
            stages.refuse(&work.descriptor, reason);
            free.give(work.received.take_chunk());
        }
    }

    /// Returns when each output has room for `count` frames, or is empty, or has lost its consumer,
    /// or when the worker is told to end.
    fn wait_for_room(
        &mut self,
        count: usize,
        refs: &mut RefCounts,
        free: &mut FreeList,
        control: &ControlChannel,
    ) {
        let is_stuck =
            |tap: &OutputPort| tap.is_open && tap.writer.room() < count.min(tap.writer.len());
        while self.open.iter().any(is_stuck) && !control.is_draining() {
            self.reclaim(refs, free);
            if self.open.iter().any(is_stuck) {
                thread::sleep(ROOM_PAUSE);
            }
        }
    }

    /// Copies the counts, which follow from the sessions' accounts.
    pub(super) fn copy_to(&self, accounts: &FrameAccounting, posted: &mut WorkerCounters) {
        posted.clear_outputs();
        for tap in &self.open {
            posted.add_ring(tap.id, tap.ledgers(accounts, &self.changed_at), tap.counts());
        }
        for ended in &self.ended {
            posted.add_ring(ended.id, ended.ledgers.iter().copied(), ended.counts);
        }
    }
}
