//! Opens interfaces, workers and outputs, starts and stops them, and reports their counters.
//!
//! ```text
//!   open ── Engine ── take_consumer ... ── start ── report ... ── stop ── Report
//! ```
//!
//! An engine stops in the order in which frames pass: the program is detached, the workers empty
//! their rings and end, the outputs empty theirs and end, and sockets and memory go with their last
//! user.

mod active_mode;
mod captured_interface;
mod cpus;
mod destinations;
mod error;
mod file_source;
mod interface_notes;
mod mode_selection;
mod open;
mod open_errors;
mod queue_builder;
mod reload;
mod report;
mod ring_budget;
mod start;
mod start_needs;
mod stop;
mod tail;
mod watch;
mod worker_set;

use std::sync::{Arc, Mutex};

use crate::config::Config;
use crate::diagnostics::Diagnostics;
use crate::outputs::OutputInstance;
pub use crate::outputs::attach::{ConsumerCounters, StreamCounters, StreamReader};
use crate::outputs::stream::OuterThreads;
use crate::ring::{Consumer, QueueId, Writer};
use crate::ruleset::Ruleset;
use crate::session::{Directory, SessionTable};
pub use crate::udp::UdpError;
use crate::worker::{FragmentTable, QueueSet};
pub use crate::xsk::{BindMode, SocketError, UmemError};
pub use active_mode::{ActiveMode, ModeFallback};
use captured_interface::CapturedInterface;
pub use error::EngineError;
pub use file_source::CaptureFileReport;
use file_source::Progress;
use queue_builder::OpenQueue;
pub use reload::{Changes, ReloadError};
pub use report::{InterfaceReport, OutputReport, Report, WorkerReport};
use ring_budget::RingBudget;
pub use start_needs::StartNeeds;
use tail::TailOutput;
pub use tail::{TailError, TailRequest};
use watch::Watch;
use worker_set::WorkerSet;

/// Name of a capture file where reports name an interface.
const CAPTURE_FILE: &str = "capture file";

/// The source of frames.
enum FrameSource {
    Live(Vec<CapturedInterface>),
    File(Arc<Mutex<Progress>>),
}

/// An engine: interfaces or a capture file, a worker for each queue, and the outputs.
///
/// # Examples
///
/// Counts the frames of an interface for a minute, with the capabilities that [`Self::open`] lists.
///
/// ```no_run
/// use std::time::{Duration, Instant};
///
/// use vxtap::Engine;
/// use vxtap::config::{Config, Output, OutputKind};
/// use vxtap::ring::Next;
///
/// let mut config = Config::default();
/// config.capture.interfaces.push("eth1".to_owned());
/// config.outputs.push(Output::new("count", OutputKind::Consumer));
///
/// let mut engine = Engine::open(config)?;
/// let mut consumer = engine.take_consumer("count").expect("declared above");
/// engine.start()?;
///
/// let end = Instant::now() + Duration::from_secs(60);
/// let mut frames = 0;
/// while Instant::now() < end {
///     match consumer.next(Duration::from_millis(100)) {
///         Next::Batch(batch) => frames += batch.iter().count(),
///         Next::Idle => {}
///         Next::Closed => break,
///     }
/// }
/// let report = engine.stop();
/// println!("{frames} frames\n\n{report}");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Engine {
    config: Config,
    directory: Directory,
    ruleset: Arc<Ruleset>,
    source: FrameSource,
    /// All queues, in the order in which they were opened.
    queues: QueueSet,
    /// Opened queues whose workers have not been started.
    waiting: Vec<(QueueId, OpenQueue)>,
    /// Memory of each queue for output rings.
    ring_budget: RingBudget,
    /// Number of output rings that were configured when the memory was planned.
    planned_outputs: usize,
    /// For each queue the writers of its output rings with the outputs' ids, until the workers own
    /// them.
    writers: Vec<Vec<(usize, Writer)>>,
    /// Reassembles the outer fragments of all queues; `None` if they are not reassembled.
    fragments: Option<FragmentTable>,
    /// All outputs that ever existed; the index is the output's id.
    instances: Vec<OutputInstance>,
    /// The output of `vxtap tail`, from its first use on.
    tail_output: Option<TailOutput>,
    /// The readers of `vxtap tail --outer`.
    outer_threads: OuterThreads,
    workers: WorkerSet,
    diagnostics: Diagnostics,
    /// Permanent failures, a message each.
    failures: Vec<String>,
    watch: Watch,
    is_started: bool,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Engine {
    /// Returns the longest packet, in bytes, that a mirror can send inside a frame that is captured
    /// here.
    fn mtu(&self) -> u32 {
        match &self.source {
            FrameSource::Live(interfaces) => {
                interfaces.iter().map(|captured| captured.interface.mtu).max().unwrap_or(0)
            }
            FrameSource::File(_) => 0,
        }
    }

    /// Takes the consumer of the output called `output`. The caller owns it and may read it on any
    /// one thread.
    ///
    /// Returns `None` if there is no such output, if the engine reads it itself, if it has been
    /// taken, or if the engine has been started. An output whose consumer has not been taken by
    /// then, or was dropped, takes no frames, which is counted. Frames that a consumer has not read
    /// when it is dropped stay counted as delivered to it.
    ///
    /// An output with several members returns them one after the other, in their order. The
    /// consumer of an output that a reload adds can be taken after the reload; until then frames
    /// fill its rings.
    pub fn take_consumer(&mut self, output: &str) -> Option<Consumer> {
        let mut members = self
            .instances
            .iter_mut()
            .filter(|instance| !instance.is_gone && instance.name == output);
        members
            .find(|instance| instance.opened.is_none() && instance.consumer.is_some())?
            .consumer
            .take()
    }

    /// Returns the sessions, which name the ids that frames carry. A reload makes another table;
    /// the names that an older one gives to its ids stay right.
    pub fn sessions(&self) -> &Arc<SessionTable> {
        &self.ruleset.sessions
    }

    /// Returns the interfaces, in the order of the configuration, and their capture modes. A
    /// capture file counts as one interface.
    pub fn interfaces(&self) -> Vec<(&str, ActiveMode)> {
        match &self.source {
            FrameSource::Live(interfaces) => interfaces
                .iter()
                .map(|captured| (captured.interface.name.as_str(), captured.mode))
                .collect(),
            FrameSource::File(_) => vec![(CAPTURE_FILE, ActiveMode::CaptureFile)],
        }
    }

    /// Returns whether the engine has ended by itself: the capture file has been read, or no
    /// interface delivers frames any more. [`Self::stop`] returns the reason.
    pub fn has_ended(&self) -> bool {
        match &self.source {
            FrameSource::Live(interfaces) => {
                let is_over = |index| self.is_over(index);
                (0..interfaces.len()).all(is_over)
            }
            FrameSource::File(_) => self.workers.any_ended(0),
        }
    }

    /// Returns whether an interface delivers no more frames.
    fn is_over(&self, interface: usize) -> bool {
        let is_gone =
            matches!(&self.source, FrameSource::Live(interfaces) if interfaces[interface].is_gone);
        is_gone || self.workers.any_ended(interface)
    }

    /// Returns the messages for the operator since the last call. Those from [`Self::stop`] are in
    /// [`Report::diagnostics`].
    pub fn take_diagnostics(&self) -> Vec<String> {
        self.diagnostics.take()
    }

    /// Rotates all pcapng outputs: ends their files and begins others. An output with a fixed file
    /// name begins another file under that name if the first was moved away. Returns `false` if
    /// there is no such output; problems are reported by [`Self::take_diagnostics`].
    pub fn rotate(&self) -> bool {
        let asked = self
            .instances
            .iter()
            .filter(|instance| instance.writes_files())
            .map(|instance| instance.control.rotate());
        asked.count() > 0
    }

    /// Returns the counters of every frame so far, up to a tenth of a second old.
    pub fn report(&self) -> Report {
        Report::new(self)
    }
}
