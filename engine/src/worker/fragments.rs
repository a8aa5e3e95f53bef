//! Outer fragments on their way through a worker: into the table that all workers share, and out of
//! it as whole frames.
//!
//! The slow path: a lock and a copy for each fragment. Frames that are whole never come here.

use std::sync::{Arc, Mutex};

use super::batch::PacketContext;
use super::chain::{ChainedChunk, FurtherChunks, PARTS_MAX, has_room_for};
use crate::drop_reason::DropReason;
use crate::reassembly::{Added, Reassembly};
use crate::sys::lock;
use crate::xsk::{FreeList, RxQueue};

/// The table of an engine.
pub(crate) type FragmentTable = Arc<Mutex<Reassembly>>;

/// A worker's access to the table.
#[derive(Debug)]
pub(super) struct Fragments {
    table: FragmentTable,
    /// A fragment as it came, in one piece.
    frame: Vec<u8>,
}

impl Fragments {
    pub(super) const fn new(table: FragmentTable) -> Self {
        Self { table, frame: Vec::new() }
    }

    /// Puts a fragment into the table. If that makes its packet whole, the packet takes the
    /// fragment's place, in its chunk and as many further ones as it needs. `now_ns` is for
    /// fragments without a time of arrival, by the same clock.
    ///
    /// # Errors
    ///
    /// Why the fragment is not to be handed on.
    pub(super) fn put_together(
        &mut self,
        queue: &mut RxQueue,
        work: &mut PacketContext,
        parts: &mut Vec<ChainedChunk>,
        free: &mut FreeList,
        now_ns: impl FnOnce() -> u64,
    ) -> Result<(), DropReason> {
        let Self { table, frame } = self;
        frame.clear();
        frame.extend_from_slice(queue.frame(&work.received));
        for part in &parts[work.further.range()] {
            frame.extend_from_slice(queue.frame(&part.received));
        }
        let time_ns = queue.arrival_ns(&work.received).unwrap_or_else(now_ns);
        let mut table = lock(table);
        match table.add(frame, time_ns) {
            Added::Whole(whole) => place(whole, queue, work, parts, free),
            Added::Kept => Err(DropReason::FragmentKept),
            Added::Refused => Err(DropReason::FragmentRefused),
        }
    }

    /// Gives up fragments whose others have not come in time.
    pub(super) fn expire(&self, now_ns: u64) {
        lock(&self.table).expire(now_ns);
    }
}

/// Writes a whole frame over the one that has made it whole. Without chunks for it there is nothing
/// to be had.
fn place(
    whole: &[u8],
    queue: &RxQueue,
    work: &mut PacketContext,
    parts: &mut Vec<ChainedChunk>,
    free: &mut FreeList,
) -> Result<(), DropReason> {
    for part in &mut parts[work.further.range()] {
        free.give(part.received.take_chunk());
    }
    work.further = FurtherChunks::NONE;
    let geometry = queue.umem().geometry();
    let rest = whole.len().saturating_sub(queue.room(&work.received));
    let count = rest.div_ceil(geometry.frame_max() as usize);
    if count >= PARTS_MAX || !has_room_for(parts, count) || free.len() < count {
        return Err(DropReason::FragmentRefused);
    }
    let (here, rest) = whole.split_at(whole.len() - rest);
    queue.overwrite(&mut work.received, here);
    let start = parts.len();
    for piece in rest.chunks(geometry.frame_max() as usize) {
        let Some(chunk) = free.take() else { break };
        parts.push(ChainedChunk::new(queue.fill(chunk, piece)));
    }
    if count > 0 {
        work.further = FurtherChunks::new(start, count);
    }
    Ok(())
}
