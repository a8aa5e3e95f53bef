//! Outer fragments: from a worker into the table that all workers share, and back as whole frames.
//!
//! This is the slow path, with a lock and a copy for each fragment. Whole frames never take it.

use std::sync::{Arc, Mutex};

use super::batch::PacketContext;
use super::chain::{CHAIN_LEN_MAX, ChainedChunk, FurtherChunks, has_room_for};
use crate::drop_reason::DropReason;
use crate::reassembly::{Added, Reassembly};
use crate::session::SessionTable;
use crate::sys::lock;
use crate::xsk::{FreeList, RxQueue};

/// The reassembly table of an engine.
pub(crate) type FragmentTable = Arc<Mutex<Reassembly>>;

/// A worker's access to the table.
#[derive(Debug)]
pub(super) struct Fragments {
    table: FragmentTable,
    /// A fragment, copied into one piece.
    frame: Vec<u8>,
}

impl Fragments {
    pub(super) const fn new(table: FragmentTable) -> Self {
        Self { table, frame: Vec::new() }
    }

    /// Adds a fragment to the table. If that completes its packet, the packet replaces the
    /// fragment, in its chunk and as many further ones as it needs. `now_ns` is the time of
    /// fragments without an arrival time, by the same clock; `sessions` knows the declared sources.
    ///
    /// # Errors
    ///
    /// The reason why there is no frame to process.
    pub(super) fn reassemble(
        &mut self,
        queue: &mut RxQueue,
        packet: &mut PacketContext,
        chained: &mut Vec<ChainedChunk>,
        free: &mut FreeList,
        sessions: &SessionTable,
        now_ns: impl FnOnce() -> u64,
    ) -> Result<(), DropReason> {
        let Self { table, frame } = self;
        frame.clear();
        frame.extend_from_slice(queue.frame(&packet.received));
        for chunk in &chained[packet.further.range()] {
            frame.extend_from_slice(queue.frame(&chunk.received));
        }
        let time_ns = queue.arrival_ns(&packet.received).unwrap_or_else(now_ns);
        let mut table = lock(table);
        match table.add_from(frame, time_ns, |source| sessions.has_source(source)) {
            Added::Whole(whole) => replace_with(whole, queue, packet, chained, free),
            Added::Kept => Err(DropReason::FragmentKept),
            Added::Refused => Err(DropReason::FragmentRefused),
        }
    }

    /// Gives up packets whose fragments have not all arrived in time.
    pub(super) fn expire(&self, now_ns: u64) {
        lock(&self.table).expire(now_ns);
    }
}

/// Replaces a fragment by the whole frame that it completed. Refuses the frame if there are not
/// enough free chunks.
fn replace_with(
    whole: &[u8],
    queue: &RxQueue,
    packet: &mut PacketContext,
    chained: &mut Vec<ChainedChunk>,
    free: &mut FreeList,
) -> Result<(), DropReason> {
    for chunk in &mut chained[packet.further.range()] {
        free.give(chunk.received.take_chunk());
    }
    packet.further = FurtherChunks::NONE;
    let geometry = queue.umem().geometry();
    let rest = whole.len().saturating_sub(queue.room(&packet.received));
    let count = rest.div_ceil(geometry.frame_max() as usize);
    if count >= CHAIN_LEN_MAX || !has_room_for(chained, count) || free.len() < count {
        return Err(DropReason::FragmentRefused);
    }
    let (here, rest) = whole.split_at(whole.len() - rest);
    queue.overwrite(&mut packet.received, here);
    let start = chained.len();
    for bytes in rest.chunks(geometry.frame_max() as usize) {
        let Some(chunk) = free.take() else { break };
        chained.push(ChainedChunk::new(queue.fill(chunk, bytes)));
    }
    if count > 0 {
        packet.further = FurtherChunks::new(start, count);
    }
    Ok(())
}
