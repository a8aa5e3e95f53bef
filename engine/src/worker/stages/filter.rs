//! The stage that filters: directions, rules, packet lengths, and the mirror's own marks.

use super::Stages;
use crate::config::Direction;
use crate::decap::{Encapsulation, VXLAN_LEN};
use crate::filter::Verdict;
use crate::ring::Descriptor;
use crate::session::{SessionId, VxlanReservedBits};
use crate::sys::lock;
use crate::worker::batch::{BatchMask, PacketContext};
use crate::xsk::{RxFrame, RxQueue};

impl Stages {
    /// Applies the policies of the sessions that have one: notes directions, cuts what passes to
    /// its packet length, and returns the places of the frames that are not wanted.
    #[inline(never)]
    pub(super) fn judge(&mut self, queue: &RxQueue, works: &mut [PacketContext]) -> BatchMask {
        let mut unwanted = 0;
        for (place, work) in works.iter_mut().enumerate() {
            let PacketContext { descriptor, key, received, .. } = work;
            let session = SessionId(descriptor.session);
            let Some(policy) = self.ruleset.policies.get(session) else { continue };
            let inner = queue.part(received, descriptor.addr, descriptor.len);
            let marked = match policy.reserved_bits {
                Some(reserved_bits) => read_reserved_bits(
                    reserved_bits,
                    queue,
                    received,
                    descriptor,
                    &mut self.numbers,
                ),
                None => None,
            };
            let Verdict { direction, outcome } =
                policy.evaluate(inner, descriptor.link(), *key, marked);
            match direction {
                Some(direction) => descriptor.set_direction(direction),
                None if policy.has_filter() => self.accounts.direction_unknown(session),
                None => {}
            }
            if let Err(reason) = outcome {
                unwanted |= self.drop_unwanted(session, descriptor.len, reason) << place;
            } else if let Some(packet_length) = policy.packet_length
                && descriptor.len > packet_length
            {
                self.accounts.slice(session, descriptor.len - packet_length);
                descriptor.len = packet_length;
            }
        }
        if !self.numbers.is_empty() {
            self.note_numbers();
        }
        unwanted
    }

    /// Notes the numbers that mirrors have given to the frames of a batch. All workers note a
    /// session's numbers in one place, which is locked once for all frames of a session that follow
    /// each other.
    #[cold]
    fn note_numbers(&mut self) {
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

/// Reads what the mirror has put into the VXLAN header of a frame, which lies right before what is
/// inside: the number goes to `numbers`, the direction is returned.
#[cold]
fn read_reserved_bits(
    reserved_bits: VxlanReservedBits,
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
    numbers
        .extend(reserved_bits.number(header).map(|number| (SessionId(descriptor.session), number)));
    reserved_bits.direction(header)
}
