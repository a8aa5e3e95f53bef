//! The first stage: removes the tunnel headers.

use super::{Stages, now_ns};
use crate::decap::{self, Inner};
use crate::drop_reason::DropReason;
use crate::worker::batch::{BatchMask, PacketContext, RxBatch};
use crate::worker::chain::{ChainedChunk, FurtherChunks};
use crate::worker::frame_accounting::FrameAccounting;
use crate::worker::head::{HEADERS_LEN, HeadBuffer, Parts, fill_first_chunk};
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
        let (packets, chained, head) = batch.with_chained();
        accounting
            .receive_outer(0, chained.iter().map(|chunk| u64::from(chunk.received.len())).sum());
        for (index, packet) in packets.iter_mut().enumerate() {
            if slow >> index & 1 == 0 && packet.further == FurtherChunks::NONE {
                continue;
            }
            let ports = &self.ruleset.ports;
            let mut inner = decapsulate(queue, packet, chained, ports);
            if needs_whole_head(packet, &inner) {
                let PacketContext { received, further, .. } = &mut *packet;
                fill_first_chunk(queue, received, further, chained, free);
                inner = decapsulate_whole(queue, packet, chained, head, ports);
            }
            if let (Err(DropReason::FragmentRefused), Some(fragments)) =
                (&inner, &mut self.fragments)
            {
                let sessions = &self.ruleset.sessions;
                let now_ns = || now_ns(self.arrival_minus_utc_ns);
                inner = fragments
                    .reassemble(queue, packet, chained, free, sessions, now_ns)
                    .and_then(|()| decapsulate_whole(queue, packet, chained, head, ports));
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
                    packet.dropped = Some(reason);
                }
            }
        }
        refused
    }
}

/// Finds the inner frame of a frame by the headers in its first chunk.
fn decapsulate(
    queue: &RxQueue,
    packet: &PacketContext,
    chained: &[ChainedChunk],
    tunnels: &decap::Ports,
) -> Result<Inner, DropReason> {
    let len = Parts::new(&packet.received, packet.further, chained).len();
    decap::tunnel(queue.frame(&packet.received), len, tunnels)
}

/// Returns whether headers of a frame may lie in its further chunks.
fn needs_whole_head(packet: &PacketContext, inner: &Result<Inner, DropReason>) -> bool {
    let first_len = packet.received.len() as usize;
    packet.further != FurtherChunks::NONE
        && !matches!(inner, Ok(inner) if inner.start + HEADERS_LEN <= first_len)
}

/// Finds the inner frame of a frame by the headers in all of its chunks. The outer ones have to lie
/// in the first chunk, for the outputs.
fn decapsulate_whole(
    queue: &RxQueue,
    packet: &PacketContext,
    chained: &[ChainedChunk],
    head: &mut HeadBuffer,
    tunnels: &decap::Ports,
) -> Result<Inner, DropReason> {
    let parts = Parts::new(&packet.received, packet.further, chained);
    let whole = head.gather(queue, parts, packet.received.addr(), u32::MAX);
    let inner = decap::tunnel(whole, whole.len(), tunnels)?;
    if inner.start > packet.received.len() as usize {
        return Err(DropReason::OuterTooLong);
    }
    Ok(inner)
}
