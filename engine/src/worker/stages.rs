//! From received chunks to frames that outputs can be given: tunnel off, session found, filtered, everything counted.
//!
//! Each stage walks over the whole batch before the next one begins, so that the memory accesses of neighbouring frames
//! overlap.

use std::sync::{Arc, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use super::accounts::{Accounts, Run};
use super::batch::{Batch, Places, Work};
use super::chain::Part;
use super::fragments::{FragmentTable, Fragments};
use crate::config::{BATCH_MAX, Direction, UnknownSessions};
use crate::counters::{Ledger, Tally, WorkerCounters};
use crate::decap::{self, Encapsulation, Inner, VXLAN_LEN};
use crate::drop_reason::DropReason;
use crate::filter::Verdict;
use crate::output::Descriptor;
use crate::ruleset::Ruleset;
use crate::session::{Key, Marks, SessionId, UNKNOWN_PAIRS_MAX, UnknownPairs};
use crate::xsk::{FreeList, Received, RxQueue, Tail};

/// What the stages know and count.
#[derive(Debug)]
pub(super) struct Stages {
    ruleset: Arc<Ruleset>,
    unknown_pairs: UnknownPairs,
    /// Of all datagrams; delivered bytes, and what was cut, follow from the accounts.
    all: Ledger,
    accounts: Accounts,
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
            accounts: Accounts::new(ruleset.sessions.len()),
            last: (nobody, ruleset.sessions.find(nobody)),
            ruleset,
            unknown_pairs: UnknownPairs::new(UNKNOWN_PAIRS_MAX),
            all: Ledger::default(),
            unstamped: 0,
            reserved_bits: 0,
            arrival_minus_utc_ns,
            fragments: fragments.map(Fragments::new),
            numbers: Vec::with_capacity(BATCH_MAX as usize),
        }
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

    /// Takes each received frame through the stages. Those that are to be delivered stay in `batch`, the rest is counted
    /// and back in `free`.
    #[inline]
    pub(super) fn run(&mut self, queue: &mut RxQueue, batch: &mut Batch, free: &mut FreeList) {
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

    /// Tunnel off. Returns the places of the frames that have none.
    #[inline(never)]
    fn decap(&mut self, queue: &mut RxQueue, batch: &mut Batch, free: &mut FreeList) -> Places {
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
        self.all.received.merge(Tally { frames: works.len() as u64, bytes });
        if odd == 0 && !has_parts { 0 } else { self.decap_odd(queue, batch, odd, free) }
    }

    /// Takes the tunnel off the frames at `odd`, which do not look like almost all others, and off those in several chunks. Those
    /// that have none are counted, and their places returned.
    #[cold]
    fn decap_odd(
        &mut self,
        queue: &mut RxQueue,
        batch: &mut Batch,
        odd: Places,
        free: &mut FreeList,
    ) -> Places {
        let mut refused = 0;
        let (works, parts) = batch.with_parts();
        self.all.received.bytes += parts.iter().map(|part| u64::from(part.received.len())).sum::<u64>();
        for (place, work) in works.iter_mut().enumerate() {
            if odd >> place & 1 == 0 && work.received.tail() == Tail::NONE {
                continue;
            }
            let mut opened = open(queue, work, parts, &self.ruleset.ports);
            if let (Err(DropReason::FragmentRefused), Some(fragments)) = (&opened, &mut self.fragments) {
                opened = fragments
                    .put_together(queue, work, parts, free)
                    .and_then(|()| open(queue, work, parts, &self.ruleset.ports));
            }
            match opened {
                Ok(inner) => {
                    self.reserved_bits += u64::from(inner.shape.has_reserved_bits());
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

    /// Fills in when each frame arrived: from the time in front of it if there is one, else the time of the batch.
    #[inline(never)]
    fn find_times(&mut self, queue: &mut RxQueue, works: &mut [Work]) {
        let mut clock = BatchClock::default();
        let offset_ns = self.arrival_minus_utc_ns.cast_unsigned();
        for work in works {
            work.descriptor.timestamp_ns = match queue.arrival_ns(&work.received) {
                Some(arrival_ns) => arrival_ns.wrapping_sub(offset_ns),
                None => clock.utc_ns(&mut self.unstamped),
            };
        }
    }

    /// Fills in the session of each frame, and has its account fetched. With thousands of sessions neither table stays in
    /// the first-level cache; each frame's search is then under way before the first one needs its result.
    #[inline(never)]
    fn find_sessions(&mut self, works: &mut [Work]) {
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

    /// Counts each frame for its session, and returns the places of those that nobody declared if they are not wanted.
    #[inline(never)]
    fn count(&mut self, works: &mut [Work]) -> Places {
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

    /// Applies the policies of the sessions that have one: notes directions, cuts what passes to its packet length, and returns
    /// the places of the frames that are not wanted.
    #[inline(never)]
    fn judge(&mut self, queue: &RxQueue, works: &mut [Work]) -> Places {
        let mut unwanted = 0;
        for (place, work) in works.iter_mut().enumerate() {
            let Work { descriptor, key, received, .. } = work;
            let session = SessionId(descriptor.session);
            let Some(policy) = self.ruleset.policies.get(session) else { continue };
            let inner = queue.part(received, descriptor.addr, descriptor.len);
            let told = match policy.marks {
                Some(marks) => read_marks(marks, queue, received, descriptor, &mut self.numbers),
                None => None,
            };
            let Verdict { direction, outcome } = policy.judge(inner, descriptor.link(), *key, told);
            match direction {
                Some(direction) => descriptor.set_direction(direction),
                None if policy.has_filter() => self.accounts.direction_unknown(session),
                None => {}
            }
            if let Err(reason) = outcome {
                unwanted |= self.drop_unwanted(session, descriptor.len, reason) << place;
            } else if let Some(packet_length) = policy.packet_length
                && descriptor.len > packet_length
            {
                self.accounts.slice(session, descriptor.len - packet_length);
                descriptor.len = packet_length;
            }
        }
        if !self.numbers.is_empty() {
            self.note_numbers();
        }
        unwanted
    }

    /// Notes the numbers that mirrors have given to the frames of a batch. All workers note a session's numbers in one place, which is
    /// locked once for all frames of a session that follow each other.
    #[cold]
    fn note_numbers(&mut self) {
        for run in self.numbers.chunk_by(|(one, _), (other, _)| one == other) {
            let policy = run.first().and_then(|(session, _)| self.ruleset.policies.get(*session));
            let Some(sequence) = policy.and_then(|policy| policy.sequence.as_ref()) else { continue };
            let mut sequence = sequence.lock().unwrap_or_else(PoisonError::into_inner);
            for &(_, number) in run {
                sequence.note(number);
            }
        }
        self.numbers.clear();
    }

    /// Counts a frame that is not wanted; returns 1.
    #[cold]
    fn drop_unwanted(&mut self, session: SessionId, bytes: u32, reason: DropReason) -> Places {
        self.all.drops.count(reason);
        self.accounts.drop_unoffered(session, bytes, reason);
        1
    }

    /// Counts a frame of a pair that nobody declared; `Err` if such frames are to be dropped.
    #[inline]
    fn judge_unknown(&mut self, key: Key, bytes: u32) -> Result<(), DropReason> {
        self.unknown_pairs.count(key, u64::from(bytes));
        match self.ruleset.unknown {
            UnknownSessions::Pass => Ok(()),
            UnknownSessions::Drop => Err(DropReason::UnknownSession),
        }
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
        self.all.received.merge(Tally { frames, bytes });
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

    /// Takes over a new difference between the arrival times' clock and UTC: somebody may have set the time. Small
    /// differences are errors of its measurement, and would only make the times jump.
    pub(super) const fn set_clock(&mut self, arrival_minus_utc_ns: i64) {
        const JITTER_NS: u64 = 10_000;
        if self.arrival_minus_utc_ns.abs_diff(arrival_minus_utc_ns) > JITTER_NS {
            self.arrival_minus_utc_ns = arrival_minus_utc_ns;
        }
    }

    /// Gives up outer fragments whose others have not come in time.
    pub(super) fn expire_fragments(&self) {
        if let Some(fragments) = &self.fragments {
            let utc_ns = BatchClock::default().utc_ns(&mut 0);
            fragments.expire(utc_ns.wrapping_add_signed(self.arrival_minus_utc_ns));
        }
    }

    /// The sessions' accounts.
    pub(super) const fn accounts(&self) -> &Accounts {
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

/// Reads what the mirror has put into the VXLAN header of a frame, which lies right before what is inside: the number goes to
/// `numbers`, the direction is returned.
#[cold]
fn read_marks(
    marks: Marks,
    queue: &RxQueue,
    received: &Received,
    descriptor: &Descriptor,
    numbers: &mut Vec<(SessionId, u32)>,
) -> Option<Direction> {
    if descriptor.shape().encapsulation() == Encapsulation::Geneve {
        return None;
    }
    let start = descriptor.addr - VXLAN_LEN as u64;
    let header = *queue.part(received, start, u32::MAX).first_chunk()?;
    numbers.extend(marks.number(header).map(|number| (SessionId(descriptor.session), number)));
    marks.direction(header)
}

/// Takes the tunnel off a frame in one chunk or several.
fn open(queue: &RxQueue, work: &Work, parts: &[Part], tunnels: &decap::Ports) -> Result<Inner, DropReason> {
    let head = queue.frame(&work.received);
    let further = parts[work.received.tail().range()].iter().map(|part| part.received.len() as usize);
    decap::tunnel(head, head.len() + further.sum::<usize>(), tunnels)
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
