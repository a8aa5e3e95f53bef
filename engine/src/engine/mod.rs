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

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::capture_file::OuterFrames;
use crate::config::{self, Config, FragmentMode, MemoryPlan, Output};
use crate::diagnostics::Diagnostics;
use crate::interface::Interface;
pub use crate::outputs::attach::{ConsumerCounters, StreamCounters, StreamReader};
use crate::outputs::stream::OuterThreads;
use crate::outputs::{OutputBuilder, OutputError, OutputInstance};
use crate::ring::{Consumer, QueueId, Writer};
use crate::ruleset::Ruleset;
use crate::session::{Directory, SessionTable};
use crate::sys::clock::time_namespace_offset_ns;
pub use crate::udp::UdpError;
use crate::worker::FragmentTable;
use crate::worker::{QueueHandle, QueueSet};
pub use crate::xsk::{BindMode, SocketError, UmemError};
use crate::xsk::{Geometry, Pages, SoftNic, Umem};
pub use active_mode::{ActiveMode, ModeFallback};
use captured_interface::CapturedInterface;
pub use error::EngineError;
pub use file_source::CaptureFileReport;
use file_source::{FileSource, Progress};
use interface_notes::InterfaceNote;
use queue_builder::{OpenQueue, SteeringTarget};
pub use reload::{Changes, ReloadError};
pub use report::{InterfaceReport, OutputReport, Report, WorkerReport};
use ring_budget::RingBudget;
pub use start_needs::StartNeeds;
use tail::TailOutput;
pub use tail::{TailError, TailRequest};
use watch::Watch;
use worker_set::WorkerSet;

/// Chunk size of a capture file in bytes, the largest there is. Longer frames lie in several.
const FILE_CHUNK_SIZE: u32 = 65_536;
/// Length of the rings of a capture file: one batch is processed while the next is read.
const FILE_RING_LEN: u32 = 2 * config::BATCH_MAX;
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
    /// Opens the interfaces: checks the configuration, attaches the XDP program, binds a socket to
    /// each queue, and creates the outputs' files. Frames go on to the kernel stack until
    /// [`Self::start`].
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing is left attached then.
    ///
    /// # Kernel
    ///
    /// Linux 6.1 with `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_BPF` and `CAP_PERFMON`, in the calling
    /// thread's network namespace. [`ActiveMode::Socket`] needs none of them.
    pub fn open(config: Config) -> Result<Self, EngineError> {
        Self::open_interfaces(config).map_err(EngineError::naming_shortage)
    }

    fn open_interfaces(config: Config) -> Result<Self, EngineError> {
        config.validate()?;
        if config.capture.interfaces.is_empty() {
            return Err(EngineError::NoInterface);
        }
        // All interfaces are looked up before any of them is changed.
        config.capture.interfaces.iter().try_for_each(|name| Interface::find(name).map(drop))?;
        let diagnostics = Diagnostics::default();
        let mut notes = Vec::new();
        let mut interfaces = Vec::new();
        let mut waiting = Vec::new();
        for (interface, name) in config.capture.interfaces.iter().enumerate() {
            let (captured, queues) =
                CapturedInterface::open(&config, name, waiting.len(), &mut notes)?;
            interfaces.push(captured);
            waiting.extend(
                queues.into_iter().map(|open| (QueueId { interface, queue: open.queue }, open)),
            );
        }
        notes.extend(unknown_clock(&config, &interfaces).map(InterfaceNote::whole));
        // Only after the interfaces are open: a second engine that is refused must not touch the
        // files of the first.
        for note in interface_notes::sentences(&notes) {
            diagnostics.push(note);
        }
        let plan = config.memory.plan(Output::count_rings(&config.outputs))?;
        Self::assemble(config, FrameSource::Live(interfaces), waiting, plan, diagnostics)
    }

    /// Opens a capture file (pcap or pcapng, also compressed with gzip or zstd) as if its frames
    /// came from an interface. Of `capture`, only the ports and the allowed sources count; memory,
    /// workers and modes do not matter. Needs no privileges. Reading waits for slow outputs.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn open_capture_file(config: Config, path: &Path) -> Result<Self, EngineError> {
        config.validate()?;
        Self::open_capture(config, OuterFrames::open(path)?)
    }

    /// As [`Self::open_capture_file`], for a capture that is open already: it may come from
    /// anywhere.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn open_capture(config: Config, frames: OuterFrames) -> Result<Self, EngineError> {
        config.validate()?;
        let attaches = |output: &&Output| output.kind.attached_consumers_max().is_some();
        if let Some(output) = config.outputs.iter().find(attaches) {
            return Err(OutputError::LiveOnly { output: output.name.clone() }.into());
        }
        let output_count = u32::try_from(Output::count_rings(&config.outputs)).unwrap_or(u32::MAX);
        let chunk_count = FILE_RING_LEN + config::BATCH_MAX + output_count * FILE_RING_LEN;
        let (umem, free) =
            Umem::create(Geometry::new(FILE_CHUNK_SIZE, chunk_count), Pages::Ordinary)?;
        let (nic, rx) =
            SoftNic::new(Arc::new(umem), FILE_RING_LEN, FILE_RING_LEN).map_err(no_rings)?;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let backend = Box::new(FileSource::new(frames, nic, &config.capture, progress.clone()));
        let open = OpenQueue {
            queue: 0,
            cpu: None,
            backend,
            rx,
            free,
            target: SteeringTarget::NotSteered,
        };
        let waiting = vec![(QueueId::default(), open)];
        let plan = MemoryPlan {
            chunk_count,
            output_ring_len: FILE_RING_LEN,
            spare_ring_len: 0,
            tail_ring_len: 0,
        };
        Self::assemble(config, FrameSource::File(progress), waiting, plan, Diagnostics::default())
    }

    /// Makes the engine of opened queues, and opens its outputs.
    fn assemble(
        config: Config,
        source: FrameSource,
        waiting: Vec<(QueueId, OpenQueue)>,
        plan: MemoryPlan,
        diagnostics: Diagnostics,
    ) -> Result<Self, EngineError> {
        let mut directory = match source {
            FrameSource::Live(_) => Directory::with_secret_seed(),
            FrameSource::File(_) => Directory::default(),
        };
        let ruleset = Arc::new(Ruleset::first(&config, &mut directory));
        let queues = QueueSet::default();
        for (queue_id, open) in &waiting {
            queues.push(QueueHandle::new(*queue_id, open.rx.umem().clone()));
        }
        let rings = Output::count_rings(&config.outputs);
        let mut engine = Self {
            directory,
            ruleset,
            source,
            queues,
            writers: waiting.iter().map(|_| Vec::new()).collect(),
            waiting,
            ring_budget: RingBudget::new(plan, config.memory.outputs_planned(rings)),
            planned_outputs: rings.max(1),
            fragments: (config.capture.fragments == FragmentMode::Reassemble)
                .then(FragmentTable::default),
            instances: Vec::new(),
            tail_output: None,
            outer_threads: OuterThreads::default(),
            workers: WorkerSet::default(),
            diagnostics,
            failures: Vec::new(),
            watch: Watch::here(),
            is_started: false,
            config,
        };
        engine.open_outputs()?;
        Ok(engine)
    }

    /// Opens the configured outputs, and creates a ring from each queue to each output that no
    /// consumers attach to.
    fn open_outputs(&mut self) -> Result<(), EngineError> {
        let mtu = self.mtu();
        let Self { config, directory, diagnostics, .. } = self;
        let builder = OutputBuilder::new(config, directory, &[], mtu, diagnostics);
        self.instances = builder.open(&config.outputs, self.ring_budget.ring_len)?;
        for id in 0..self.instances.len() {
            if self.instances[id].attached.is_some() {
                continue;
            }
            let ring_len = self.ring_budget.ring_len;
            let (writers, consumer) = self.queues.rings(ring_len).map_err(no_rings)?;
            self.instances[id].set_consumer(consumer);
            for (of_queue, writer) in self.writers.iter_mut().zip(writers) {
                of_queue.push((id, writer));
            }
        }
        Ok(())
    }

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

    /// Returns the messages for the operator since the last call.
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

/// Returns a note if arrival times may be those of another clock.
fn unknown_clock(config: &Config, interfaces: &[CapturedInterface]) -> Option<String> {
    let is_stamped = config.capture.arrival_times
        && interfaces.iter().any(|captured| captured.mode.xdp().is_some());
    (is_stamped && time_namespace_offset_ns().is_none()).then(|| {
        "without /proc it is not known whether this process is in a time namespace, whose offset would be missing in \
         arrival times: mount /proc, or set capture.arrival_times = false"
            .to_owned()
    })
}

fn no_rings(source: std::io::Error) -> EngineError {
    EngineError::System { what: "no memory for rings".to_owned(), source }
}
