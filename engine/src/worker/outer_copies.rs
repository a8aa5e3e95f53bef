//! Copies the outer frames of each batch for the readers of `vxtap tail --outer`, as they arrived,
//! and adds their outcomes when the batch is done.
//!
//! Without a reader a turn tests once whether the list of readers is empty.

use super::batch::RxBatch;
use crate::outer_queue::{CopiedFrames, OuterSender};
use crate::xsk::{RxFrame, RxQueue};

/// The readers, and the copies of the current batch.
#[derive(Debug, Default)]
pub(super) struct OuterCopies {
    senders: Vec<OuterSender>,
    batch: CopiedFrames,
}

impl OuterCopies {
    /// Returns whether there are readers.
    #[inline]
    pub(super) const fn are_wanted(&self) -> bool {
        !self.senders.is_empty()
    }

    /// Adds readers, which get the frames of later batches.
    pub(super) fn attach(&mut self, senders: Vec<OuterSender>) {
        self.senders.extend(senders);
    }

    /// Copies the frames of a batch, before anything changes them. `time_of` returns the arrival
    /// time of a frame in nanoseconds since 1970. Counts the frames as lost if no reader has room.
    /// Locks nothing if nothing has arrived.
    #[cold]
    pub(super) fn copy(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut RxBatch,
        mut time_of: impl FnMut(&mut RxQueue, &RxFrame) -> u64,
    ) {
        self.batch.clear();
        self.senders.retain(|sender| !sender.is_reader_gone());
        let (packets, chained, _) = batch.with_chained();
        if packets.is_empty() {
            return;
        }
        if !self.senders.iter().any(OuterSender::has_room) {
            for sender in &self.senders {
                sender.lose(packets.len());
            }
            return;
        }
        for (nth, packet) in (0..).zip(packets) {
            (packet.nth, packet.dropped) = (nth, None);
            let time_ns = time_of(queue, &packet.received);
            let further = chained[packet.further.range()].iter().map(|chunk| &chunk.received);
            let parts = std::iter::once(&packet.received).chain(further);
            self.batch.push(time_ns, parts.map(|part| queue.frame(part)));
        }
    }

    /// Gives the copies to the readers, with the outcomes that the stages and the outputs have left
    /// in the batch.
    #[cold]
    pub(super) fn hand_over(&mut self, batch: &RxBatch) {
        let Self { senders, batch: copies } = self;
        if copies.len() == 0 {
            return;
        }
        for packet in batch.slots(copies.len()) {
            copies.frames_mut()[usize::from(packet.nth)].dropped = packet.dropped;
        }
        for sender in senders {
            sender.send(copies);
        }
    }
}
