//! The account of an engine: every frame, and what became of it.

mod table;

use std::sync::PoisonError;

use super::file_source::InputError;
use super::{Engine, Rung, Source};
use crate::counters::{Ledger, OutputLedger, Tally, WorkerCounters};
use crate::output::pcapng;
use crate::steering::SteeringCounters;

/// A worker's account.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// RX queue that it serves.
    pub queue: u32,
    /// CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// What it has counted.
    pub counters: WorkerCounters,
}

/// An output's account.
#[derive(Debug)]
pub struct OutputReport {
    /// Its name.
    pub name: String,
    /// Whether a reload has taken it away.
    pub is_gone: bool,
    /// By session, all workers together.
    pub sessions: Vec<OutputLedger>,
    /// What is in its file, for an output that the engine empties itself and that has ended.
    pub written: Option<pcapng::Report>,
}

impl OutputReport {
    /// All sessions together.
    pub fn total(&self) -> OutputLedger {
        let mut total = OutputLedger::default();
        self.sessions.iter().for_each(|ledger| total.merge(*ledger));
        total
    }
}

/// The account of an engine; [`std::fmt::Display`] is the conservation table.
#[derive(Debug)]
pub struct Report {
    /// What was captured: an interface or "capture file".
    pub source: String,
    /// How; `None` for a capture file.
    pub rung: Option<Rung>,
    /// What the XDP program, or its stand-in for capture files, did with all frames that it saw.
    pub steering: SteeringCounters,
    /// The workers, in the order of their queues.
    pub workers: Vec<WorkerReport>,
    /// Names of the sessions; index 0 is the default session.
    pub sessions: Vec<String>,
    /// The outputs, in the order of the configuration.
    pub outputs: Vec<OutputReport>,
    /// Why a capture file was not read to its end.
    pub input_error: Option<InputError>,
    /// Anything else that went wrong, a sentence each.
    pub failures: Vec<String>,
}

impl Report {
    pub(super) fn new(engine: &Engine) -> Self {
        let workers: Vec<_> = engine
            .workers
            .counters()
            .map(|(queue, cpu, counters)| WorkerReport { queue, cpu, counters })
            .collect();
        let mut failures = Vec::new();
        let (source, rung, steering) = match &engine.source {
            Source::Live { live, .. } => (
                live.interface().name.clone(),
                Some(live.rung()),
                live.steering().counters().unwrap_or_else(|error| {
                    failures.push(error.to_string());
                    SteeringCounters::default()
                }),
            ),
            Source::File { progress, .. } => {
                let steering = progress.lock().unwrap_or_else(PoisonError::into_inner).steering;
                ("capture file".to_owned(), None, steering)
            }
        };
        let sessions: Vec<_> = engine.sessions().names().map(str::to_owned).collect();
        let output = |(place, outlet): (usize, &super::Outlet)| OutputReport {
            name: outlet.name.clone(),
            is_gone: outlet.is_gone,
            sessions: merge_output(&workers, place, sessions.len()),
            written: None,
        };
        let outputs = engine.outlets.iter().enumerate().map(output).collect();
        Self { source, rung, steering, workers, sessions, outputs, input_error: None, failures }
    }

    /// All workers together.
    pub fn total(&self) -> Ledger {
        let mut total = Ledger::default();
        self.workers.iter().for_each(|worker| total.merge(&worker.counters.all));
        total
    }

    /// The accounts of the sessions, all workers together; index 0 is the default session.
    pub fn session_ledgers(&self) -> Vec<Ledger> {
        let mut ledgers = vec![Ledger::default(); self.sessions.len()];
        for worker in &self.workers {
            for (sum, ledger) in ledgers.iter_mut().zip(&worker.counters.sessions) {
                sum.merge(ledger);
            }
        }
        ledgers
    }

    /// Traffic of pairs that nobody declared, by pair, the most frames first, and what was beyond the tables.
    pub fn unknown(&self) -> (Vec<(crate::session::Pair, Tally)>, Tally) {
        let mut by_pair = std::collections::BTreeMap::new();
        let mut beyond = Tally::default();
        for WorkerReport { counters, .. } in &self.workers {
            beyond.merge(counters.unknown_beyond);
            for (pair, tally) in &counters.unknown {
                by_pair.entry(*pair).or_insert_with(Tally::default).merge(*tally);
            }
        }
        let mut pairs: Vec<_> = by_pair.into_iter().collect();
        pairs.sort_by_key(|(pair, tally)| (std::cmp::Reverse(tally.frames), *pair));
        (pairs, beyond)
    }

    /// Frames that the program handed to the sockets and the kernel lost before a worker saw them.
    pub fn lost_in_kernel(&self) -> u64 {
        let kernel = self.workers.iter().map(|worker| worker.counters.kernel);
        kernel.map(|counters| counters.rx_dropped + counters.rx_ring_full).sum()
    }

    /// The sums that do not add up, a sentence each. Empty for the report of an engine that has stopped; one that is
    /// running has frames between two counters.
    pub fn imbalances(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let total = self.total();
        let (redirected, lost) = (self.steering.redirected, self.lost_in_kernel());
        if redirected != total.received.frames + lost {
            broken.push(format!(
                "redirected {redirected} is not received {} + lost in the kernel {lost}",
                total.received.frames
            ));
        }
        let mut check = |what: String, ledger: &Ledger| {
            if !ledger.adds_up() {
                let (received, delivered, drops) =
                    (ledger.received.frames, ledger.delivered.frames, ledger.drops.total());
                broken.push(format!(
                    "{what}: received {received} is not delivered {delivered} + dropped {drops}"
                ));
            }
        };
        for worker in &self.workers {
            check(format!("queue {}", worker.queue), &worker.counters.all);
        }
        for (name, ledger) in self.sessions.iter().zip(&self.session_ledgers()) {
            check(format!("session {name}"), ledger);
        }
        for worker in &self.workers {
            let WorkerCounters { all, sessions, outputs, pushed, .. } = &worker.counters;
            let delivered: u64 = sessions.iter().map(|ledger| ledger.delivered.frames).sum();
            if delivered != all.delivered.frames {
                let counted = all.delivered.frames;
                broken.push(format!(
                    "queue {}: the sessions' {delivered} delivered are not {counted}",
                    worker.queue
                ));
            }
            for (output, (ledgers, pushed)) in self.outputs.iter().zip(outputs.iter().zip(pushed)) {
                let delivered: u64 = ledgers.iter().map(|ledger| ledger.delivered.frames).sum();
                if delivered != *pushed {
                    let (queue, name) = (worker.queue, &output.name);
                    broken.push(format!(
                        "queue {queue}, output {name}: delivered {delivered} is not pushed {pushed}"
                    ));
                }
            }
            let chunks = worker.counters.chunks;
            if chunks.free + chunks.lent + chunks.published != chunks.total {
                broken.push(format!("queue {}: chunks do not add up: {chunks:?}", worker.queue));
            }
        }
        for output in &self.outputs {
            let delivered = output.total().delivered.frames;
            if let Some(written) = &output.written
                && delivered != written.frames_written + written.frames_lost
            {
                broken.push(format!(
                    "output {}: delivered {delivered} is not written {} + lost {}",
                    output.name, written.frames_written, written.frames_lost
                ));
            }
        }
        broken
    }
}

fn merge_output(workers: &[WorkerReport], place: usize, session_count: usize) -> Vec<OutputLedger> {
    let mut sums = vec![OutputLedger::default(); session_count];
    for worker in workers {
        let ledgers = worker.counters.outputs.get(place).map_or(&[][..], Vec::as_slice);
        for (sum, ledger) in sums.iter_mut().zip(ledgers) {
            sum.merge(*ledger);
        }
    }
    sums
}
