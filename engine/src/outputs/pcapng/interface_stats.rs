//! What the statistics at the end of a pcapng file say, from what the workers have counted.

use std::collections::HashMap;

use super::{InterfaceKey, InterfaceTotals, Statement};
use crate::counters::WorkerCounters;
use crate::outputs::clock::{Clock, utc_ns};
use crate::session::Pair;
use crate::worker::QueueSet;

/// The account of an output, as far as it has not been stated in a file.
pub(crate) struct InterfaceStats {
    queues: QueueSet,
    /// The output.
    id: usize,
    clock: Clock,
    counters: Vec<WorkerCounters>,
    told: HashMap<InterfaceKey, Reported>,
}

/// What files that have ended say, in frames.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    delivered: u64,
    dropped: u64,
    /// Arrived, and not meant for the output.
    unwanted: u64,
}

/// What has been counted for an interface block, in frames.
#[derive(Clone, Copy, Debug)]
struct Counted {
    received: u64,
    /// Meant for the output.
    offered: u64,
    /// Lost because a ring of the output was full.
    full: u64,
}

impl InterfaceStats {
    pub(crate) fn new(queues: QueueSet, id: usize, clock: Clock) -> Self {
        Self { queues, id, clock, counters: Vec::new(), told: HashMap::new() }
    }

    fn counted(&self, key: InterfaceKey) -> Option<Counted> {
        match key {
            InterfaceKey::Session(session) => Some(self.of_session(session as usize)),
            InterfaceKey::Pair { source, vni } => {
                let is_pair = |pair: &Pair| pair.source == source && pair.vni.get() == vni;
                let tallies = self.counters.iter().flat_map(|counters| &counters.unknown);
                let received =
                    tallies.filter(|(pair, _)| is_pair(pair)).map(|(_, tally)| tally.frames).sum();
                Some(Counted { received, offered: received, full: 0 })
            }
            InterfaceKey::Other | InterfaceKey::Packets => None,
        }
    }

    fn of_session(&self, session: usize) -> Counted {
        let received = self.counters.iter().filter_map(|counters| counters.sessions.get(session));
        let received = received.map(|ledger| ledger.received.frames).sum();
        let ledgers =
            self.counters.iter().filter_map(|counters| counters.outputs.get(self.id)?.get(session));
        let (delivered, full) = ledgers.fold((0, 0), |(delivered, full), ledger| {
            (delivered + ledger.delivered.frames, full + ledger.full)
        });
        Counted { received, offered: delivered + full, full }
    }
}

impl Statement for InterfaceStats {
    fn refresh(&mut self) {
        self.counters = self.queues.counters();
    }

    fn deliver(&mut self, key: InterfaceKey, frames: u64) {
        self.told.entry(key).or_default().delivered += frames;
    }

    /// Frames that are on their way from a worker to the file while that ends belong to the next
    /// one. Only the last one can say what else is missing of all that was meant for the output. Of
    /// pairs that no session declares that is everything: the rings are not counted by pair.
    fn totals(&mut self, key: InterfaceKey, frames: u64, is_last: bool) -> InterfaceTotals {
        let Some(Counted { received, offered, full }) = self.counted(key) else {
            return InterfaceTotals { received: frames, accepted: frames, dropped: 0 };
        };
        let told = self.told.entry(key).or_default();
        let missing = if is_last { offered.saturating_sub(told.delivered) } else { full };
        let dropped = missing.saturating_sub(told.dropped);
        let unwanted = received.saturating_sub(offered).saturating_sub(told.unwanted);
        told.dropped += dropped;
        told.unwanted += unwanted;
        let accepted = frames + dropped;
        InterfaceTotals { received: accepted + unwanted, accepted, dropped }
    }

    fn now_ns(&self) -> Option<u64> {
        (self.clock == Clock::Wall).then(utc_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{FrameBytes, OutputCounters, SessionCounters};

    /// Counts of a worker: frames of a session that arrived, and those that the output was given
    /// and lost.
    fn counters(received: u64, delivered: u64, full: u64) -> WorkerCounters {
        let tally = |frames| FrameBytes { frames, bytes: 0 };
        let session = SessionCounters { received: tally(received), ..SessionCounters::default() };
        let output = OutputCounters { delivered: tally(delivered), full };
        WorkerCounters {
            sessions: vec![SessionCounters::default(), session],
            outputs: vec![vec![OutputCounters::default(), output]],
            ..WorkerCounters::default()
        }
    }

    #[test]
    fn what_the_files_say_together_is_what_was_counted() {
        const WEB: InterfaceKey = InterfaceKey::Session(1);
        let mut ledgers = InterfaceStats::new(QueueSet::default(), 0, Clock::Frames);
        let mut state = |counted: (u64, u64, u64), in_file: u64, is_last: bool| {
            ledgers.counters = vec![counters(counted.0, counted.1, counted.2)];
            ledgers.deliver(WEB, in_file);
            let InterfaceTotals { received, accepted, dropped } =
                ledgers.totals(WEB, in_file, is_last);
            (received, accepted, dropped)
        };
        // 10 of 100 were not for the output, 5 found its ring full, and of 85 that went there 80
        // are in the file yet.
        assert_eq!(state((100, 85, 5), 80, false), (95, 85, 5));
        assert_eq!(state((100, 85, 5), 5, false), (5, 5, 0));
        // 3 of the last 20 could not be written.
        assert_eq!(state((130, 105, 5), 17, true), (30, 20, 3));
    }
}
