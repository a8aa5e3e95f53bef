//! Computes the statistics at the end of a pcapng file from the counters of the workers.

use std::collections::HashMap;

use super::{InterfaceKey, InterfaceTotals, StatsSource};
use crate::counters::WorkerCounters;
use crate::outputs::wall_clock::{Clock, utc_ns};
use crate::session::SourceVni;
use crate::worker::QueueSet;

/// Largest number of interfaces whose reported frames are remembered: whoever sends made-up pairs
/// would use up the memory. The statistics of further ones state the frames in the file alone.
const REPORTED_MAX: usize = 1 << 16;

/// Counters of an output, less the frames that its completed files have reported.
pub(crate) struct InterfaceStats {
    queues: QueueSet,
    /// Id of the output.
    id: usize,
    clock: Clock,
    counters: Vec<WorkerCounters>,
    reported: HashMap<InterfaceKey, Reported>,
}

/// Frames that completed files have reported.
#[derive(Clone, Copy, Debug, Default)]
struct Reported {
    delivered: u64,
    dropped: u64,
    /// Received, but not meant for the output.
    unselected: u64,
}

/// Frames that the workers have counted for an interface block.
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
        Self { queues, id, clock, counters: Vec::new(), reported: HashMap::new() }
    }

    fn counted(&self, key: InterfaceKey) -> Option<Counted> {
        match key {
            InterfaceKey::Session(session) => Some(self.counted_of_session(session as usize)),
            InterfaceKey::Pair { source, vni } => {
                let is_pair = |pair: &SourceVni| pair.source == source && pair.vni.get() == vni;
                let pairs = self.counters.iter().flat_map(|counters| &counters.unknown);
                let received = pairs
                    .filter(|(pair, _)| is_pair(pair))
                    .map(|(_, counted)| counted.frames)
                    .sum();
                Some(Counted { received, offered: received, full: 0 })
            }
            InterfaceKey::Other => None,
        }
    }

    fn reported(&mut self, key: InterfaceKey) -> Option<&mut Reported> {
        let is_known = self.reported.len() < REPORTED_MAX || self.reported.contains_key(&key);
        let is_declared = matches!(key, InterfaceKey::Session(_));
        (is_known || is_declared).then(|| self.reported.entry(key).or_default())
    }

    fn counted_of_session(&self, session: usize) -> Counted {
        let received = self.counters.iter().filter_map(|counters| counters.sessions.get(session));
        let received = received.map(|counters| counters.received.frames).sum();
        let outputs =
            self.counters.iter().filter_map(|counters| counters.outputs.get(self.id)?.get(session));
        let (delivered, full) = outputs.fold((0, 0), |(delivered, full), output| {
            (delivered + output.delivered.frames, full + output.dropped)
        });
        Counted { received, offered: delivered + full, full }
    }
}

impl StatsSource for InterfaceStats {
    fn refresh(&mut self) {
        self.counters = self.queues.counters();
    }

    fn add_delivered(&mut self, key: InterfaceKey, frames: u64) {
        if let Some(reported) = self.reported(key) {
            reported.delivered += frames;
        }
    }

    /// Frames that are in a ring when a file is completed belong to the next file. Only the last
    /// file can report all other frames that were meant for the output and are in no file. For
    /// undeclared pairs that includes frames lost at a full ring, which are not counted by pair.
    fn totals(&mut self, key: InterfaceKey, frames: u64, is_last: bool) -> InterfaceTotals {
        let Some(Counted { received, offered, full }) = self.counted(key) else {
            return InterfaceTotals { received: frames, accepted: frames, dropped: 0 };
        };
        let Some(reported) = self.reported(key) else {
            return InterfaceTotals { received: frames, accepted: frames, dropped: 0 };
        };
        let missing = if is_last { offered.saturating_sub(reported.delivered) } else { full };
        let dropped = missing.saturating_sub(reported.dropped);
        let unselected = received.saturating_sub(offered).saturating_sub(reported.unselected);
        reported.dropped += dropped;
        reported.unselected += unselected;
        let accepted = frames + dropped;
        InterfaceTotals { received: accepted + unselected, accepted, dropped }
    }

    fn now_ns(&self) -> Option<u64> {
        (self.clock == Clock::Wall).then(utc_ns)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::counters::{FrameBytes, OutputCounters, SessionCounters};

    /// Returns the counters of a worker: frames of a session received, delivered to the output and
    /// lost at its full ring.
    fn counters(received: u64, delivered: u64, full: u64) -> WorkerCounters {
        let counted = |frames| FrameBytes { frames, bytes: 0 };
        let session = SessionCounters { received: counted(received), ..SessionCounters::default() };
        let output = OutputCounters { delivered: counted(delivered), dropped: full };
        WorkerCounters {
            sessions: vec![SessionCounters::default(), session],
            outputs: vec![vec![OutputCounters::default(), output]],
            ..WorkerCounters::default()
        }
    }

    #[test]
    fn what_the_files_say_together_is_what_was_counted() {
        const WEB: InterfaceKey = InterfaceKey::Session(1);
        let mut stats = InterfaceStats::new(QueueSet::default(), 0, Clock::Frames);
        let mut report = |counted: (u64, u64, u64), in_file: u64, is_last: bool| {
            stats.counters = vec![counters(counted.0, counted.1, counted.2)];
            stats.add_delivered(WEB, in_file);
            let InterfaceTotals { received, accepted, dropped } =
                stats.totals(WEB, in_file, is_last);
            (received, accepted, dropped)
        };
        // 10 of 100 are not for the output and 5 were lost at its full ring. 85 were delivered, of
        // which 80 are in the file.
        assert_eq!(report((100, 85, 5), 80, false), (95, 85, 5));
        assert_eq!(report((100, 85, 5), 5, false), (5, 5, 0));
        // 3 of the last 20 could not be written.
        assert_eq!(report((130, 105, 5), 17, true), (30, 20, 3));
    }

    #[test]
    fn made_up_pairs_do_not_use_up_the_memory() {
        let mut stats = InterfaceStats::new(QueueSet::default(), 0, Clock::Frames);
        let pair = |vni| InterfaceKey::Pair { source: [10, 0, 0, 1].into(), vni };
        (0..100_000).for_each(|vni| stats.add_delivered(pair(vni), 1));
        assert_eq!(stats.reported.len(), REPORTED_MAX);
        let beyond = InterfaceTotals { received: 1, accepted: 1, dropped: 0 };
        assert_eq!(stats.totals(pair(99_999), 1, true), beyond);
        stats.add_delivered(InterfaceKey::Session(1), 1);
        assert_eq!(stats.reported[&InterfaceKey::Session(1)].delivered, 1);
    }
}
