//! Puts the stations together: opens them in order, starts the threads, and takes everything down
//! again without losing a frame that is already in.
//!
//! ```text
//!   open ── Engine ── take_consumer ... ── start ── report ... ── stop ── Report
//! ```
//!
//! Taking down goes with the stream: the program is detached, the workers empty their rings and
//! end, the outputs empty theirs and end, the sockets and the memory go when nobody uses them any
//! more.

mod active_mode;
mod captured_interface;
mod cpus;
mod error;
mod file_source;
mod queue_builder;
mod reload;
mod report;
mod start;
mod stop;
mod tail;
mod watch;
mod workers;

use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::capture_file::CaptureFile;
use crate::config::{self, Config, Fragments, Output};
use crate::diagnostics::Diagnostics;
use crate::interface::Interface;
pub use crate::outputs::attach::{ConsumerCounters, StreamCounters, StreamReader};
use crate::outputs::{OutputBuilder, OutputError, OutputInstance};
use crate::ring::{Consumer, QueueId, Writer};
use crate::ruleset::Ruleset;
use crate::session::{Directory, SessionTable};
pub use crate::udp::UdpError;
use crate::worker::FragmentTable;
use crate::worker::{QueueHandle, QueueSet};
pub use crate::xsk::{BindMode, SocketError, UmemError};
use crate::xsk::{Geometry, Pages, SoftNic, Umem};
pub use active_mode::{ActiveMode, ModeFallback};
use captured_interface::CapturedInterface;
pub use error::EngineError;
pub use file_source::InputError;
use file_source::{FileSource, Progress};
use queue_builder::{OpenQueue, SteeringTarget};
pub use reload::{Changes, ReloadError};
pub use report::{InterfaceReport, OutputReport, Report, WorkerReport};
use tail::TailOutput;
pub use tail::{TailError, TailRequest};
use watch::Watch;
use workers::Workers;

/// Bytes of the chunks that a capture file's frames lie in: the largest there are. Longer frames
/// (which no network has; the file says so) are left out and counted.
const FILE_CHUNK_SIZE: u32 = 65_536;
/// Rings of a capture file: a batch is on its way while the next is read.
const FILE_RING_LEN: u32 = 2 * config::BATCH_MAX;
/// What stands in an account for the name of an interface.
const CAPTURE_FILE: &str = "capture file";

/// Where frames come from.
enum Source {
    Live(Vec<CapturedInterface>),
    File(Arc<Mutex<Progress>>),
}

/// An engine: interfaces or a capture file, a worker for each queue, and the outputs.
pub struct Engine {
    config: Config,
    directory: Directory,
    ruleset: Arc<Ruleset>,
    source: Source,
    /// All queues, in the order in which they were opened.
    queues: QueueSet,
    /// Queues that wait for the start.
    waiting: Vec<(QueueId, OpenQueue)>,
    /// Length of the rings from each queue to each output.
    ring_len: u32,
    /// Of the ring from each queue to those who look in; 0: there is no memory for it.
    tail_ring_len: u32,
    /// Number of outputs that were configured when the memory was planned.
    planned_outputs: usize,
    /// For each lane the writers of its output rings with the outputs' ids, until the workers get
    /// them.
    writers: Vec<Vec<(usize, Writer)>>,
    /// Where outer fragments of all queues become whole; `None` if they do not.
    fragments: Option<FragmentTable>,
    /// Every output that ever was; the place of one is its id.
    instances: Vec<OutputInstance>,
    /// For those who look in, once somebody has.
    tail_output: Option<TailOutput>,
    workers: Workers,
    diagnostics: Diagnostics,
    /// What has gone wrong for good, a sentence each.
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
        config.validate()?;
        if config.capture.interfaces.is_empty() {
            return Err(EngineError::NoInterface);
        }
        // All of them before anything happens to one.
        config.capture.interfaces.iter().try_for_each(|name| Interface::find(name).map(drop))?;
        let diagnostics = Diagnostics::default();
        let mut remarks = Vec::new();
        let mut interfaces = Vec::new();
        let mut waiting = Vec::new();
        for (interface, name) in config.capture.interfaces.iter().enumerate() {
            let (captured, queues) =
                CapturedInterface::open(&config, name, waiting.len(), &mut remarks)?;
            interfaces.push(captured);
            waiting.extend(
                queues.into_iter().map(|open| (QueueId { interface, queue: open.queue }, open)),
            );
        }
        // After the interfaces are ours: a second engine that is refused must not touch the files
        // of the first.
        for note in remarks {
            diagnostics.push(note);
        }
        let plan = config.memory.plan(Output::count_rings(&config.outputs))?;
        let lens = (plan.output_ring_len, plan.tail_ring_len);
        Self::assemble(config, Source::Live(interfaces), waiting, lens, diagnostics)
    }

    /// Opens a capture file (pcap or pcapng) as if its frames came from an interface. Of the
    /// configuration, `capture` says which ports and sources count; memory, workers and modes do
    /// not matter. Needs no privileges. Outputs that are slow are waited for.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn open_capture_file(config: Config, path: &Path) -> Result<Self, EngineError> {
        config.validate()?;
        let attaches = |output: &&Output| output.kind.attached_consumers_max().is_some();
        if let Some(output) = config.outputs.iter().find(attaches) {
            return Err(OutputError::LiveOnly { output: output.name.clone() }.into());
        }
        let file = CaptureFile::open(path)?;
        let output_count = u32::try_from(Output::count_rings(&config.outputs)).unwrap_or(u32::MAX);
        let chunk_count = FILE_RING_LEN + config::BATCH_MAX + output_count * FILE_RING_LEN;
        let (umem, free) =
            Umem::create(Geometry::new(FILE_CHUNK_SIZE, chunk_count), Pages::Ordinary)?;
        let (nic, rx) =
            SoftNic::new(Arc::new(umem), FILE_RING_LEN, FILE_RING_LEN).map_err(no_rings)?;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let kernel = Box::new(FileSource::new(file, nic, &config.capture, progress.clone()));
        let open =
            OpenQueue { queue: 0, cpu: None, kernel, rx, free, target: SteeringTarget::NotSteered };
        let waiting = vec![(QueueId::default(), open)];
        Self::assemble(
            config,
            Source::File(progress),
            waiting,
            (FILE_RING_LEN, 0),
            Diagnostics::default(),
        )
    }

    /// Makes the outputs and their rings: one from each queue to each output.
    fn assemble(
        config: Config,
        source: Source,
        waiting: Vec<(QueueId, OpenQueue)>,
        (ring_len, tail_ring_len): (u32, u32),
        diagnostics: Diagnostics,
    ) -> Result<Self, EngineError> {
        let mut directory = match source {
            Source::Live(_) => Directory::with_secret_seed(),
            Source::File(_) => Directory::default(),
        };
        let ruleset = Arc::new(Ruleset::first(&config, &mut directory));
        let mut engine = Self {
            directory,
            ruleset,
            source,
            queues: QueueSet::default(),
            waiting: Vec::new(),
            ring_len,
            tail_ring_len,
            planned_outputs: Output::count_rings(&config.outputs).max(1),
            writers: Vec::new(),
            fragments: (config.capture.fragments == Fragments::Reassemble)
                .then(FragmentTable::default),
            instances: Vec::new(),
            tail_output: None,
            workers: Workers::default(),
            diagnostics,
            failures: Vec::new(),
            watch: Watch::here(),
            is_started: false,
            config,
        };
        for (queue_id, open) in &waiting {
            engine.queues.push(QueueHandle::new(*queue_id, open.rx.umem().clone()));
        }
        engine.waiting = waiting;
        engine.writers = engine.waiting.iter().map(|_| Vec::new()).collect();
        let mtu = engine.mtu();
        let builder = OutputBuilder::new(
            &engine.config,
            &mut engine.directory,
            &[],
            mtu,
            &engine.diagnostics,
        );
        engine.instances = builder.open(&engine.config.outputs)?;
        for id in 0..engine.instances.len() {
            if engine.instances[id].attached.is_some() {
                continue;
            }
            let (writers, consumer) = engine.rings()?;
            engine.instances[id].connect(consumer);
            engine
                .writers
                .iter_mut()
                .zip(writers)
                .for_each(|(each, writer)| each.push((id, writer)));
        }
        Ok(engine)
    }

    /// Longest packet, in bytes, that a mirror can send inside a frame that is captured here.
    fn mtu(&self) -> u32 {
        match &self.source {
            Source::Live(interfaces) => {
                interfaces.iter().map(|captured| captured.interface.mtu).max().unwrap_or(0)
            }
            Source::File(_) => 0,
        }
    }

    /// The rings of one output: the writers by lane, and the consumer of all of them.
    fn rings(&self) -> Result<(Vec<Writer>, Consumer), EngineError> {
        self.queues.rings(self.ring_len).map_err(no_rings)
    }

    /// Takes the consumer of the output called `output`, to be read by the caller, on any one
    /// thread. `None` if there is no such output, if the engine empties it itself, if it has been
    /// taken, or if the engine has been started: an output whose consumer nobody has taken by then,
    /// or that is dropped, takes no frames, which is counted. What a consumer has not read when it
    /// is dropped stays counted as delivered to it. Of an output with several members the first one
    /// that has not been taken: call it as often as there are members, which come in their order.
    /// The consumer of an output that a reload adds can be taken after it; until then frames fill
    /// its rings.
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

    /// The sessions, to give names to the ids that frames carry. After a reload there is another
    /// table; what an older one says of the ids it knows stays true.
    pub fn sessions(&self) -> &Arc<SessionTable> {
        &self.ruleset.sessions
    }

    /// The interfaces, in the order of the configuration, and how their frames get into memory. A
    /// capture file is one.
    pub fn interfaces(&self) -> Vec<(&str, ActiveMode)> {
        match &self.source {
            Source::Live(interfaces) => interfaces
                .iter()
                .map(|captured| (captured.interface.name.as_str(), captured.mode))
                .collect(),
            Source::File(_) => vec![(CAPTURE_FILE, ActiveMode::CaptureFile)],
        }
    }

    /// Whether the engine has ended by itself: a capture file has been read, or each interface has
    /// become useless. [`Self::stop`] says why.
    pub fn has_ended(&self) -> bool {
        match &self.source {
            Source::Live(interfaces) => {
                let is_over = |index| self.is_over(index);
                (0..interfaces.len()).all(is_over)
            }
            Source::File(_) => self.workers.any_ended(0),
        }
    }

    /// Whether nothing comes from an interface any more.
    fn is_over(&self, interface: usize) -> bool {
        let is_gone =
            matches!(&self.source, Source::Live(interfaces) if interfaces[interface].is_gone);
        is_gone || self.workers.any_ended(interface)
    }

    /// Sentences for the operator that have come up since the last call: what is not as good as it
    /// could be.
    pub fn take_diagnostics(&self) -> Vec<String> {
        self.diagnostics.take()
    }

    /// Has the pcapng outputs end their files and begin others. Those with one file of a fixed name
    /// begin another one under that name if it was moved away. Says whether there is such an
    /// output. What comes of it the diagnostics say.
    pub fn rotate(&self) -> bool {
        let asked = self
            .instances
            .iter()
            .filter(|instance| instance.writes_files())
            .map(|instance| instance.control.rotate());
        asked.count() > 0
    }

    /// What has become of every frame so far. Counts are up to a tenth of a second old.
    pub fn report(&self) -> Report {
        Report::new(self)
    }
}

fn no_rings(source: std::io::Error) -> EngineError {
    EngineError::System { what: "no memory for rings".to_owned(), source }
}
