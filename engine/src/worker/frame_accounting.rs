//! The counters of a worker, in the form that costs least per frame, and their conversion to the
//! public counters.
//!
//! For each frame only one thing is written: the session's received frames and bytes. The delivered
//! ones are those less the drops, and the ones that an output took are the offered ones less those
//! without room. Drops are rare, and their counts are stored apart: the counts of 10 000 sessions
//! fit into a second-level cache.

use crate::counters::{FrameBytes, OutputCounters, SessionCounters, WorkerCounters};
use crate::drop_reason::{DropReason, Drops};
use crate::ring::Descriptor;
use crate::session::{SessionId, SessionKey, UNDECLARED_MAX, UndeclaredTraffic};
use crate::sys::prefetch;

/// Counts that are written for every frame of a session; two fit into a cache line.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(32))]
struct SessionReceived {
    total: FrameBytes,
    received_truncated: u64,
}

/// Consecutive frames of one session. Traffic arrives in runs, and with an addition to memory for
/// each frame, each one would wait for the one before.
#[derive(Clone, Copy, Debug)]
pub(super) struct SessionRun {
    pub(super) session: SessionId,
    received: SessionReceived,
}

impl SessionRun {
    /// Returns a run without frames.
    #[inline]
    pub(super) fn of(session: SessionId) -> Self {
        Self { session, received: SessionReceived::default() }
    }

    /// Counts a frame of `bytes` captured bytes.
    #[inline]
    pub(super) const fn add(&mut self, bytes: u32, is_truncated: bool) {
        self.received.total.add(bytes as u64);
        self.received.received_truncated += is_truncated as u64;
    }
}

/// Drops of a session, and the changes of its policy to the other frames.
#[derive(Clone, Copy, Debug, Default)]
struct SessionLosses {
    drops: Drops,
    /// Bytes that were dropped before the outputs were offered the frames, and after.
    bytes_unoffered: u64,
    bytes_refused: u64,
    /// Frames that were truncated to the packet length, and the bytes that were removed.
    truncated: FrameBytes,
    direction_unknown: u64,
}

impl SessionLosses {
    /// Returns the number of frames that no output was offered.
    fn unoffered(&self) -> u64 {
        let refused =
            [DropReason::NoOutput, DropReason::OutputFull].map(|reason| self.drops.get(reason));
        self.drops.total() - refused.iter().sum::<u64>()
    }
}

/// Counts of all frames that a worker received, and of their outcomes.
#[derive(Debug)]
pub(super) struct FrameAccounting {
    /// All datagrams. Delivered bytes, truncated frames and unknown directions stay zero here: they
    /// are the sums over the sessions.
    total: SessionCounters,
    /// By session; index 0 is the default session.
    received: Vec<SessionReceived>,
    /// By session.
    lost: Vec<SessionLosses>,
    undeclared: UndeclaredTraffic,
    /// Frames without an arrival time.
    unstamped: u64,
    /// Frames with bits set that are reserved in the tunnel header.
    reserved_bits: u64,
}

impl FrameAccounting {
    /// Returns counts that are all zero.
    pub(super) fn new(session_count: usize) -> Self {
        Self {
            total: SessionCounters::default(),
            received: vec![SessionReceived::default(); session_count],
            lost: vec![SessionLosses::default(); session_count],
            undeclared: UndeclaredTraffic::new(UNDECLARED_MAX),
            unstamped: 0,
            reserved_bits: 0,
        }
    }

    /// Makes room for new sessions.
    pub(super) fn grow(&mut self, session_count: usize) {
        self.received.resize(session_count, SessionReceived::default());
        self.lost.resize(session_count, SessionLosses::default());
    }

    /// Returns the number of sessions.
    pub(super) const fn len(&self) -> usize {
        self.received.len()
    }

    /// Counts received datagrams by their outer bytes.
    #[inline]
    pub(super) const fn receive_outer(&mut self, frames: usize, bytes: u64) {
        self.total.received.merge(FrameBytes { frames: frames as u64, bytes });
    }

    /// Counts invalid descriptors.
    #[inline]
    pub(super) const fn count_bad(&mut self, number: u64) {
        self.total.received.frames += number;
        self.total.drops.add(DropReason::BadDescriptor, number);
    }

    /// Counts frames in several chunks that were never completed.
    #[inline]
    pub(super) const fn count_incomplete(&mut self, (frames, bytes): (u64, u64)) {
        self.total.received.merge(FrameBytes { frames, bytes });
        self.total.drops.add(DropReason::IncompleteFrame, frames);
    }

    /// Counts a datagram that is dropped before its session is known.
    pub(super) const fn drop_outer(&mut self, reason: DropReason) {
        self.total.drops.count(reason);
    }

    /// Counts a datagram with reserved bits set in its tunnel header.
    pub(super) const fn count_reserved_bits(&mut self) {
        self.reserved_bits += 1;
    }

    /// Counts a frame without an arrival time.
    #[inline]
    pub(super) const fn count_unstamped(&mut self) {
        self.unstamped += 1;
    }

    /// Counts a frame of an undeclared source and VNI.
    #[inline]
    pub(super) fn count_unknown(&mut self, key: SessionKey, bytes: u32) {
        self.undeclared.count(key, u64::from(bytes));
    }

    /// Counts consecutive frames of a session.
    #[inline]
    pub(super) fn receive(&mut self, run: SessionRun) {
        let received = &mut self.received[run.session.index()];
        received.total.merge(run.received.total);
        received.received_truncated += run.received.received_truncated;
    }

    /// Prefetches the counts that [`Self::receive`] will change.
    #[inline]
    pub(super) fn prefetch(&self, session: SessionId) {
        prefetch((&raw const self.received[session.index()]).cast());
    }

    /// Counts a frame that is dropped before the outputs are offered it.
    #[cold]
    pub(super) fn drop_unoffered(&mut self, session: SessionId, bytes: u32, reason: DropReason) {
        self.total.drops.count(reason);
        let lost = &mut self.lost[session.index()];
        lost.drops.count(reason);
        lost.bytes_unoffered += u64::from(bytes);
    }

    /// Counts a frame from which `bytes` were removed at its end.
    pub(super) fn truncate(&mut self, session: SessionId, bytes: u32) {
        self.lost[session.index()].truncated.add(u64::from(bytes));
    }

    /// Counts a frame whose direction could not be inferred.
    pub(super) fn direction_unknown(&mut self, session: SessionId) {
        self.lost[session.index()].direction_unknown += 1;
    }

    /// Counts frames that at least one output took.
    #[inline]
    pub(super) const fn deliver(&mut self, frames: usize) {
        self.total.delivered.frames += frames as u64;
    }

    /// Counts a frame that no output took.
    #[inline]
    pub(super) fn drop_refused(&mut self, descriptor: &Descriptor, reason: DropReason) {
        self.total.drops.count(reason);
        let lost = &mut self.lost[descriptor.session as usize];
        lost.drops.count(reason);
        lost.bytes_refused += u64::from(descriptor.len);
    }

    /// Copies the counts, except those of the outputs.
    pub(super) fn copy_to(&self, counters: &mut WorkerCounters) {
        counters.total = self.total;
        counters.sessions.clear();
        for session in self.session_counters() {
            counters.total.delivered.bytes += session.delivered.bytes;
            counters.total.received_truncated += session.received_truncated;
            counters.total.truncated += session.truncated;
            counters.total.direction_unknown += session.direction_unknown;
            counters.sessions.push(session);
        }
        counters.unstamped = self.unstamped;
        counters.reserved_bits = self.reserved_bits;
        self.undeclared.copy_to(&mut counters.unknown, &mut counters.unknown_overflow);
    }

    /// Returns the public counters of all sessions, in their order.
    fn session_counters(&self) -> impl Iterator<Item = SessionCounters> {
        (0..self.received.len()).map(|session| self.of_session(session))
    }

    /// Returns the public counters of a session.
    fn of_session(&self, session: usize) -> SessionCounters {
        let (SessionReceived { total, received_truncated }, lost) =
            (self.received[session], &self.lost[session]);
        let delivered = FrameBytes {
            frames: total.frames - lost.drops.total(),
            bytes: total.bytes - lost.bytes_unoffered - lost.bytes_refused - lost.truncated.bytes,
        };
        SessionCounters {
            received: total,
            delivered,
            drops: lost.drops,
            received_truncated,
            truncated: lost.truncated.frames,
            direction_unknown: lost.direction_unknown,
        }
    }

    /// Returns the frames of a session that the outputs were offered.
    fn offered(&self, session: usize) -> FrameBytes {
        let (total, lost) = (self.received[session].total, &self.lost[session]);
        FrameBytes {
            frames: total.frames - lost.unoffered(),
            bytes: total.bytes - lost.bytes_unoffered - lost.truncated.bytes,
        }
    }

    /// Returns the frames that the outputs were offered, in the order of the sessions.
    pub(super) fn offered_by_session(&self) -> impl Iterator<Item = FrameBytes> {
        (0..self.received.len()).map(|session| self.offered(session))
    }

    /// Returns the frames of a session that the outputs were offered since `before`, which has the
    /// earlier result of [`Self::offered_by_session`].
    pub(super) fn offered_since(&self, session: usize, before: &[FrameBytes]) -> FrameBytes {
        let (now, before) =
            (self.offered(session), before.get(session).copied().unwrap_or_default());
        FrameBytes { frames: now.frames - before.frames, bytes: now.bytes - before.bytes }
    }

    /// Returns the public counters of an output for a session. The output did not take `not_taken`
    /// of the offered frames, `dropped` of them for want of room.
    pub(super) fn output_counters(
        &self,
        session: usize,
        not_taken: FrameBytes,
        dropped: FrameBytes,
    ) -> OutputCounters {
        let offered = self.offered(session);
        let delivered = FrameBytes {
            frames: offered.frames - not_taken.frames,
            bytes: offered.bytes - not_taken.bytes,
        };
        OutputCounters { delivered, dropped: dropped.frames }
    }
}

const _: () = assert!(size_of::<SessionReceived>() == 32);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_derived_is_what_was_counted() {
        let mut accounting = FrameAccounting::new(2);
        let session = SessionId(1);
        let mut run = SessionRun::of(session);
        for bytes in [100, 60, 80, 70] {
            run.add(bytes, bytes == 60);
        }
        accounting.receive(run);
        accounting.drop_unoffered(session, 100, DropReason::UnknownSession);
        let refused = Descriptor { session: 1, len: 60, ..Descriptor::default() };
        accounting.drop_refused(&refused, DropReason::OutputFull);
        let counters = accounting.of_session(1);
        assert_eq!(
            (counters.received, counters.received_truncated),
            (FrameBytes { frames: 4, bytes: 310 }, 1)
        );
        assert_eq!(counters.delivered, FrameBytes { frames: 2, bytes: 150 });
        assert!(counters.adds_up());
        // This output had no room for the frame that no output took, nor for the one of 80 bytes.
        let dropped = FrameBytes { frames: 2, bytes: 140 };
        let output = accounting.output_counters(1, dropped, dropped);
        assert_eq!(
            output,
            OutputCounters { delivered: FrameBytes { frames: 1, bytes: 70 }, dropped: 2 }
        );
        assert_eq!(accounting.of_session(0), SessionCounters::default());
        assert_eq!(
            accounting.session_counters().map(|counters| counters.received_truncated).sum::<u64>(),
            1
        );
    }
}
