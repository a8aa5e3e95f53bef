//! What became of each datagram.
//!
//! A worker counts in plain integers of its own and copies them out about every tenth of a second;
//! readers see a whole copy, never half of one. The laws that hold in every copy:
//!
//! - per worker: received = delivered + the sum of its drops,
//! - per session: received = delivered + the sum of its drops,
//! - per output and session: what was meant for it = delivered + full.
//!
//! A datagram is delivered when at least one output has taken it. Per session only what was
//! received and what was dropped is counted, and what was delivered follows; a worker counts its
//! deliveries, and each ring its descriptors, by themselves, so that a frame that gets lost between
//! the two shows.

use std::sync::Mutex;

use crate::drop_reason::Drops;
pub use crate::frame_bytes::FrameBytes;
pub use crate::reassembly::ReassemblyCounters;
use crate::session::Pair;
use crate::sys::lock;
pub use crate::xsk::KernelCounters;

/// Datagrams of one session, or of one worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SessionCounters {
    /// Everything that came. Bytes: of the outer frame for a worker, of the captured inner frame
    /// for a session.
    pub received: FrameBytes,
    /// What at least one output took. Bytes: of the captured inner frame.
    pub delivered: FrameBytes,
    /// What none took, by reason.
    pub drops: Drops,
    /// Frames that were cut before they came, so that their captured length is below their original
    /// one. Part of `received`.
    pub cut: u64,
    /// Frames that passed and were cut to the session's packet length here. Part of `received`.
    pub sliced: u64,
    /// Frames whose direction could not be inferred, in sessions with a filter. Part of `received`.
    pub direction_unknown: u64,
}

impl SessionCounters {
    /// Adds another ledger.
    pub fn merge(&mut self, other: &Self) {
        let Self { received, delivered, drops, cut, sliced, direction_unknown } = other;
        self.received.merge(*received);
        self.delivered.merge(*delivered);
        self.drops.merge(drops);
        self.cut += cut;
        self.sliced += sliced;
        self.direction_unknown += direction_unknown;
    }

    /// Whether received = delivered + drops.
    pub fn adds_up(&self) -> bool {
        self.received.frames == self.delivered.frames + self.drops.total()
    }
}

/// Frames of one session that were meant for one output.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OutputCounters {
    /// Taken by the output's ring. Bytes: of the captured inner frame.
    pub delivered: FrameBytes,
    /// Not taken, because the ring was full or the consumer gone.
    pub full: u64,
}

impl OutputCounters {
    /// Adds another ledger.
    pub const fn merge(&mut self, other: Self) {
        self.delivered.merge(other.delivered);
        self.full += other.full;
    }
}

/// What a ring itself has counted, in frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RingCounts {
    pub(crate) pushed: u64,
    pub(crate) unread: u64,
}

/// In whose hands a worker's chunks are. The parts add up to the whole at every batch boundary.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    /// On the free list.
    pub free: u32,
    /// In the fill ring, the kernel, or the RX ring.
    pub in_flight: u32,
    /// With parts of a frame in several chunks of which not all have come.
    pub waiting: u32,
    /// With outputs.
    pub published: u32,
    /// All.
    pub total: u32,
}

/// A copy of everything that a worker counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WorkerCounters {
    /// All datagrams.
    pub all: SessionCounters,
    /// By session; index 0 is the default session. Drops before the session is known are in `all`
    /// only.
    pub sessions: Vec<SessionCounters>,
    /// By output, then by session. Outputs that a reload adds come behind those that were there;
    /// those that it takes away keep their place.
    pub outputs: Vec<Vec<OutputCounters>>,
    /// By output: frames put into its rings. Counted by the rings themselves, as a check on
    /// [`Self::outputs`].
    pub pushed: Vec<u64>,
    /// By output: frames that lay in its rings, not released, when their consumers went. Part of
    /// what was delivered.
    pub unread: Vec<u64>,
    /// Pairs that nobody declared.
    pub unknown: Vec<(Pair, FrameBytes)>,
    /// Frames of undeclared pairs that found no place in `unknown`.
    pub unknown_beyond: FrameBytes,
    /// What the kernel counts for the queue.
    pub kernel: KernelCounters,
    /// Where the chunks are.
    pub chunks: Chunks,
    /// Datagrams that came without an arrival time and were given the time of their batch.
    pub unstamped: u64,
    /// Datagrams whose VXLAN header has bits set that are reserved there. They change nothing; a
    /// mirror that sets them means something by them, VXLAN-GPE for example.
    pub reserved_bits: u64,
}

impl WorkerCounters {
    /// All zero, for so many sessions (the default one included) and outputs.
    pub(crate) fn zero(session_count: usize, output_count: usize) -> Self {
        Self {
            sessions: vec![SessionCounters::default(); session_count],
            outputs: vec![vec![OutputCounters::default(); session_count]; output_count],
            pushed: vec![0; output_count],
            unread: vec![0; output_count],
            ..Self::default()
        }
    }

    /// Sets the counts of all outputs to zero.
    pub(crate) fn clear_outputs(&mut self) {
        self.outputs.iter_mut().for_each(Vec::clear);
        self.pushed.fill(0);
        self.unread.fill(0);
    }

    /// Adds what one ring of an output has got, by session.
    pub(crate) fn add_ring(
        &mut self,
        output: usize,
        ledgers: impl ExactSizeIterator<Item = OutputCounters>,
        RingCounts { pushed, unread }: RingCounts,
    ) {
        let len = self.outputs.len().max(output + 1);
        self.outputs.resize_with(len, Vec::new);
        self.pushed.resize(len, 0);
        self.unread.resize(len, 0);
        self.pushed[output] += pushed;
        self.unread[output] += unread;
        let sums = &mut self.outputs[output];
        sums.resize(sums.len().max(ledgers.len()), OutputCounters::default());
        sums.iter_mut().zip(ledgers).for_each(|(sum, ledger)| sum.merge(ledger));
    }
}

/// The place where a worker leaves copies of its counters for others to read.
#[derive(Debug, Default)]
pub(crate) struct CountersCell(Mutex<WorkerCounters>);

impl CountersCell {
    /// Leaves a copy, unless somebody reads the last one at this moment: the worker does not wait.
    pub(crate) fn try_publish(&self, copy: impl FnOnce(&mut WorkerCounters)) {
        if let Ok(mut posted) = self.0.try_lock() {
            copy(&mut posted);
        }
    }

    /// Leaves a copy, waiting for a reader if there is one.
    pub(crate) fn publish(&self, copy: impl FnOnce(&mut WorkerCounters)) {
        copy(&mut lock(&self.0));
    }

    /// The last copy.
    pub(crate) fn read(&self) -> WorkerCounters {
        lock(&self.0).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::drop_reason::DropReason;

    #[test]
    fn a_ledger_adds_up_until_a_datagram_is_forgotten() {
        let mut ledger = SessionCounters::default();
        ledger.received.add(100);
        ledger.received.add(60);
        assert!(!ledger.adds_up());
        ledger.delivered.add(50);
        ledger.drops.count(DropReason::OutputFull);
        assert!(ledger.adds_up());
        let mut sum = ledger;
        sum.merge(&ledger);
        assert_eq!(sum.received, FrameBytes { frames: 4, bytes: 320 });
        assert!(sum.adds_up());
    }

    #[test]
    fn a_worker_does_not_wait_for_a_reader() {
        let board = CountersCell::default();
        let reading = board.0.lock().unwrap();
        board.try_publish(|posted| posted.unstamped = 1);
        drop(reading);
        assert_eq!(board.read().unstamped, 0);
        board.try_publish(|posted| posted.unstamped = 2);
        assert_eq!(board.read().unstamped, 2);
    }
}
