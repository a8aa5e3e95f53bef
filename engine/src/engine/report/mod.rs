//! The account of an engine: every frame, and what became of it.

mod balance;
mod table;

use std::sync::PoisonError;

use super::file_source::InputError;
use super::{
    ActiveMode, CAPTURE_FILE, CapturedInterface, ConsumerCounters, Engine, ModeFallback, Source,
    StreamCounters,
};
use crate::counters::{FrameBytes, OutputCounters, SessionCounters, WorkerCounters};
use crate::outputs::OutputStats;
use crate::reassembly::ReassemblyCounters;
use crate::ring::QueueId;
use crate::session::{SequenceCounters, SessionId};
use crate::steering::SteeringCounters;

/// An interface's account.
#[derive(Clone, Debug)]
pub struct InterfaceReport {
    /// Its name, or "capture file".
    pub name: String,
    /// How its frames get into memory.
    pub mode: ActiveMode,
    /// The better modes of the ladder, and why it is not on them.
    pub fallbacks: Vec<ModeFallback>,
    /// What the XDP program, or what stands in for it, did with all frames that it saw.
    pub steering: SteeringCounters,
}

/// A worker's account.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Place of the interface in [`Report::interfaces`].
    pub interface: usize,
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
    /// Its place among the members of the output, from 0; `None` if it has one only.
    pub member: Option<u32>,
    /// Whether a reload has taken it away.
    pub is_gone: bool,
    /// By session, all workers together.
    pub sessions: Vec<OutputCounters>,
    /// Frames that lay in its rings when their consumers went, for which they count as delivered.
    pub unread: u64,
    /// Who comes to it, for an output whose consumers come and go.
    pub consumers: Option<ConsumerCounters>,
    /// What became of the frames of each reader, for a stream.
    pub stream: Option<StreamCounters>,
    /// What it has written, for an output that the engine empties itself and that has ended; of
    /// pcapng files also before, up to half a second old.
    pub written: Option<OutputStats>,
}

impl OutputReport {
    /// What the account calls it: `NAME`, or `NAME/MEMBER`.
    pub fn title(&self) -> String {
        self.member.map_or_else(|| self.name.clone(), |member| format!("{}/{member}", self.name))
    }

    /// All sessions together.
    pub fn total(&self) -> OutputCounters {
        let mut total = OutputCounters::default();
        self.sessions.iter().for_each(|counters| total.merge(*counters));
        total
    }
}

/// The account of an engine; [`std::fmt::Display`] is the conservation table.
#[derive(Debug)]
pub struct Report {
    /// What was captured, in the order of the configuration.
    pub interfaces: Vec<InterfaceReport>,
    /// Outer fragments of all interfaces; all zero if they are not put together.
    pub fragments: ReassemblyCounters,
    /// What the numbers say that mirrors give to the frames of sessions whose profile has them, by
    /// session.
    pub sequences: Vec<(SessionId, SequenceCounters)>,
    /// The workers, in the order in which they were started.
    pub workers: Vec<WorkerReport>,
    /// Names of the sessions; index 0 is the default session.
    pub sessions: Vec<String>,
    /// The members of the outputs, in the order in which they came; once somebody has looked in,
    /// `vxtap tail` is among them.
    pub outputs: Vec<OutputReport>,
    /// Why a capture file was not read to its end.
    pub input_error: Option<InputError>,
    /// Anything else that went wrong, a sentence each.
    pub failures: Vec<String>,
}

impl Report {
    pub(super) fn new(engine: &Engine) -> Self {
        let worker = |(queue_id, cpu, counters)| {
            let QueueId { interface, queue } = queue_id;
            WorkerReport { interface, queue, cpu, counters }
        };
        let workers: Vec<_> = engine.workers.counters().map(worker).collect();
        let mut failures = Vec::new();
        let interfaces = match &engine.source {
            Source::Live(interfaces) => interfaces
                .iter()
                .map(|captured| interface_report(captured, &mut failures))
                .collect(),
            Source::File(progress) => {
                let steering = progress.lock().unwrap_or_else(PoisonError::into_inner).steering;
                let (name, mode) = (CAPTURE_FILE.to_owned(), ActiveMode::CaptureFile);
                vec![InterfaceReport { name, mode, fallbacks: Vec::new(), steering }]
            }
        };
        let fragments = engine
            .fragments
            .as_ref()
            .map(|table| table.lock().unwrap_or_else(PoisonError::into_inner).counters());
        let fragments = fragments.unwrap_or_default();
        let sequences = engine.directory.sequence_counters();
        let sessions: Vec<_> = engine.sessions().names().map(str::to_owned).collect();
        let output = |(index, instance): (usize, &super::OutputInstance)| OutputReport {
            name: instance.name.clone(),
            member: Some(instance.member)
                .filter(|(_, members)| *members > 1)
                .map(|(index, _)| index),
            is_gone: instance.is_gone,
            sessions: merge_output(&workers, index, sessions.len()),
            unread: workers.iter().filter_map(|worker| worker.counters.unread.get(index)).sum(),
            consumers: instance
                .attached
                .as_ref()
                .map(|attached| attached.stats.read(instance.member.0)),
            stream: instance.readers(),
            written: instance.control.stats(),
        };
        let outputs = engine.instances.iter().enumerate().map(output).collect();
        Self {
            interfaces,
            fragments,
            sequences,
            workers,
            sessions,
            outputs,
            input_error: None,
            failures,
        }
    }

    /// All workers together.
    pub fn total(&self) -> SessionCounters {
        let mut total = SessionCounters::default();
        self.workers.iter().for_each(|worker| total.merge(&worker.counters.all));
        total
    }

    /// The accounts of the sessions, all workers together; index 0 is the default session.
    pub fn session_counters(&self) -> Vec<SessionCounters> {
        let mut counters_by_session = vec![SessionCounters::default(); self.sessions.len()];
        for worker in &self.workers {
            for (sum, counters) in counters_by_session.iter_mut().zip(&worker.counters.sessions) {
                sum.merge(counters);
            }
        }
        counters_by_session
    }

    /// Traffic of pairs that nobody declared, by pair, the most frames first, and what was beyond
    /// the tables.
    pub fn unknown(&self) -> (Vec<(crate::session::Pair, FrameBytes)>, FrameBytes) {
        let mut by_pair = std::collections::BTreeMap::new();
        let mut beyond = FrameBytes::default();
        for WorkerReport { counters, .. } in &self.workers {
            beyond.merge(counters.unknown_beyond);
            for (pair, count) in &counters.unknown {
                by_pair.entry(*pair).or_insert_with(FrameBytes::default).merge(*count);
            }
        }
        let mut pairs: Vec<_> = by_pair.into_iter().collect();
        pairs.sort_by_key(|(pair, count)| (std::cmp::Reverse(count.frames), *pair));
        (pairs, beyond)
    }

    /// What was done with the frames of all interfaces.
    pub fn steering(&self) -> SteeringCounters {
        let mut total = SteeringCounters::default();
        self.interfaces.iter().for_each(|interface| total.merge(&interface.steering));
        total
    }

    /// Frames that were let in and that the kernel lost before a worker saw them.
    pub fn lost_in_kernel(&self) -> u64 {
        self.workers.iter().map(WorkerReport::lost_in_kernel).sum()
    }

    /// What a worker is called in sentences.
    fn name_of(&self, worker: &WorkerReport) -> String {
        match &self.interfaces[..] {
            interfaces @ [_, _, ..] => {
                format!("{}, queue {}", interfaces[worker.interface].name, worker.queue)
            }
            _ => format!("queue {}", worker.queue),
        }
    }
}

impl WorkerReport {
    const fn lost_in_kernel(&self) -> u64 {
        let kernel = self.counters.kernel;
        kernel.rx_dropped + kernel.rx_ring_full
    }
}

fn interface_report(captured: &CapturedInterface, failures: &mut Vec<String>) -> InterfaceReport {
    let steering = captured.counters().unwrap_or_else(|error| {
        failures.push(error.to_string());
        SteeringCounters::default()
    });
    let (name, fallbacks) = (captured.interface.name.clone(), captured.fallbacks.clone());
    InterfaceReport { name, mode: captured.mode, fallbacks, steering }
}

fn merge_output(
    workers: &[WorkerReport],
    index: usize,
    session_count: usize,
) -> Vec<OutputCounters> {
    let mut sums = vec![OutputCounters::default(); session_count];
    for worker in workers {
        let counters_by_session = worker.counters.outputs.get(index).map_or(&[][..], Vec::as_slice);
        for (sum, counters) in sums.iter_mut().zip(counters_by_session) {
            sum.merge(*counters);
        }
    }
    sums
}
