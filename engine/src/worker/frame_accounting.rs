//! What a worker counts, in the form that costs least per frame, and how it becomes the public
//! ledgers.
//!
//! Per frame only what cannot be derived is written: what each session received. What it delivered
//! is that less its drops, and what an output took is what it was offered less what it had no room
//! for. Drops are rare, so that their counts lie apart: 10 000 sessions fit a second-level cache.

use crate::counters::{FrameBytes, OutputCounters, SessionCounters};
use crate::drop_reason::{DropReason, Drops};
use crate::session::SessionId;
use crate::sys::prefetch;

/// What is written for every frame of a session; two share a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct Received {
    tally: FrameBytes,
    cut: u64,
}

/// Frames of one session, one after the other. Traffic comes in runs, and adding to memory for each
/// frame of a run would make each wait for the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) session: SessionId,
    received: Received,
}

impl Run {
    /// No frames yet.
    #[inline]
    pub(super) fn of(session: SessionId) -> Self {
        Self { session, received: Received::default() }
    }

    /// Counts a frame of `bytes` captured bytes.
    #[inline]
    pub(super) const fn add(&mut self, bytes: u32, is_cut: bool) {
        self.received.tally.add(bytes as u64);
        self.received.cut += is_cut as u64;
    }
}

/// What a session lost, and what its policy did to the rest.
#[derive(Clone, Copy, Debug, Default)]
struct Lost {
    drops: Drops,
    /// Bytes that were dropped before the outputs were asked, and after.
    bytes_unoffered: u64,
    bytes_refused: u64,
    /// Frames that were cut to the packet length, and the bytes that were cut off.
    sliced: FrameBytes,
    direction_unknown: u64,
}

impl Lost {
    /// Frames that no output was offered.
    fn unoffered(&self) -> u64 {
        let refused =
            [DropReason::NoOutput, DropReason::OutputFull].map(|reason| self.drops.get(reason));
        self.drops.total() - refused.iter().sum::<u64>()
    }
}

/// The accounts of a worker's sessions; index 0 is the default session.
#[derive(Debug)]
pub(super) struct FrameAccounting {
    received: Vec<Received>,
    lost: Vec<Lost>,
}

impl FrameAccounting {
    /// All zero.
    pub(super) fn new(session_count: usize) -> Self {
        let mut accounts = Self { received: Vec::new(), lost: Vec::new() };
        accounts.grow(session_count);
        accounts
    }

    /// Makes room for sessions that are new.
    pub(super) fn grow(&mut self, session_count: usize) {
        self.received.resize(session_count, Received::default());
        self.lost.resize(session_count, Lost::default());
    }

    /// Number of sessions.
    pub(super) const fn len(&self) -> usize {
        self.received.len()
    }

    /// Counts frames that have come one after the other.
    #[inline]
    pub(super) fn receive(&mut self, run: Run) {
        let received = &mut self.received[run.session.index()];
        received.tally.merge(run.received.tally);
        received.cut += run.received.cut;
    }

    /// Asks the CPU to fetch what [`Self::receive`] will change.
    #[inline]
    pub(super) fn prefetch(&self, session: SessionId) {
        prefetch((&raw const self.received[session.index()]).cast());
    }

    /// Counts a frame that no output is offered.
    #[inline]
    pub(super) fn drop_unoffered(&mut self, session: SessionId, bytes: u32, reason: DropReason) {
        let lost = &mut self.lost[session.index()];
        lost.drops.count(reason);
        lost.bytes_unoffered += u64::from(bytes);
    }

    /// Counts a frame of which `bytes` were cut off.
    pub(super) fn slice(&mut self, session: SessionId, bytes: u32) {
        self.lost[session.index()].sliced.add(u64::from(bytes));
    }

    /// Counts a frame whose direction could not be inferred.
    pub(super) fn direction_unknown(&mut self, session: SessionId) {
        self.lost[session.index()].direction_unknown += 1;
    }

    /// Counts a frame that no output took.
    #[inline]
    pub(super) fn drop_refused(&mut self, session: SessionId, bytes: u32, reason: DropReason) {
        let lost = &mut self.lost[session.index()];
        lost.drops.count(reason);
        lost.bytes_refused += u64::from(bytes);
    }

    /// The public form of all accounts, in the order of the sessions.
    pub(super) fn ledgers(&self) -> impl Iterator<Item = SessionCounters> {
        (0..self.received.len()).map(|session| self.ledger(session))
    }

    /// The public form of a session's account.
    fn ledger(&self, session: usize) -> SessionCounters {
        let (Received { tally, cut }, lost) = (self.received[session], &self.lost[session]);
        let delivered = FrameBytes {
            frames: tally.frames - lost.drops.total(),
            bytes: tally.bytes - lost.bytes_unoffered - lost.bytes_refused - lost.sliced.bytes,
        };
        SessionCounters {
            received: tally,
            delivered,
            drops: lost.drops,
            cut,
            sliced: lost.sliced.frames,
            direction_unknown: lost.direction_unknown,
        }
    }

    /// What the outputs were offered of a session.
    fn offered(&self, session: usize) -> FrameBytes {
        let (tally, lost) = (self.received[session].tally, &self.lost[session]);
        FrameBytes {
            frames: tally.frames - lost.unoffered(),
            bytes: tally.bytes - lost.bytes_unoffered - lost.sliced.bytes,
        }
    }

    /// What the outputs were offered, in the order of the sessions.
    pub(super) fn offered_by_session(&self) -> impl Iterator<Item = FrameBytes> {
        (0..self.received.len()).map(|session| self.offered(session))
    }

    /// What the outputs were offered of a session since then; `before` has what they were offered
    /// up to then.
    pub(super) fn offered_since(&self, session: usize, before: &[FrameBytes]) -> FrameBytes {
        let (now, before) =
            (self.offered(session), before.get(session).copied().unwrap_or_default());
        FrameBytes { frames: now.frames - before.frames, bytes: now.bytes - before.bytes }
    }

    /// What an output took of a session that did not take `not_taken` of what was offered, `full`
    /// of it for want of room.
    pub(super) fn output_ledger(
        &self,
        session: usize,
        not_taken: FrameBytes,
        full: FrameBytes,
    ) -> OutputCounters {
        let offered = self.offered(session);
        let delivered = FrameBytes {
            frames: offered.frames - not_taken.frames,
            bytes: offered.bytes - not_taken.bytes,
        };
        OutputCounters { delivered, full: full.frames }
    }
}

const _: () = assert!(size_of::<Received>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_is_what_was_counted() {
        let mut accounts = FrameAccounting::new(2);
        let session = SessionId(1);
        let mut run = Run::of(session);
        for bytes in [100, 60, 80, 70] {
            run.add(bytes, bytes == 60);
        }
        accounts.receive(run);
        accounts.drop_unoffered(session, 100, DropReason::UnknownSession);
        accounts.drop_refused(session, 60, DropReason::OutputFull);
        let ledger = accounts.ledger(1);
        assert_eq!((ledger.received, ledger.cut), (FrameBytes { frames: 4, bytes: 310 }, 1));
        assert_eq!(ledger.delivered, FrameBytes { frames: 2, bytes: 150 });
        assert!(ledger.adds_up());
        // This output had no room for the frame that nobody took, nor for the one of 80 bytes.
        let full = FrameBytes { frames: 2, bytes: 140 };
        let output = accounts.output_ledger(1, full, full);
        assert_eq!(
            output,
            OutputCounters { delivered: FrameBytes { frames: 1, bytes: 70 }, full: 2 }
        );
        assert_eq!(accounts.ledger(0), SessionCounters::default());
        assert_eq!(accounts.ledgers().map(|ledger| ledger.cut).sum::<u64>(), 1);
    }
}
