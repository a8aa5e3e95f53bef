//! The worker's end of one output ring, with its counters.

use super::batch::{BatchMask, PacketContext};
use super::chain::ChainedChunk;
use super::frame_accounting::FrameAccounting;
use crate::counters::{FrameBytes, OutputCounters, RingCounters};
use crate::flow::Flow;
use crate::ring::{Descriptor, Writer};
use crate::ruleset::{OutputSelector, Route};
use crate::session::SessionId;
use crate::xsk::{FreeList, RefCounts};

/// An output ring and its counters.
#[derive(Debug)]
pub(super) struct OutputPort {
    /// Id of the output.
    pub(super) id: usize,
    pub(super) writer: Writer,
    /// `true` if the consumer was there at the start of the turn.
    pub(super) is_open: bool,
    /// Number of frames of the batch that it takes if it takes all sessions: the first ones, since
    /// room does not grow meanwhile.
    pub(super) take_count: usize,
    /// Frames of the batch that it takes, and frames that it has no room for, if it takes some
    /// sessions only.
    pub(super) selected: BatchMask,
    pub(super) no_room: BatchMask,
    /// `true` if its consumer attached while the worker runs. It ends with the consumer, and its
    /// output may have several.
    is_attached: bool,
    /// Number of descriptors pushed for the further chunks of frames.
    chained_descriptors: u64,
    /// Selects its frames.
    selector: OutputSelector,
    /// Frames that it had no room for, by session.
    dropped: Vec<FrameBytes>,
    /// Offered frames that were not for this ring, by session: all frames of a session while the
    /// session was not routed to it, up to the last change of routes, and frames of routed sessions
    /// that its selector refused.
    not_routed: Vec<FrameBytes>,
}

impl OutputPort {
    /// Returns a port that takes frames from now on: frames offered before count as not routed.
    pub(super) fn new(
        id: usize,
        writer: Writer,
        is_attached: bool,
        accounting: &FrameAccounting,
    ) -> Self {
        Self {
            id,
            writer,
            is_open: true,
            take_count: 0,
            selected: 0,
            no_room: 0,
            is_attached,
            chained_descriptors: 0,
            selector: OutputSelector::default(),
            dropped: vec![FrameBytes::default(); accounting.len()],
            not_routed: accounting.offered_by_session().collect(),
        }
    }

    /// Returns whether it takes all frames of all sessions.
    pub(super) const fn is_everything(&self) -> bool {
        self.selector.is_everything()
    }

    /// Returns whether frames of its sessions are selected one by one.
    pub(super) const fn selects_per_frame(&self) -> bool {
        self.selector.per_frame.is_some()
    }

    /// Changes to another selector. `offered_at_change` has the frames offered of each session at
    /// the last change.
    pub(super) fn adopt(
        &mut self,
        selector: OutputSelector,
        accounting: &FrameAccounting,
        offered_at_change: &[FrameBytes],
    ) {
        self.dropped.resize(accounting.len(), FrameBytes::default());
        self.not_routed.resize(accounting.len(), FrameBytes::default());
        for (session, not_routed) in self.not_routed.iter_mut().enumerate() {
            if !self.selector.route.has(session) {
                not_routed.merge(accounting.offered_since(session, offered_at_change));
            }
        }
        self.selector = selector;
    }

    /// Closes the ring if the output is removed.
    pub(super) fn close_if_removed(&self) {
        if self.selector.route == Route::Closed {
            self.writer.close();
        }
    }

    /// Returns whether its output is removed and all its chunks are back.
    pub(super) fn is_drained(&self) -> bool {
        self.selector.route == Route::Closed && self.writer.outstanding() == 0
    }

    /// Returns whether its consumer had attached and is gone.
    pub(super) const fn is_detached(&self) -> bool {
        self.is_attached && !self.is_open
    }

    /// Selects the frames of a batch that it takes: the first ones that are for it, as many as it
    /// has room for. `flows` has the flows of the frames if it [selects by
    /// frame](Self::selects_per_frame).
    pub(super) fn select(&mut self, packets: &[PacketContext], flows: &[Option<Flow>]) {
        let room = if self.is_open { self.writer.room() } else { 0 };
        (self.selected, self.no_room) = (0, 0);
        let mut taken = 0;
        for (index, packet) in packets.iter().enumerate() {
            let Descriptor { session, len, .. } = packet.descriptor;
            if !self.selector.route.has(session as usize) {
                continue;
            }
            if let Some(per_frame) = &self.selector.per_frame
                && !per_frame.accepts(
                    flows[index].as_ref(),
                    SessionId(session),
                    packet.key,
                    packet.descriptor.direction(),
                )
            {
                self.not_routed[session as usize].add(u64::from(len));
                continue;
            }
            if taken + 1 + packet.further.len() <= room {
                taken += 1 + packet.further.len();
                self.selected |= 1 << index;
            } else {
                self.no_room |= 1 << index;
            }
        }
    }

    /// Publishes the selected frames, and counts those that it had no room for.
    pub(super) fn push_selected(
        &mut self,
        packets: &mut [PacketContext],
        chained: &mut [ChainedChunk],
    ) {
        let selected = self.selected;
        let frames = packets.iter_mut().enumerate().filter(|(index, _)| selected >> index & 1 == 1);
        if chained.is_empty() {
            self.writer
                .push_all(frames.map(|(_, packet)| (&packet.descriptor, packet.chunk_refs.take())));
        } else {
            frames.for_each(|(_, packet)| {
                self.push_chained(packet, &mut chained[packet.further.range()]);
            });
        }
        self.writer.publish();
        for (index, packet) in packets.iter().enumerate() {
            if self.no_room >> index & 1 == 1 {
                self.count_dropped(std::slice::from_ref(packet));
            }
        }
    }

    /// Pushes a frame in one chunk or several.
    fn push_chained(&mut self, packet: &mut PacketContext, chained: &mut [ChainedChunk]) {
        let head = Descriptor {
            len: packet.head_len(chained),
            flags: packet.head_flags(chained),
            ..packet.descriptor
        };
        self.writer.push_all([(&head, packet.chunk_refs.take())]);
        self.writer
            .push_all(chained.iter_mut().map(|chunk| (&chunk.descriptor, chunk.chunk_refs.take())));
        self.chained_descriptors += chained.len() as u64;
    }

    /// Returns the counters of its ring.
    pub(super) const fn ring_counters(&self) -> RingCounters {
        RingCounters {
            pushed: self.writer.pushed() - self.chained_descriptors,
            unread: self.writer.unread(),
        }
    }

    /// Publishes the first `take_count` frames, and counts those that it has no room for: the rest
    /// of `taken`, and all of `refused`.
    #[inline]
    pub(super) fn push_first(&mut self, taken: &mut [PacketContext], refused: &[PacketContext]) {
        let (taken, no_room) = taken.split_at_mut(self.take_count);
        self.writer.push_all(
            taken.iter_mut().map(|packet| (&packet.descriptor, packet.chunk_refs.take())),
        );
        self.writer.publish();
        self.count_dropped(no_room);
        self.count_dropped(refused);
    }

    /// Counts frames that it had no room for.
    #[inline]
    pub(super) fn count_dropped(&mut self, no_room: &[PacketContext]) {
        for PacketContext { descriptor, .. } in no_room {
            self.dropped[descriptor.session as usize].add(u64::from(descriptor.len));
        }
    }

    #[inline]
    pub(super) fn reclaim(&mut self, refs: &mut RefCounts, free: &mut FreeList) {
        self.is_open = !self.writer.is_reader_gone();
        self.writer.reclaim(|chunk_ref| {
            if let Some(chunk) = refs.give_back(chunk_ref) {
                free.give(chunk);
            }
        });
    }

    /// Returns its public counters, in the order of the sessions.
    pub(super) fn counters<'a>(
        &'a self,
        accounting: &'a FrameAccounting,
        offered_at_change: &'a [FrameBytes],
    ) -> impl ExactSizeIterator<Item = OutputCounters> + 'a {
        self.dropped.iter().zip(&self.not_routed).enumerate().map(
            |(session, (&dropped, &not_routed))| {
                let mut not_taken = dropped;
                not_taken.merge(not_routed);
                if !self.selector.route.has(session) {
                    not_taken.merge(accounting.offered_since(session, offered_at_change));
                }
                accounting.output_counters(session, not_taken, dropped)
            },
        )
    }
}
