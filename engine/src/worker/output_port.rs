//! One output ring as its worker sees it, with its counts.

use super::batch::{BatchMask, PacketContext};
use super::chain::ChainedChunk;
use super::frame_accounting::FrameAccounting;
use crate::counters::{FrameBytes, OutputCounters, RingCounts};
use crate::flow::Flow;
use crate::ring::{Descriptor, Writer};
use crate::ruleset::{OutputSelector, Route};
use crate::session::SessionId;
use crate::xsk::{FreeList, RefCounts};

/// An output ring and its counts.
#[derive(Debug)]
pub(super) struct OutputPort {
    /// The output's id.
    pub(super) id: usize,
    pub(super) writer: Writer,
    /// Whether the consumer was there at the start of the turn.
    pub(super) is_open: bool,
    /// How many frames of the batch it takes if it gets all sessions: the first ones, since room
    /// does not grow meanwhile.
    pub(super) takes: usize,
    /// Which frames of the batch it takes, and for which it has no room, if it gets some sessions
    /// only.
    pub(super) chosen: BatchMask,
    pub(super) missed: BatchMask,
    /// Whether its output has it for as long as its consumer is there, and may have several.
    is_guest: bool,
    /// Descriptors pushed for parts of frames beyond their first.
    further: u64,
    /// Which frames it gets.
    choice: OutputSelector,
    /// By session: what it had no room for.
    full: Vec<FrameBytes>,
    /// By session: what the outputs were offered and it was not to get: all while the session was
    /// not one of its own, up to the last change, and what it did not choose of its own sessions.
    passed_by: Vec<FrameBytes>,
}

impl OutputPort {
    /// A tap that gets frames from now on: what was offered before, by these accounts, has passed
    /// it by.
    pub(super) fn new(
        id: usize,
        writer: Writer,
        is_guest: bool,
        accounts: &FrameAccounting,
    ) -> Self {
        Self {
            id,
            writer,
            is_open: true,
            takes: 0,
            chosen: 0,
            missed: 0,
            is_guest,
            further: 0,
            choice: OutputSelector::default(),
            full: vec![FrameBytes::default(); accounts.len()],
            passed_by: accounts.offered_by_session().collect(),
        }
    }

    /// Whether it gets all frames of all sessions.
    pub(super) const fn gets_all(&self) -> bool {
        self.choice.is_everything()
    }

    /// Whether frames of its sessions are looked at one by one.
    pub(super) const fn is_narrow(&self) -> bool {
        self.choice.narrowing.is_some()
    }

    /// Changes over to another choice. `changed_at` has what was offered of each session at the
    /// last change.
    pub(super) fn adopt(
        &mut self,
        choice: OutputSelector,
        accounts: &FrameAccounting,
        changed_at: &[FrameBytes],
    ) {
        self.full.resize(accounts.len(), FrameBytes::default());
        self.passed_by.resize(accounts.len(), FrameBytes::default());
        for (session, passed_by) in self.passed_by.iter_mut().enumerate() {
            if !self.choice.route.has(session) {
                passed_by.merge(accounts.offered_since(session, changed_at));
            }
        }
        self.choice = choice;
    }

    /// Tells the consumer that nothing more will come, if the output is gone.
    pub(super) fn close_if_gone(&self) {
        if self.choice.route == Route::Closed {
            self.writer.close();
        }
    }

    /// Whether its output is gone and all its chunks are back.
    pub(super) fn has_ended(&self) -> bool {
        self.choice.route == Route::Closed && self.writer.outstanding() == 0
    }

    /// Whether it is a guest whose consumer is gone.
    pub(super) const fn is_left(&self) -> bool {
        self.is_guest && !self.is_open
    }

    /// Chooses the frames of a batch that it takes: the first ones that are meant for it, as many
    /// as it has room for. `flows` has those of the frames if it [is narrow](Self::is_narrow).
    pub(super) fn choose(&mut self, works: &[PacketContext], flows: &[Option<Flow>]) {
        let room = if self.is_open { self.writer.room() } else { 0 };
        (self.chosen, self.missed) = (0, 0);
        let mut taken = 0;
        for (place, work) in works.iter().enumerate() {
            let Descriptor { session, len, .. } = work.descriptor;
            if !self.choice.route.has(session as usize) {
                continue;
            }
            if let Some(narrowing) = &self.choice.narrowing
                && !narrowing.accepts(
                    flows[place].as_ref(),
                    SessionId(session),
                    work.descriptor.direction(),
                )
            {
                self.passed_by[session as usize].add(u64::from(len));
                continue;
            }
            if taken + 1 + work.further.len() <= room {
                taken += 1 + work.further.len();
                self.chosen |= 1 << place;
            } else {
                self.missed |= 1 << place;
            }
        }
    }

    /// Publishes what it has chosen, and counts what it had no room for.
    pub(super) fn take_chosen(&mut self, works: &mut [PacketContext], parts: &mut [ChainedChunk]) {
        let chosen = self.chosen;
        let claimed = works.iter_mut().enumerate().filter(|(place, _)| chosen >> place & 1 == 1);
        if parts.is_empty() {
            self.writer
                .push_all(claimed.map(|(_, work)| (&work.descriptor, work.chunk_refs.take())));
        } else {
            claimed.for_each(|(_, work)| self.take_parts(work, &mut parts[work.further.range()]));
        }
        self.writer.publish();
        for (place, work) in works.iter().enumerate() {
            if self.missed >> place & 1 == 1 {
                self.miss(std::slice::from_ref(work));
            }
        }
    }

    /// Pushes a frame, in one chunk or several.
    fn take_parts(&mut self, work: &mut PacketContext, parts: &mut [ChainedChunk]) {
        let head = Descriptor {
            len: work.head_len(parts),
            flags: work.head_flags(parts),
            ..work.descriptor
        };
        self.writer.push_all([(&head, work.chunk_refs.take())]);
        self.writer
            .push_all(parts.iter_mut().map(|part| (&part.descriptor, part.chunk_refs.take())));
        self.further += parts.len() as u64;
    }

    /// What its ring has counted.
    pub(super) const fn counts(&self) -> RingCounts {
        RingCounts { pushed: self.writer.pushed() - self.further, unread: self.writer.unread() }
    }

    /// Publishes what it takes, and counts what it has no room for: the end of `taken`, and all of
    /// `refused`.
    #[inline]
    pub(super) fn take(&mut self, taken: &mut [PacketContext], refused: &[PacketContext]) {
        let (taken, missed) = taken.split_at_mut(self.takes);
        self.writer
            .push_all(taken.iter_mut().map(|work| (&work.descriptor, work.chunk_refs.take())));
        self.writer.publish();
        self.miss(missed);
        self.miss(refused);
    }

    /// Counts frames that it had no room for.
    #[inline]
    pub(super) fn miss(&mut self, missed: &[PacketContext]) {
        for PacketContext { descriptor, .. } in missed {
            self.full[descriptor.session as usize].add(u64::from(descriptor.len));
        }
    }

    #[inline]
    pub(super) fn reclaim(&mut self, refs: &mut RefCounts, free: &mut FreeList) {
        self.is_open = !self.writer.is_reader_gone();
        self.writer.reclaim(|chunk_ref| {
            if let Some(chunk) = refs.give_back(chunk_ref) {
                free.give(chunk);
            }
        });
    }

    /// The public form of its counts, in the order of the sessions.
    pub(super) fn ledgers<'a>(
        &'a self,
        accounts: &'a FrameAccounting,
        changed_at: &'a [FrameBytes],
    ) -> impl ExactSizeIterator<Item = OutputCounters> + 'a {
        self.full.iter().zip(&self.passed_by).enumerate().map(|(session, (&full, &passed_by))| {
            let mut not_taken = full;
            not_taken.merge(passed_by);
            if !self.choice.route.has(session) {
                not_taken.merge(accounts.offered_since(session, changed_at));
            }
            accounts.output_ledger(session, not_taken, full)
        })
    }
}
