//! The stage that filters: directions, rules, packet lengths, and the mirror's use of reserved
//! bits.

use super::Stages;
use crate::config::Direction;
use crate::decap::{Encapsulation, VXLAN_LEN};
use crate::filter::Verdict;
use crate::ring::Descriptor;
use crate::session::{SessionId, VxlanReservedBits};
use crate::sys::lock;
use crate::worker::batch::{BatchMask, PacketContext, RxBatch};
use crate::worker::chain::FurtherChunks;
use crate::worker::frame_accounting::FrameAccounting;
use crate::worker::head::Parts;
use crate::xsk::{RxFrame, RxQueue};

impl Stages {
    /// Applies the policies of the sessions that have one: sets directions, truncates accepted
    /// frames to the packet length, and returns the frames to drop.
    #[inline(never)]
    pub(super) fn filter(
        &mut self,
        queue: &RxQueue,
        batch: &mut RxBatch,
        accounting: &mut FrameAccounting,
    ) -> BatchMask {
        if batch.has_chained() {
            self.filter_chained(queue, batch, accounting)
        } else {
            self.filter_each::<false>(queue, batch, accounting)
        }
    }

    #[cold]
    #[inline(never)]
    fn filter_chained(
        &mut self,
        queue: &RxQueue,
        batch: &mut RxBatch,
        accounting: &mut FrameAccounting,
    ) -> BatchMask {
        self.filter_each::<true>(queue, batch, accounting)
    }

    /// Does what [`Self::filter`] does. `CHAINED`: frames of the batch may lie in several chunks;
    /// without them the loop has no test for it.
    #[inline]
    fn filter_each<const CHAINED: bool>(
        &mut self,
        queue: &RxQueue,
        batch: &mut RxBatch,
        accounting: &mut FrameAccounting,
    ) -> BatchMask {
        let mut unwanted = 0;
        let (packets, chained, head) = batch.with_chained();
        for (index, packet) in packets.iter_mut().enumerate() {
            let PacketContext { descriptor, key, received, further, dropped, .. } = packet;
            let session = SessionId(descriptor.session);
            let Some(policy) = self.ruleset.policies.get(session) else { continue };
            let inner = if !CHAINED || *further == FurtherChunks::NONE {
                queue.part(received, descriptor.addr, descriptor.len)
            } else {
                let parts = Parts::new(received, *further, chained);
                head.inner(queue, parts, descriptor, descriptor.len)
            };
            let marked = match policy.reserved_bits {
                Some(bits) => {
                    read_reserved_bits(bits, queue, received, descriptor, &mut self.numbers)
                }
                None => None,
            };
            let Verdict { direction, outcome } =
                policy.evaluate(inner, descriptor.link(), *key, marked);
            match direction {
                Some(direction) => descriptor.set_direction(direction),
                None if policy.has_filter() => accounting.direction_unknown(session),
                None => {}
            }
            if let Err(reason) = outcome {
                accounting.drop_unoffered(session, descriptor.len, reason);
                *dropped = Some(reason);
                unwanted |= 1 << index;
            } else if let Some(packet_length) = policy.packet_length
                && descriptor.len > packet_length
            {
                accounting.truncate(session, descriptor.len - packet_length);
                descriptor.len = packet_length;
            }
        }
        if !self.numbers.is_empty() {
            self.count_sequence_numbers();
        }
        unwanted
    }

    /// Counts the sequence numbers of a batch. The counts of a session are shared by all workers;
    /// they are locked once for consecutive frames of the session.
    #[cold]
    fn count_sequence_numbers(&mut self) {
        for run in self.numbers.chunk_by(|(one, _), (other, _)| one == other) {
            let policy = run.first().and_then(|(session, _)| self.ruleset.policies.get(*session));
            let Some(sequence) = policy.and_then(|policy| policy.sequence.as_ref()) else {
                continue;
            };
            let mut sequence = lock(sequence);
            for &(_, number) in run {
                sequence.note(number);
            }
        }
        self.numbers.clear();
    }
}

/// Reads the values in the VXLAN header of a frame, which lies directly before the inner frame:
/// appends the sequence number to `numbers`, and returns the direction.
#[cold]
fn read_reserved_bits(
    bits: VxlanReservedBits,
    queue: &RxQueue,
    received: &RxFrame,
    descriptor: &Descriptor,
    numbers: &mut Vec<(SessionId, u32)>,
) -> Option<Direction> {
    if descriptor.encap().encapsulation() == Encapsulation::Geneve {
        return None;
    }
    let start = descriptor.addr - VXLAN_LEN as u64;
    let header = *queue.part(received, start, u32::MAX).first_chunk()?;
    numbers.extend(bits.number(header).map(|number| (SessionId(descriptor.session), number)));
    bits.direction(header)
}
