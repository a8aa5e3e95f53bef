//! From received chunks to frames that outputs can be given: tunnel off, session found, filtered,
//! everything counted.
//!
//! Each stage walks over the whole batch before the next one begins, so that the memory accesses of
//! neighbouring frames overlap.

mod decap;
mod filter;

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use super::batch::{BatchMask, PacketContext, RxBatch};
use super::fragments::{FragmentTable, Fragments};
use super::frame_accounting::{FrameAccounting, Run};
use crate::config::BATCH_MAX;
use crate::counters::{FrameBytes, SessionCounters, WorkerCounters};
use crate::drop_reason::DropReason;
use crate::ring::Descriptor;
use crate::ruleset::Ruleset;
use crate::session::{Key, SessionId, UNKNOWN_PAIRS_MAX, UnknownPairs};
use crate::xsk::{FreeList, RxQueue};

/// What the stages know and count.
#[derive(Debug)]
pub(super) struct Stages {
    ruleset: Arc<Ruleset>,
    unknown_pairs: UnknownPairs,
    /// Of all datagrams; delivered bytes, and what was cut, follow from the accounts.
    all: SessionCounters,
    accounts: FrameAccounting,
    unstamped: u64,
    /// Frames with bits set that are reserved in the tunnel header.
    reserved_bits: u64,
    /// The pair looked up last: traffic comes in runs.
    last: (Key, SessionId),
    /// How far the clock of the arrival times is ahead of UTC.
    arrival_minus_utc_ns: i64,
    /// Where outer fragments become whole; `None` if they do not.
    fragments: Option<Fragments>,
    /// Numbers that mirrors have given to the frames of a batch, with their sessions.
    numbers: Vec<(SessionId, u32)>,
}

impl Stages {
    pub(super) fn new(
        ruleset: Arc<Ruleset>,
        arrival_minus_utc_ns: i64,
        fragments: Option<FragmentTable>,
    ) -> Self {
        let nobody = Key::V4(0);
        Self {
            accounts: FrameAccounting::new(ruleset.sessions.len()),
            last: (nobody, ruleset.sessions.find(nobody)),
            ruleset,
            unknown_pairs: UnknownPairs::new(UNKNOWN_PAIRS_MAX),
            all: SessionCounters::default(),
            unstamped: 0,
            reserved_bits: 0,
            arrival_minus_utc_ns,
            fragments: fragments.map(Fragments::new),
            numbers: Vec::with_capacity(BATCH_MAX as usize),
        }
    }

    /// What it judges by.
    pub(super) fn ruleset(&self) -> &Ruleset {
        &self.ruleset
    }

    /// Judges by another ruleset from now on. Between two batches.
    pub(super) fn adopt(&mut self, ruleset: Arc<Ruleset>) {
        self.accounts.grow(ruleset.sessions.len());
        let (nobody, _) = self.last;
        self.last = (nobody, ruleset.sessions.find(nobody));
        self.ruleset = ruleset;
    }

    /// Which ruleset frames are judged by.
    #[cfg(debug_assertions)]
    pub(super) fn generation(&self) -> u32 {
        self.ruleset.generation
    }

    /// Takes each received frame through the stages. Those that are to be delivered stay in
    /// `batch`, the rest is counted and back in `free`.
    #[inline]
    pub(super) fn run(&mut self, queue: &mut RxQueue, batch: &mut RxBatch, free: &mut FreeList) {
        let refused = self.decap(queue, batch, free);
        batch.remove(refused, free);
        self.find_times(queue, batch.works_mut());
        self.find_sessions(batch.works_mut());
        let undeclared = self.count(batch.works_mut());
        batch.remove(undeclared, free);
        if !self.ruleset.policies.is_empty() {
            let unwanted = self.judge(queue, batch.works_mut());
            batch.remove(unwanted, free);
        }
    }

    /// Fills in when each frame arrived: from the time in front of it if there is one, else the
    /// time of the batch.
    #[inline(never)]
    fn find_times(&mut self, queue: &mut RxQueue, works: &mut [PacketContext]) {
        let mut clock = BatchClock::default();
        let offset_ns = self.arrival_minus_utc_ns.cast_unsigned();
        for work in works {
            work.descriptor.timestamp_ns = match queue.arrival_ns(&work.received) {
                Some(arrival_ns) => arrival_ns.wrapping_sub(offset_ns),
                None => clock.utc_ns(&mut self.unstamped),
            };
        }
    }

    /// Fills in the session of each frame, and has its account fetched. With thousands of sessions
    /// neither table stays in the first-level cache; each frame's search is then under way before
    /// the first one needs its result.
    #[inline(never)]
    fn find_sessions(&mut self, works: &mut [PacketContext]) {
        let (mut last_key, mut session) = self.last;
        for work in &mut *works {
            if !work.key.is_same_v4(last_key) {
                self.ruleset.sessions.prefetch(work.key);
            }
        }
        for work in works {
            if !work.key.is_same_v4(last_key) {
                (last_key, session) = (work.key, self.ruleset.sessions.find(work.key));
                self.accounts.prefetch(session);
            }
            work.descriptor.session = session.0;
        }
        self.last = (last_key, session);
    }

    /// Counts each frame for its session, and returns the places of those that nobody declared if
    /// they are not wanted.
    #[inline(never)]
    fn count(&mut self, works: &mut [PacketContext]) -> BatchMask {
        let mut unwanted = 0;
        let mut run = Run::of(SessionId::DEFAULT);
        for (place, work) in works.iter_mut().enumerate() {
            #[cfg(debug_assertions)]
            (work.generation = self.ruleset.generation);
            let Descriptor { len, original_len, session, .. } = work.descriptor;
            let session = SessionId(session);
            if session != run.session {
                self.accounts.receive(std::mem::replace(&mut run, Run::of(session)));
            }
            run.add(len, original_len > len);
            if session == SessionId::DEFAULT
                && let Err(reason) = self.judge_unknown(work.key, len)
            {
                unwanted |= self.drop_unwanted(session, len, reason) << place;
            }
        }
        self.accounts.receive(run);
        unwanted
    }

    /// Counts a frame that is not wanted; returns 1.
    #[cold]
    fn drop_unwanted(&mut self, session: SessionId, bytes: u32, reason: DropReason) -> BatchMask {
        self.all.drops.count(reason);
        self.accounts.drop_unoffered(session, bytes, reason);
        1
    }

    /// Counts a frame of a pair that nobody declared; `Err` if such frames are to be dropped.
    #[inline]
    fn judge_unknown(&mut self, key: Key, bytes: u32) -> Result<(), DropReason> {
        self.unknown_pairs.count(key, u64::from(bytes));
        self.ruleset.admits_undeclared()
    }

    /// Counts descriptors that named no chunk.
    #[inline]
    pub(super) const fn count_bad(&mut self, number: u64) {
        self.all.received.frames += number;
        self.all.drops.add(DropReason::BadDescriptor, number);
    }

    /// Counts frames in several chunks that never became whole.
    #[inline]
    pub(super) const fn count_broken(&mut self, (frames, bytes): (u64, u64)) {
        self.all.received.merge(FrameBytes { frames, bytes });
        self.all.drops.add(DropReason::FrameChain, frames);
    }

    /// Counts frames that at least one output has taken.
    #[inline]
    pub(super) const fn deliver(&mut self, frames: usize) {
        self.all.delivered.frames += frames as u64;
    }

    /// Counts a frame that no output has taken.
    pub(super) fn refuse(&mut self, descriptor: &Descriptor, reason: DropReason) {
        self.all.drops.count(reason);
        self.accounts.drop_refused(SessionId(descriptor.session), descriptor.len, reason);
    }

    /// Takes over a new difference between the arrival times' clock and UTC: somebody may have set
    /// the time. Small differences are errors of its measurement, and would only make the times
    /// jump.
    pub(super) const fn set_clock(&mut self, arrival_minus_utc_ns: i64) {
        const JITTER_NS: u64 = 10_000;
        if self.arrival_minus_utc_ns.abs_diff(arrival_minus_utc_ns) > JITTER_NS {
            self.arrival_minus_utc_ns = arrival_minus_utc_ns;
        }
    }

    /// Gives up outer fragments whose others have not come in time.
    pub(super) fn expire_fragments(&self) {
        if let Some(fragments) = &self.fragments {
            fragments.expire(now_ns(self.arrival_minus_utc_ns));
        }
    }

    /// The sessions' accounts.
    pub(super) const fn accounts(&self) -> &FrameAccounting {
        &self.accounts
    }

    /// Copies the counts.
    pub(super) fn copy_to(&self, posted: &mut WorkerCounters) {
        posted.all = self.all;
        posted.sessions.clear();
        for ledger in self.accounts.ledgers() {
            posted.all.delivered.bytes += ledger.delivered.bytes;
            posted.all.cut += ledger.cut;
            posted.all.sliced += ledger.sliced;
            posted.all.direction_unknown += ledger.direction_unknown;
            posted.sessions.push(ledger);
        }
        posted.unstamped = self.unstamped;
        posted.reserved_bits = self.reserved_bits;
        self.unknown_pairs.copy_to(&mut posted.unknown, &mut posted.unknown_beyond);
    }
}

/// The clock of the arrival times, which is so far ahead of UTC, in nanoseconds.
fn now_ns(arrival_minus_utc_ns: i64) -> u64 {
    BatchClock::default().utc_ns(&mut 0).wrapping_add_signed(arrival_minus_utc_ns)
}

/// The time of a batch, read at most once and only if a frame has no arrival time.
#[derive(Debug, Default)]
struct BatchClock(Option<u64>);

impl BatchClock {
    /// Nanoseconds since 1970; counts the frame that asks in `unstamped`.
    #[cold]
    fn utc_ns(&mut self, unstamped: &mut u64) -> u64 {
        *unstamped += 1;
        *self.0.get_or_insert_with(|| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
        })
    }
}
