//! The first stage: the tunnel comes off.

use super::{Stages, now_ns};
use crate::counters::FrameBytes;
use crate::decap::{self, Inner};
use crate::drop_reason::DropReason;
use crate::worker::batch::{BatchMask, PacketContext, RxBatch};
use crate::worker::chain::{ChainedChunk, FurtherChunks};
use crate::xsk::{FreeList, RxQueue};

impl Stages {
    /// Tunnel off. Returns the places of the frames that have none.
    #[inline(never)]
    pub(super) fn decap(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut RxBatch,
        free: &mut FreeList,
    ) -> BatchMask {
        let port = self.ruleset.ports.plain();
        let (mut odd, mut bytes) = (0, 0);
        let has_parts = batch.has_parts();
        let works = batch.works_mut();
        for (place, work) in works.iter_mut().enumerate() {
            bytes += u64::from(work.received.len());
            match decap::plain_vxlan(queue.frame(&work.received), port) {
                Some(inner) => work.open(&inner),
                None => odd |= 1 << place,
            }
        }
        self.all.received.merge(FrameBytes { frames: works.len() as u64, bytes });
        if odd == 0 && !has_parts { 0 } else { self.decap_odd(queue, batch, odd, free) }
    }

    /// Takes the tunnel off the frames at `odd`, which do not look like almost all others, and off
    /// those in several chunks. Those that have none are counted, and their places returned.
    #[cold]
    fn decap_odd(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut RxBatch,
        odd: BatchMask,
        free: &mut FreeList,
    ) -> BatchMask {
        let mut refused = 0;
        let (works, parts) = batch.with_parts();
        self.all.received.bytes +=
            parts.iter().map(|part| u64::from(part.received.len())).sum::<u64>();
        for (place, work) in works.iter_mut().enumerate() {
            if odd >> place & 1 == 0 && work.further == FurtherChunks::NONE {
                continue;
            }
            let mut opened = open(queue, work, parts, &self.ruleset.ports);
            if let (Err(DropReason::FragmentRefused), Some(fragments)) =
                (&opened, &mut self.fragments)
            {
                opened = fragments
                    .put_together(queue, work, parts, free, || now_ns(self.arrival_minus_utc_ns))
                    .and_then(|()| open(queue, work, parts, &self.ruleset.ports));
            }
            match opened {
                Ok(inner) => {
                    self.reserved_bits += u64::from(inner.encap.has_reserved_bits());
                    work.open(&inner);
                }
                Err(reason) => {
                    refused |= 1 << place;
                    self.all.drops.count(reason);
                }
            }
        }
        refused
    }
}

/// Takes the tunnel off a frame in one chunk or several.
fn open(
    queue: &RxQueue,
    work: &PacketContext,
    parts: &[ChainedChunk],
    tunnels: &decap::Ports,
) -> Result<Inner, DropReason> {
    let head = queue.frame(&work.received);
    let further = parts[work.further.range()].iter().map(|part| part.received.len() as usize);
    decap::tunnel(head, head.len() + further.sum::<usize>(), tunnels)
}
