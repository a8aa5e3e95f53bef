//! Counters of an engine: every frame, and its outcome.

mod balance;
mod conservation_table;

use super::file_source::CaptureFileReport;
use super::{
    ActiveMode, CAPTURE_FILE, CapturedInterface, ConsumerCounters, Engine, FrameSource,
    ModeFallback, StreamCounters,
};
use crate::capture_file::CaptureFileError;
use crate::counters::{FrameBytes, OutputCounters, SessionCounters, WorkerCounters};
use crate::outputs::OutputStats;
use crate::reassembly::ReassemblyCounters;
use crate::ring::QueueId;
use crate::session::{SequenceCounters, SessionId};
use crate::steering::SteeringCounters;
use crate::sys::lock;

/// Counters of an interface.
#[derive(Clone, Debug)]
pub struct InterfaceReport {
    /// Name of the interface, or "capture file".
    pub name: String,
    /// Mode in which it is captured.
    pub mode: ActiveMode,
    /// The better modes, and the reasons against them.
    pub fallbacks: Vec<ModeFallback>,
    /// Outcomes of all frames that the XDP program, or its substitute, saw.
    pub steering: SteeringCounters,
}

/// Counters of a worker.
#[derive(Clone, Debug)]
pub struct WorkerReport {
    /// Index of the interface in [`Report::interfaces`].
    pub interface: usize,
    /// RX queue that it reads.
    pub queue: u32,
    /// CPU that it is pinned to.
    pub cpu: Option<usize>,
    /// Its counters.
    pub counters: WorkerCounters,
}

/// Counters of one member of an output.
#[derive(Debug)]
pub struct OutputReport {
    /// Name of the output.
    pub name: String,
    /// Number of the member, from 0; `None` if the output has only one.
    pub member: Option<u32>,
    /// `true` once a reload has removed the output.
    pub is_gone: bool,
    /// Counters by session, all workers together.
    pub sessions: Vec<OutputCounters>,
    /// Frames that lay in its rings, counted as delivered, when their consumers detached.
    pub unread: u64,
    /// Counters of the consumers, for an output whose consumers attach while it runs.
    pub consumers: Option<ConsumerCounters>,
    /// Counters of each reader, for a stream.
    pub stream: Option<StreamCounters>,
    /// Frames written by an output that the engine reads itself, once it has ended; for pcapng also
    /// before, up to half a second old.
    pub written: Option<OutputStats>,
}

impl OutputReport {
    /// Returns its name in reports: `NAME`, or `NAME/MEMBER`.
    pub fn title(&self) -> String {
        self.member.map_or_else(|| self.name.clone(), |member| format!("{}/{member}", self.name))
    }

    /// Returns the sum of all sessions.
    pub fn total(&self) -> OutputCounters {
        let mut total = OutputCounters::default();
        self.sessions.iter().for_each(|counters| total.merge(*counters));
        total
    }
}

/// Counters of an engine; [`std::fmt::Display`] is the conservation table.
#[derive(Debug)]
pub struct Report {
    /// The captured interfaces, in the order of the configuration.
    pub interfaces: Vec<InterfaceReport>,
    /// Outer fragments of all interfaces; all zero if they are not reassembled.
    pub fragments: ReassemblyCounters,
    /// Losses by the sequence numbers of mirrors, for sessions whose profile has such numbers.
    pub sequences: Vec<(SessionId, SequenceCounters)>,
    /// The workers, in the order in which they were started.
    pub workers: Vec<WorkerReport>,
    /// Names of the sessions; index 0 is the default session.
    pub sessions: Vec<String>,
    /// The members of the outputs, in the order in which they were added; `vxtap tail` is among
    /// them once it was used.
    pub outputs: Vec<OutputReport>,
    /// Reason why a capture file was not read to its end.
    pub input_error: Option<CaptureFileError>,
    /// Counts of the capture file, once it has been read.
    pub capture_file: Option<CaptureFileReport>,
    /// Other failures, a message each.
    pub failures: Vec<String>,
    /// Messages for the operator from the end of the engine, which
    /// [`Engine::take_diagnostics`](super::Engine::take_diagnostics) cannot return any more.
    pub diagnostics: Vec<String>,
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
            FrameSource::Live(interfaces) => interfaces
                .iter()
                .map(|captured| interface_report(captured, &mut failures))
                .collect(),
            FrameSource::File(progress) => {
                let steering = lock(progress).steering;
                let (name, mode) = (CAPTURE_FILE.to_owned(), ActiveMode::CaptureFile);
                vec![InterfaceReport { name, mode, fallbacks: Vec::new(), steering }]
            }
        };
        let fragments = engine.fragments.as_ref().map(|table| lock(table).counters());
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
            capture_file: None,
            failures,
            diagnostics: Vec::new(),
        }
    }

    /// Returns the sum of all workers.
    pub fn total(&self) -> SessionCounters {
        let mut total = SessionCounters::default();
        self.workers.iter().for_each(|worker| total.merge(&worker.counters.total));
        total
    }

    /// Returns the counters of the sessions, all workers together; index 0 is the default session.
    pub fn session_counters(&self) -> Vec<SessionCounters> {
        let mut counters_by_session = vec![SessionCounters::default(); self.sessions.len()];
        for worker in &self.workers {
            for (sum, counters) in counters_by_session.iter_mut().zip(&worker.counters.sessions) {
                sum.merge(counters);
            }
        }
        counters_by_session
    }

    /// Returns the traffic of undeclared pairs, the most frames first, and the traffic beyond the
    /// tables.
    pub fn unknown(&self) -> (Vec<(crate::session::SourceVni, FrameBytes)>, FrameBytes) {
        let mut by_pair = std::collections::BTreeMap::new();
        let mut beyond = FrameBytes::default();
        for WorkerReport { counters, .. } in &self.workers {
            beyond.merge(counters.unknown_overflow);
            for (pair, count) in &counters.unknown {
                by_pair.entry(*pair).or_insert_with(FrameBytes::default).merge(*count);
            }
        }
        let mut pairs: Vec<_> = by_pair.into_iter().collect();
        pairs.sort_by_key(|(pair, count)| (std::cmp::Reverse(count.frames), *pair));
        (pairs, beyond)
    }

    /// Returns the outcomes of the frames of all interfaces.
    pub fn steering(&self) -> SteeringCounters {
        let mut total = SteeringCounters::default();
        self.interfaces.iter().for_each(|interface| total.merge(&interface.steering));
        total
    }

    /// Returns the number of frames that were redirected and that the kernel lost before a worker
    /// saw them.
    pub fn lost_in_kernel(&self) -> u64 {
        let of_workers: u64 = self.workers.iter().map(WorkerReport::lost_in_kernel).sum();
        of_workers + self.steering().redirect_err
    }

    /// Returns the name of a worker in messages.
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
