//! From received chunks to frames that outputs can be given: tunnel off, session found, everything counted.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::config::{BATCH_MAX, UnknownSessions};
use crate::counters::{Ledger, WorkerCounters};
use crate::decap::{self, Inner};
use crate::drop_reason::DropReason;
use crate::output::Descriptor;
use crate::session::{SessionId, SessionTable, UNKNOWN_PAIRS_MAX, UnknownPairs};
use crate::xsk::{self, Chunk, FreeList, Received, Umem};

/// What one turn works on. Fixed size, made once.
#[derive(Debug)]
pub(super) struct Batch {
    /// From the RX ring.
    pub(super) received: Vec<Received>,
    /// On the way to the outputs.
    pub(super) frames: Vec<(Chunk, Descriptor)>,
}

impl Batch {
    pub(super) fn new() -> Self {
        Self {
            received: Vec::with_capacity(BATCH_MAX as usize),
            frames: Vec::with_capacity(BATCH_MAX as usize),
        }
    }
}

/// What the stages know and count.
#[derive(Debug)]
pub(super) struct Stages {
    sessions: Arc<SessionTable>,
    unknown: UnknownSessions,
    unknown_pairs: UnknownPairs,
    all: Ledger,
    by_session: Vec<Ledger>,
    unstamped: u64,
    /// Whether the next descriptor belongs to a frame that began in an earlier one.
    in_chain: bool,
    /// How far the clock of the arrival times is ahead of UTC.
    arrival_minus_utc_ns: i64,
}

impl Stages {
    pub(super) fn new(
        sessions: Arc<SessionTable>,
        unknown: UnknownSessions,
        arrival_minus_utc_ns: i64,
    ) -> Self {
        let by_session = vec![Ledger::default(); sessions.len()];
        Self {
            sessions,
            unknown,
            unknown_pairs: UnknownPairs::new(UNKNOWN_PAIRS_MAX),
            all: Ledger::default(),
            by_session,
            unstamped: 0,
            in_chain: false,
            arrival_minus_utc_ns,
        }
    }

    /// Takes each received chunk through the stages: `batch.received` is empty afterwards, what is to be delivered is
    /// in `batch.frames`, the rest is counted and back in `free`.
    #[inline]
    pub(super) fn run(&mut self, umem: &Umem, batch: &mut Batch, free: &mut FreeList) {
        let Batch { received, frames } = batch;
        let mut clock = BatchClock::default();
        for mut received in received.drain(..) {
            match self.descriptor(umem, &mut received, &mut clock) {
                Some(descriptor) => frames.push((received.chunk, descriptor)),
                None => free.give(received.chunk),
            }
        }
    }

    /// The descriptor of a frame that is to be delivered; `None` if it is not, which is counted then.
    #[inline]
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a frame is shorter than its chunk, and what headers say of lengths has 16 bits"
    )]
    fn descriptor(
        &mut self,
        umem: &Umem,
        received: &mut Received,
        clock: &mut BatchClock,
    ) -> Option<Descriptor> {
        if received.continues || self.in_chain {
            self.skip_chain(received);
            return None;
        }
        self.all.received.add(u64::from(received.len));
        let chunk_addr = umem.address_of(&received.chunk);
        let (before, frame) = umem.bytes_mut(&mut received.chunk).split_at_mut(received.offset as usize);
        let arrival = xsk::take_arrival(before);
        let inner = match decap::vxlan(&frame[..received.len as usize]) {
            Ok(inner) => inner,
            Err(reason) => {
                self.all.drops.count(reason);
                return None;
            }
        };
        let session = self.session(&inner)?;
        Some(Descriptor {
            timestamp_ns: self.timestamp_ns(arrival, clock),
            addr: chunk_addr + u64::from(received.offset) + inner.start as u64,
            len: inner.captured_len as u32,
            original_len: inner.original_len as u32,
            session: session.0,
            outer_len: (inner.start - inner.outer_ip) as u16,
            flags: 0,
        })
    }

    /// Finds and counts the session; `None` if its traffic is not wanted.
    #[inline]
    fn session(&mut self, inner: &Inner) -> Option<SessionId> {
        let session = self.sessions.find(inner.source, inner.vni);
        let is_cut = u64::from(inner.original_len > inner.captured_len);
        let bytes = inner.captured_len as u64;
        let ledger = &mut self.by_session[session.index()];
        ledger.received.add(bytes);
        ledger.cut += is_cut;
        self.all.cut += is_cut;
        if session == SessionId::DEFAULT {
            self.unknown_pairs.count(inner.source, inner.vni, bytes);
            if self.unknown == UnknownSessions::Drop {
                self.drop_from(session, DropReason::UnknownSession);
                return None;
            }
        }
        Some(session)
    }

    /// UTC, from the arrival time if there is one, else the time of the batch.
    #[inline]
    fn timestamp_ns(&mut self, arrival_ns: Option<u64>, clock: &mut BatchClock) -> u64 {
        if let Some(arrival_ns) = arrival_ns {
            return arrival_ns.saturating_add_signed(-self.arrival_minus_utc_ns);
        }
        self.unstamped += 1;
        clock.utc_ns()
    }

    /// A frame in several chunks is counted once, at its first, and not delivered.
    #[cold]
    fn skip_chain(&mut self, received: &Received) {
        if !self.in_chain {
            self.all.received.frames += 1;
            self.all.drops.count(DropReason::FrameChain);
        }
        self.all.received.bytes += u64::from(received.len);
        self.in_chain = received.continues;
    }

    /// Counts descriptors that named no chunk.
    #[inline]
    pub(super) const fn count_bad(&mut self, number: u64) {
        self.all.received.frames += number;
        self.all.drops.add(DropReason::BadDescriptor, number);
    }

    /// Counts a frame of `session` that is not delivered after all.
    #[inline]
    pub(super) fn drop_from(&mut self, session: SessionId, reason: DropReason) {
        self.all.drops.count(reason);
        self.by_session[session.index()].drops.count(reason);
    }

    /// Counts a frame of `session` that at least one output has taken.
    #[inline]
    pub(super) fn deliver_from(&mut self, session: SessionId, bytes: u64) {
        self.all.delivered.add(bytes);
        self.by_session[session.index()].delivered.add(bytes);
    }

    /// Takes over a new difference between the arrival times' clock and UTC: a time daemon may have told the kernel.
    pub(super) const fn set_clock(&mut self, arrival_minus_utc_ns: i64) {
        self.arrival_minus_utc_ns = arrival_minus_utc_ns;
    }

    /// Copies the counts.
    pub(super) fn copy_to(&self, posted: &mut WorkerCounters) {
        posted.all = self.all;
        posted.sessions.clone_from(&self.by_session);
        posted.unstamped = self.unstamped;
        self.unknown_pairs.copy_to(&mut posted.unknown, &mut posted.unknown_beyond);
    }
}

/// The time of a batch, read at most once and only if somebody asks.
#[derive(Debug, Default)]
struct BatchClock(Option<u64>);

impl BatchClock {
    #[inline]
    fn utc_ns(&mut self) -> u64 {
        *self.0.get_or_insert_with(|| {
            let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
            u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
        })
    }
}
