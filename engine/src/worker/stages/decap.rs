//! The first stage: removes the tunnel headers.

use super::{Stages, now_ns};
use crate::decap::{self, Inner};
use crate::drop_reason::DropReason;
use crate::worker::batch::{BatchMask, PacketContext, RxBatch};
use crate::worker::chain::{ChainedChunk, FurtherChunks};
use crate::worker::frame_accounting::FrameAccounting;
use crate::xsk::{FreeList, RxQueue};

impl Stages {
    /// Removes the tunnel headers. Returns the frames that have none.
    #[inline(never)]
    pub(super) fn decap(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut RxBatch,
        free: &mut FreeList,
        accounting: &mut FrameAccounting,
    ) -> BatchMask {
        let port = self.ruleset.ports.plain();
        let (mut slow, mut bytes) = (0, 0);
        let has_chained = batch.has_chained();
        let packets = batch.packets_mut();
        for (index, packet) in packets.iter_mut().enumerate() {
            bytes += u64::from(packet.received.len());
            match decap::plain_vxlan(queue.frame(&packet.received), port) {
                Some(inner) => packet.set_inner(&inner),
                None => slow |= 1 << index,
            }
        }
        accounting.receive_outer(packets.len(), bytes);
        if slow == 0 && !has_chained {
            0
        } else {
            self.decap_slow_path(queue, batch, slow, free, accounting)
        }
    }

    /// Removes the tunnel headers of the frames in `slow`, which do not have the most frequent
    /// form, and of those in several chunks. Counts and returns the frames without tunnel headers.
    #[cold]
    fn decap_slow_path(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut RxBatch,
        slow: BatchMask,
        free: &mut FreeList,
        accounting: &mut FrameAccounting,
    ) -> BatchMask {
        let mut refused = 0;
        let (packets, chained) = batch.with_chained();
        accounting
            .receive_outer(0, chained.iter().map(|chunk| u64::from(chunk.received.len())).sum());
        for (index, packet) in packets.iter_mut().enumerate() {
            if slow >> index & 1 == 0 && packet.further == FurtherChunks::NONE {
                continue;
            }
            let mut inner = decapsulate(queue, packet, chained, &self.ruleset.ports);
            if let (Err(DropReason::FragmentRefused), Some(fragments)) =
                (&inner, &mut self.fragments)
            {
                inner = fragments
                    .reassemble(queue, packet, chained, free, || now_ns(self.arrival_minus_utc_ns))
                    .and_then(|()| decapsulate(queue, packet, chained, &self.ruleset.ports));
            }
            match inner {
                Ok(inner) => {
                    if inner.encap.has_reserved_bits() {
                        accounting.count_reserved_bits();
                    }
                    packet.set_inner(&inner);
                }
                Err(reason) => {
                    refused |= 1 << index;
                    accounting.drop_outer(reason);
                }
            }
        }
        refused
    }
}

/// Finds the inner frame of a frame in one chunk or several.
fn decapsulate(
    queue: &RxQueue,
    packet: &PacketContext,
    chained: &[ChainedChunk],
    tunnels: &decap::Ports,
) -> Result<Inner, DropReason> {
    let head = queue.frame(&packet.received);
    let further = chained[packet.further.range()].iter().map(|chunk| chunk.received.len() as usize);
    decap::tunnel(head, head.len() + further.sum::<usize>(), tunnels)
}
