//! The worker's ends of all output rings: frames go out, chunks come back.

use std::thread;
use std::time::Duration;

use super::ControlChannel;
use super::batch::{PacketContext, RxBatch};
use super::chain::FurtherChunks;
use super::frame_accounting::FrameAccounting;
use super::output_port::OutputPort;
use crate::counters::{FrameBytes, OutputCounters, RingCounters, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::ring::Writer;
use crate::ruleset::{OutputSelector, Ruleset};
use crate::xsk::{FreeList, RefCounts};

/// Treatment of a frame for which an output has no room.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WhenFull {
    /// The output loses the frame: a NIC does not wait.
    Drop,
    /// The worker waits for room: a capture file can wait.
    Wait,
}

/// Pause of a worker that waits for a consumer. The consumer itself naps for as long or a few times
/// longer.
const ROOM_PAUSE: Duration = Duration::from_micros(50);

/// All output rings of a worker.
#[derive(Debug)]
pub(super) struct OutputPorts {
    ports: Vec<OutputPort>,
    /// `true` if each of them takes the frames of all sessions.
    is_uniform: bool,
    /// Frames that the outputs had been offered when the routes last changed, by session.
    offered_at_change: Vec<FrameBytes>,
    /// Final counters of removed rings, summed by output.
    retired: Vec<RetiredCounters>,
    when_full: WhenFull,
    /// Generation of the ruleset that the routes are from.
    #[cfg(debug_assertions)]
    generation: u16,
}

/// Counters of the removed rings of an output.
#[derive(Debug)]
struct RetiredCounters {
    id: usize,
    counters: Vec<OutputCounters>,
    ring: RingCounters,
}

impl RetiredCounters {
    fn merge(&mut self, other: &Self) {
        self.counters
            .resize(self.counters.len().max(other.counters.len()), OutputCounters::default());
        self.counters.iter_mut().zip(&other.counters).for_each(|(sum, count)| sum.merge(*count));
        self.ring.pushed += other.ring.pushed;
        self.ring.unread += other.ring.unread;
    }
}

impl OutputPorts {
    /// Returns the rings of outputs, given with the outputs' ids.
    pub(super) fn new(
        outputs: Vec<(usize, Writer)>,
        ruleset: &Ruleset,
        accounting: &FrameAccounting,
        when_full: WhenFull,
    ) -> Self {
        let mut ports = Self {
            ports: Vec::new(),
            is_uniform: true,
            offered_at_change: Vec::new(),
            retired: Vec::new(),
            when_full,
            #[cfg(debug_assertions)]
            generation: ruleset.generation_mark(),
        };
        ports.adopt(ruleset, outputs, accounting);
        ports
    }

    /// Returns the number of rings.
    #[cfg(test)]
    pub(super) const fn count(&self) -> usize {
        self.ports.len()
    }

    /// Returns whether frames without room are dropped.
    pub(super) fn drops_when_full(&self) -> bool {
        self.when_full == WhenFull::Drop
    }

    /// Changes to the routes of a ruleset, and adds the rings of new outputs.
    pub(super) fn adopt(
        &mut self,
        ruleset: &Ruleset,
        outputs: impl IntoIterator<Item = (usize, Writer)>,
        accounting: &FrameAccounting,
    ) {
        self.ports.extend(
            outputs.into_iter().map(|(id, writer)| OutputPort::new(id, writer, false, accounting)),
        );
        self.apply_selectors(ruleset, accounting);
    }

    /// Adds rings of consumers that have attached, each until its consumer detaches.
    #[cold]
    pub(super) fn attach(
        &mut self,
        ruleset: &Ruleset,
        rings: Vec<(usize, Writer)>,
        accounting: &FrameAccounting,
    ) {
        self.ports.extend(
            rings.into_iter().map(|(id, writer)| OutputPort::new(id, writer, true, accounting)),
        );
        self.apply_selectors(ruleset, accounting);
    }

    fn apply_selectors(&mut self, ruleset: &Ruleset, accounting: &FrameAccounting) {
        let Self { ports, is_uniform, offered_at_change, .. } = self;
        for port in ports.iter_mut() {
            let selector =
                ruleset.selectors.get(port.id).cloned().unwrap_or(OutputSelector::CLOSED);
            port.adopt(selector, accounting, offered_at_change);
        }
        *offered_at_change = accounting.offered_by_session().collect();
        *is_uniform = ports.iter().all(OutputPort::is_everything);
        #[cfg(debug_assertions)]
        (self.generation = ruleset.generation_mark());
    }

    /// Closes the rings of removed outputs; their frames can still be read.
    pub(super) fn close_removed(&self) {
        self.ports.iter().for_each(OutputPort::close_if_removed);
    }

    /// Removes the rings of removed outputs from which all chunks are back.
    pub(super) fn retire(&mut self, accounting: &FrameAccounting) {
        self.retire_where(OutputPort::is_drained, accounting);
    }

    /// Removes the rings whose consumers have detached; called when their chunks are back.
    #[inline]
    pub(super) fn retire_detached(&mut self, accounting: &FrameAccounting) {
        if self.ports.iter().any(OutputPort::is_detached) {
            self.retire_where(OutputPort::is_detached, accounting);
        }
    }

    #[cold]
    fn retire_where(
        &mut self,
        is_over: impl Fn(&OutputPort) -> bool,
        accounting: &FrameAccounting,
    ) {
        let Self { ports, is_uniform, offered_at_change, retired, .. } = self;
        for port in ports.extract_if(.., |port| is_over(port)) {
            let counters = port.counters(accounting, offered_at_change).collect();
            let last = RetiredCounters { id: port.id, counters, ring: port.ring_counters() };
            match retired.iter_mut().find(|retired| retired.id == port.id) {
                Some(retired) => retired.merge(&last),
                None => retired.push(last),
            }
        }
        *is_uniform = ports.iter().all(OutputPort::is_everything);
    }

    /// Takes back the chunks that consumers have released.
    #[inline]
    pub(super) fn reclaim(&mut self, refs: &mut RefCounts, free: &mut FreeList) {
        for port in &mut self.ports {
            port.reclaim(refs, free);
        }
    }

    /// Offers each frame to each output, and publishes with one store per ring. The batch is empty
    /// afterwards.
    #[inline(never)]
    pub(super) fn publish(
        &mut self,
        batch: &mut RxBatch,
        refs: &mut RefCounts,
        free: &mut FreeList,
        accounting: &mut FrameAccounting,
    ) {
        let count = batch.packets().len();
        if count == 0 {
            batch.clear();
            return;
        }
        #[cfg(debug_assertions)]
        batch
            .packets()
            .iter()
            .for_each(|packet| assert_eq!(packet.generation, self.generation, "one ruleset"));
        if !self.is_uniform || batch.has_chained() {
            self.publish_selected(batch, refs, free, accounting);
            return;
        }
        let (least, most) = self.assign(count);
        let (taken, refused) = batch.packets_mut().split_at_mut(most);
        self.push_frames(taken, refused, least, refs);
        accounting.deliver(taken.len());
        if !refused.is_empty() {
            self.drop_refused(refused, free, accounting);
        }
        batch.clear();
    }

    /// Decides how many of `count` frames each output takes. Returns the smallest and the largest
    /// number.
    #[inline]
    fn assign(&mut self, count: usize) -> (usize, usize) {
        let (mut least, mut most) = (count, 0);
        for port in &mut self.ports {
            port.take_count = if port.is_open { port.writer.room().min(count) } else { 0 };
            (least, most) = (least.min(port.take_count), most.max(port.take_count));
        }
        (least.min(most), most)
    }

    /// Publishes the chunks of `taken` with a reference for each output that takes them; all
    /// outputs take the first `least` frames.
    #[inline]
    fn push_frames(
        &mut self,
        taken: &mut [PacketContext],
        refused: &[PacketContext],
        least: usize,
        refs: &mut RefCounts,
    ) {
        if let [port] = &mut self.ports[..] {
            let frames = taken.iter_mut().map(|packet| {
                let chunk_ref = refs.publish_alone(packet.received.take_chunk());
                (&packet.descriptor, chunk_ref)
            });
            port.writer.push_all(frames);
            port.writer.publish();
            port.count_dropped(refused);
            return;
        }
        let (by_all, by_some) = taken.split_at_mut(least);
        for packet in by_all {
            packet.chunk_refs = refs.publish(packet.received.take_chunk(), self.ports.len());
        }
        for (index, packet) in (least..).zip(by_some) {
            let takers = self.ports.iter().filter(|port| port.take_count > index).count();
            packet.chunk_refs = refs.publish(packet.received.take_chunk(), takers);
        }
        for port in &mut self.ports {
            port.push_first(taken, refused);
        }
    }

    /// Does the rest of [`Self::publish`] if some outputs take the frames of some sessions only, or
    /// a frame lies in several chunks.
    fn publish_selected(
        &mut self,
        batch: &mut RxBatch,
        refs: &mut RefCounts,
        free: &mut FreeList,
        accounting: &mut FrameAccounting,
    ) {
        let (packets, chained, flows) = batch.with_flows();
        // Frames that were removed from the batch have left entries without chunks in `chained`.
        for packet in packets.iter_mut().filter(|packet| packet.further != FurtherChunks::NONE) {
            packet.lay_out(chained, free);
        }
        self.ports.iter_mut().for_each(|port| port.select(packets, flows));
        let wanted = self.ports.iter().fold(0, |mask, port| mask | port.selected | port.no_room);
        for (index, packet) in packets.iter_mut().enumerate() {
            let takers = self.ports.iter().filter(|port| port.selected >> index & 1 == 1).count();
            let further = &mut chained[packet.further.range()];
            if takers > 0 {
                packet.chunk_refs = refs.publish(packet.received.take_chunk(), takers);
                for chunk in further {
                    chunk.chunk_refs = refs.publish(chunk.received.take_chunk(), takers);
                }
                accounting.deliver(1);
                continue;
            }
            for chunk in further {
                free.give(chunk.received.take_chunk());
            }
            let is_wanted = wanted >> index & 1 == 1;
            let reason = if is_wanted { DropReason::OutputFull } else { DropReason::NoOutput };
            accounting.drop_refused(&packet.descriptor, reason);
            packet.dropped = Some(reason);
            free.give(packet.received.take_chunk());
        }
        self.ports.iter_mut().for_each(|port| port.push_selected(packets, chained));
        batch.clear();
    }

    /// Takes back and counts the frames that no output has taken.
    #[cold]
    #[inline(never)]
    fn drop_refused(
        &self,
        refused: &mut [PacketContext],
        free: &mut FreeList,
        accounting: &mut FrameAccounting,
    ) {
        let reason =
            if self.ports.is_empty() { DropReason::NoOutput } else { DropReason::OutputFull };
        for packet in refused {
            accounting.drop_refused(&packet.descriptor, reason);
            packet.dropped = Some(reason);
            free.give(packet.received.take_chunk());
        }
    }

    /// Returns whether an output looks at the flow of each frame.
    #[inline]
    pub(super) fn needs_flows(&self) -> bool {
        !self.is_uniform && self.ports.iter().any(OutputPort::selects_per_frame)
    }

    /// Waits until each output has room for `count` frames, or is empty, or has lost its consumer,
    /// or until the worker is told to drain. Returns at once if frames without room are dropped.
    pub(super) fn wait_for_room(
        &mut self,
        count: usize,
        refs: &mut RefCounts,
        free: &mut FreeList,
        control: &ControlChannel,
    ) {
        if self.drops_when_full() {
            return;
        }
        let is_stuck =
            |port: &OutputPort| port.is_open && port.writer.room() < count.min(port.writer.len());
        while self.ports.iter().any(is_stuck) && !control.is_draining() {
            self.reclaim(refs, free);
            if self.ports.iter().any(is_stuck) {
                thread::sleep(ROOM_PAUSE);
            }
        }
    }

    /// Copies the counters of the outputs, which are derived from those of the sessions.
    pub(super) fn copy_to(&self, accounting: &FrameAccounting, counters: &mut WorkerCounters) {
        counters.clear_outputs();
        for port in &self.ports {
            counters.add_ring(
                port.id,
                port.counters(accounting, &self.offered_at_change),
                port.ring_counters(),
            );
        }
        for retired in &self.retired {
            counters.add_ring(retired.id, retired.counters.iter().copied(), retired.ring);
        }
    }
}
