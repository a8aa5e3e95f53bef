//! Counters of each datagram's outcome.
//!
//! A worker counts in plain integers of its own and copies them about every tenth of a second;
//! readers see a complete copy. These equations hold in every copy:
//!
//! - per worker: received = delivered + the sum of its drops,
//! - per session: received = delivered + the sum of its drops,
//! - per output and session: frames routed to it = delivered + dropped.
//!
//! A datagram is delivered when at least one output has taken it. For a session, only received and
//! dropped frames are counted, and delivered is the difference. A worker counts its deliveries and
//! each ring its descriptors separately, so that a frame lost between the two shows.

use std::sync::Mutex;

use crate::drop_reason::Drops;
pub use crate::frame_bytes::FrameBytes;
pub use crate::reassembly::ReassemblyCounters;
use crate::session::SourceVni;
use crate::sys::lock;
pub use crate::xsk::KernelCounters;

/// Datagrams of one session, or of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// All received datagrams. Bytes: of the outer frame for a worker, of the captured inner frame
    /// for a session.
    pub received: FrameBytes,
    /// Datagrams that at least one output took. Bytes: of the captured inner frame.
    pub delivered: FrameBytes,
    /// Datagrams that no output took, by reason.
    pub drops: Drops,
    /// Frames that arrived truncated: their captured length is below their original length. Part of
    /// `received`.
    pub received_truncated: u64,
    /// Frames that were truncated here, to the session's packet length. Part of `received`.
    pub truncated: u64,
    /// Frames whose direction could not be inferred, in sessions with a filter. Part of `received`.
    pub direction_unknown: u64,
}

impl SessionCounters {
    /// Adds other counters.
    pub fn merge(&mut self, other: &Self) {
        let Self { received, delivered, drops, received_truncated, truncated, direction_unknown } =
            other;
        self.received.merge(*received);
        self.delivered.merge(*delivered);
        self.drops.merge(drops);
        self.received_truncated += received_truncated;
        self.truncated += truncated;
        self.direction_unknown += direction_unknown;
    }

    /// Returns whether received = delivered + drops.
    pub fn adds_up(&self) -> bool {
        self.received.frames == self.delivered.frames + self.drops.total()
    }
}

/// Frames of one session that were routed to one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounters {
    /// Frames that the output's ring took. Bytes: of the captured inner frame.
    pub delivered: FrameBytes,
    /// Frames lost because the ring was full or the consumer gone.
    pub dropped: u64,
}

impl OutputCounters {
    /// Adds other counters.
    pub const fn merge(&mut self, other: Self) {
        self.delivered.merge(other.delivered);
        self.dropped += other.dropped;
    }
}

/// Counters of a ring itself, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingCounters {
    pub(crate) pushed: u64,
    pub(crate) unread: u64,
}

/// States of a worker's chunks. At every batch boundary the others add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ChunkCounts {
    /// Chunks on the free list.
    pub free: u32,
    /// Chunks in the fill ring, the kernel, or the RX ring.
    pub in_flight: u32,
    /// Chunks of a frame in several chunks that have not all arrived.
    pub incomplete: u32,
    /// Chunks with outputs.
    pub published: u32,
    /// All chunks.
    pub total: u32,
}

/// A copy of all counters of a worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounters {
    /// All datagrams.
    pub total: SessionCounters,
    /// By session; index 0 is the default session. Drops before the session is known are only in
    /// `total`.
    pub sessions: Vec<SessionCounters>,
    /// By output, then by session. Outputs that a reload adds come after the others; those that it
    /// removes keep their index.
    pub outputs: Vec<Vec<OutputCounters>>,
    /// Frames pushed into the rings of each output. Counted by the rings themselves, as a check on
    /// [`Self::outputs`].
    pub pushed: Vec<u64>,
    /// Frames in the rings of each output that were not released when their consumers detached.
    /// Part of the delivered frames.
    pub unread: Vec<u64>,
    /// Traffic of undeclared sources and VNIs.
    pub unknown: Vec<(SourceVni, FrameBytes)>,
    /// Frames of undeclared sources and VNIs for which `unknown` had no room.
    pub unknown_overflow: FrameBytes,
    /// The kernel's counters of the queue.
    pub kernel: KernelCounters,
    /// States of the chunks.
    pub chunks: ChunkCounts,
    /// Datagrams that arrived without an arrival time and got the time of their batch.
    pub unstamped: u64,
    /// Datagrams whose VXLAN header has reserved bits set. This changes nothing here, but the
    /// mirror may use another protocol, such as VXLAN-GPE.
    pub reserved_bits: u64,
}

impl WorkerCounters {
    /// Returns counters that are all zero, for `session_count` sessions (the default session
    /// included) and `output_count` outputs.
    pub(crate) fn zero(session_count: usize, output_count: usize) -> Self {
        Self {
            sessions: vec![SessionCounters::default(); session_count],
            outputs: vec![vec![OutputCounters::default(); session_count]; output_count],
            pushed: vec![0; output_count],
            unread: vec![0; output_count],
            ..Self::default()
        }
    }

    /// Sets the counters of all outputs to zero.
    pub(crate) fn clear_outputs(&mut self) {
        self.outputs.iter_mut().for_each(Vec::clear);
        self.pushed.fill(0);
        self.unread.fill(0);
    }

    /// Adds the counters of one ring of an output, by session.
    pub(crate) fn add_ring(
        &mut self,
        output: usize,
        counters: impl ExactSizeIterator<Item = OutputCounters>,
        RingCounters { pushed, unread }: RingCounters,
    ) {
        let len = self.outputs.len().max(output + 1);
        self.outputs.resize_with(len, Vec::new);
        self.pushed.resize(len, 0);
        self.unread.resize(len, 0);
        self.pushed[output] += pushed;
        self.unread[output] += unread;
        let sums = &mut self.outputs[output];
        sums.resize(sums.len().max(counters.len()), OutputCounters::default());
        sums.iter_mut().zip(counters).for_each(|(sum, counters)| sum.merge(counters));
    }
}

/// Cell in which a worker leaves copies of its counters for other threads.
#[derive(Debug, Default)]
pub(crate) struct CountersCell(Mutex<WorkerCounters>);

impl CountersCell {
    /// Leaves a copy, unless the last one is being read: the worker does not wait.
    pub(crate) fn try_publish(&self, copy: impl FnOnce(&mut WorkerCounters)) {
        if let Ok(mut counters) = self.0.try_lock() {
            copy(&mut counters);
        }
    }

    /// Leaves a copy; waits if the last one is being read.
    pub(crate) fn update(&self, copy: impl FnOnce(&mut WorkerCounters)) {
        copy(&mut lock(&self.0));
    }

    /// Returns the last copy.
    pub(crate) fn read(&self) -> WorkerCounters {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drop_reason::DropReason;

    #[test]
    fn counters_add_up_until_a_datagram_is_forgotten() {
        let mut counters = SessionCounters::default();
        counters.received.add(100);
        counters.received.add(60);
        assert!(!counters.adds_up());
        counters.delivered.add(50);
        counters.drops.count(DropReason::OutputFull);
        assert!(counters.adds_up());
        let mut sum = counters;
        sum.merge(&counters);
        assert_eq!(sum.received, FrameBytes { frames: 4, bytes: 320 });
        assert!(sum.adds_up());
    }

    #[test]
    fn a_worker_does_not_wait_for_a_reader() {
        let cell = CountersCell::default();
        let reading = cell.0.lock().unwrap();
        cell.try_publish(|counters| counters.unstamped = 1);
        drop(reading);
        assert_eq!(cell.read().unstamped, 0);
        cell.try_publish(|counters| counters.unstamped = 2);
        assert_eq!(cell.read().unstamped, 2);
    }
}
