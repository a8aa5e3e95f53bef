//! The stages from received chunks to frames for the outputs: tunnel headers removed, session
//! found, filtered, everything counted.
//!
//! Each stage processes the whole batch before the next one begins, so that the memory accesses of
//! neighbouring frames overlap.

mod decap;
mod filter;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch::{BatchMask, PacketContext, RxBatch};
use super::fragments::{FragmentTable, Fragments};
use super::frame_accounting::{FrameAccounting, SessionRun};
use crate::config::BATCH_MAX;
use crate::ring::Descriptor;
use crate::ruleset::Ruleset;
use crate::session::{SessionId, SessionKey};
use crate::xsk::{FreeList, RxFrame, RxQueue};

/// The state of the stages.
#[derive(Debug)]
pub(super) struct Stages {
    ruleset: Arc<Ruleset>,
    /// The key that was looked up last, and its session: traffic arrives in runs.
    last: (SessionKey, SessionId),
    /// Difference between the clock of the arrival times and UTC.
    arrival_minus_utc_ns: i64,
    /// Access to the reassembly table; `None` if outer fragments are not reassembled.
    fragments: Option<Fragments>,
    /// Sequence numbers of the frames of a batch, with their sessions.
    numbers: Vec<(SessionId, u32)>,
}

impl Stages {
    pub(super) fn new(
        ruleset: Arc<Ruleset>,
        arrival_minus_utc_ns: i64,
        fragments: Option<FragmentTable>,
    ) -> Self {
        let no_key = SessionKey::V4(0);
        Self {
            last: (no_key, ruleset.sessions.find(no_key)),
            ruleset,
            arrival_minus_utc_ns,
            fragments: fragments.map(Fragments::new),
            numbers: Vec::with_capacity(BATCH_MAX as usize),
        }
    }

    /// Returns the current ruleset.
    pub(super) fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// Changes to another ruleset, between two batches.
    pub(super) fn adopt(&mut self, ruleset: Arc<Ruleset>) {
        let (no_key, _) = self.last;
        self.last = (no_key, ruleset.sessions.find(no_key));
        self.ruleset = ruleset;
    }

    /// Passes each received frame through the stages. Frames for the outputs stay in `batch`; the
    /// others are counted, and their chunks are in `free`. `clock` is the time of the batch.
    #[inline]
    pub(super) fn run(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut RxBatch,
        free: &mut FreeList,
        accounting: &mut FrameAccounting,
        clock: &mut BatchClock,
    ) {
        let refused = self.decap(queue, batch, free, accounting);
        batch.remove(refused, free);
        self.find_times(queue, batch.packets_mut(), accounting, clock);
        self.find_sessions(batch.packets_mut(), accounting);
        let undeclared = self.count(batch.packets_mut(), accounting);
        batch.remove(undeclared, free);
        if !self.ruleset.policies.is_empty() {
            let unwanted = self.filter(queue, batch, accounting);
            batch.remove(unwanted, free);
        }
    }

    /// Sets the time of each frame: the arrival time in front of it if there is one, else the time
    /// of the batch.
    #[inline(never)]
    fn find_times(
        &self,
        queue: &mut RxQueue,
        packets: &mut [PacketContext],
        accounting: &mut FrameAccounting,
        clock: &mut BatchClock,
    ) {
        let offset_ns = self.arrival_minus_utc_ns.cast_unsigned();
        for packet in packets {
            packet.descriptor.timestamp_ns =
                if let Some(arrival_ns) = queue.arrival_ns(&packet.received) {
                    arrival_ns.wrapping_sub(offset_ns)
                } else {
                    accounting.count_unstamped();
                    clock.utc_ns()
                };
        }
    }

    /// Sets the session of each frame, and prefetches its counters. With thousands of sessions
    /// neither table stays in the first-level cache; each frame's lookup is under way before the
    /// result of the first one is needed.
    #[inline(never)]
    fn find_sessions(&mut self, packets: &mut [PacketContext], accounting: &FrameAccounting) {
        let (mut last_key, mut session) = self.last;
        for packet in &mut *packets {
            if !packet.key.is_same_v4(last_key) {
                self.ruleset.sessions.prefetch(packet.key);
            }
        }
        for packet in packets {
            if !packet.key.is_same_v4(last_key) {
                (last_key, session) = (packet.key, self.ruleset.sessions.find(packet.key));
                accounting.prefetch(session);
            }
            packet.descriptor.session = session.0;
        }
        self.last = (last_key, session);
    }

    /// Counts each frame for its session. Returns those of undeclared sources and VNIs if they are
    /// to be dropped.
    #[inline(never)]
    fn count(&self, packets: &mut [PacketContext], accounting: &mut FrameAccounting) -> BatchMask {
        let mut unwanted = 0;
        let mut run = SessionRun::of(SessionId::DEFAULT);
        for (index, packet) in packets.iter_mut().enumerate() {
            #[cfg(debug_assertions)]
            (packet.generation = self.ruleset.generation_mark());
            let Descriptor { len, original_len, session, .. } = packet.descriptor;
            let session = SessionId(session);
            if session != run.session {
                accounting.receive(std::mem::replace(&mut run, SessionRun::of(session)));
            }
            run.add(len, original_len > len);
            if session == SessionId::DEFAULT {
                accounting.count_unknown(packet.key, len);
                if let Err(reason) = self.ruleset.admits_undeclared() {
                    accounting.drop_unoffered(session, len, reason);
                    packet.dropped = Some(reason);
                    unwanted |= 1 << index;
                }
            }
        }
        accounting.receive(run);
        unwanted
    }

    /// Returns the arrival time of a received frame in nanoseconds since 1970, or the time of its
    /// batch if it has none.
    pub(super) fn utc_ns(
        &self,
        queue: &mut RxQueue,
        received: &RxFrame,
        clock: &mut BatchClock,
    ) -> u64 {
        queue.arrival_ns(received).map_or_else(
            || clock.utc_ns(),
            |arrival_ns| arrival_ns.wrapping_sub(self.arrival_minus_utc_ns.cast_unsigned()),
        )
    }

    /// Takes a new difference between the arrival times' clock and UTC, as the time may have been
    /// set. Small differences are errors of measurement, and would only make the times jump.
    pub(super) const fn set_clock(&mut self, arrival_minus_utc_ns: i64) {
        const JITTER_NS: u64 = 10_000;
        if self.arrival_minus_utc_ns.abs_diff(arrival_minus_utc_ns) > JITTER_NS {
            self.arrival_minus_utc_ns = arrival_minus_utc_ns;
        }
    }

    /// Gives up packets whose fragments have not all arrived in time.
    pub(super) fn expire_fragments(&self) {
        if let Some(fragments) = &self.fragments {
            fragments.expire(now_ns(self.arrival_minus_utc_ns));
        }
    }
}

/// Returns the current time by the clock of the arrival times, in nanoseconds.
/// `arrival_minus_utc_ns` is its difference from UTC.
fn now_ns(arrival_minus_utc_ns: i64) -> u64 {
    BatchClock::default().utc_ns().wrapping_add_signed(arrival_minus_utc_ns)
}

/// The time of a batch, read at most once and only if a frame has no arrival time.
#[derive(Debug, Default)]
pub(super) struct BatchClock(Option<u64>);

impl BatchClock {
    /// Returns nanoseconds since 1970.
    #[cold]
    fn utc_ns(&mut self) -> u64 {
        *self.0.get_or_insert_with(|| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
        })
    }
}
