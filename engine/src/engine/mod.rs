//! Puts the stations together: opens them in order, starts the threads, and takes everything down again without
//! losing a frame that is already in.
//!
//! ```text
//!   open ── Engine ── take_consumer ... ── start ── report ... ── stop ── Report
//! ```
//!
//! Taking down goes with the stream: the program is detached, the workers empty their rings and end, the outputs
//! empty theirs and end, the sockets and the memory go when nobody uses them any more.

mod cpus;
mod error;
mod file_source;
mod lane;
mod live;
mod outlet;
mod reload;
mod report;
mod rung;
mod sinks;
mod watch;
mod workers;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::capture_file::CaptureFile;
use crate::config::{self, Config, Fragments, WaitMode};
use crate::counters::Board;
use crate::output::{self, Consumer, Origin, Writer, pcapng};
use crate::ruleset::Ruleset;
use crate::session::{Directory, SessionTable};
use crate::worker::{FragmentTable, Parts, WhenFull};
pub use crate::xsk::{BindMode, SocketError, UdpError, UmemError};
use crate::xsk::{Geometry, Pages, SoftNic, Umem};
pub use error::EngineError;
pub use file_source::InputError;
use file_source::{FileSource, Progress};
use lane::{Entrance, Lane, Open};
use live::Live;
use outlet::Outlet;
pub use reload::{Changes, ReloadError};
pub use report::{InterfaceReport, OutputReport, Report, WorkerReport};
pub use rung::{Rung, StepDown};
use watch::Watch;
use workers::{Notes, Workers};

/// Time for frames that were on their way through the kernel when the program was detached.
const SETTLE: Duration = Duration::from_millis(20);

/// Bytes of the chunks that a capture file's frames lie in: the largest there are. Longer frames (which no network has;
/// the file says so) are left out and counted.
const FILE_CHUNK_SIZE: u32 = 65_536;
/// Rings of a capture file: a batch is on its way while the next is read.
const FILE_RING_LEN: u32 = 2 * config::BATCH_MAX;
/// What stands in an account for the name of an interface.
const CAPTURE_FILE: &str = "capture file";

/// Where frames come from.
enum Source {
    Live(Vec<Live>),
    File(Arc<Mutex<Progress>>),
}

/// The boards of all workers, those of later ones included.
type Boards = Arc<Mutex<Vec<Arc<Board>>>>;

/// An engine: interfaces or a capture file, a worker for each queue, and the outputs.
pub struct Engine {
    config: Config,
    directory: Directory,
    ruleset: Arc<Ruleset>,
    source: Source,
    /// All queues, in the order in which they were opened.
    lanes: Vec<Lane>,
    /// Queues that wait for the start.
    waiting: Vec<(Origin, Open)>,
    /// Length of the rings from each queue to each output.
    ring_len: u32,
    /// Number of outputs that were configured when the memory was planned.
    planned_outputs: usize,
    /// For each lane the writers of its output rings with the outputs' ids, until the workers get them.
    writers: Vec<Vec<(usize, Writer)>>,
    boards: Boards,
    /// Where outer fragments of all queues become whole; `None` if they do not.
    fragments: Option<FragmentTable>,
    /// Every output that ever was; the place of one is its id.
    outlets: Vec<Outlet>,
    workers: Workers,
    notes: Notes,
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
    /// Opens the interfaces: checks the configuration, attaches the XDP program, binds a socket to each queue, and
    /// creates the outputs' files. Frames go on to the kernel stack until [`Self::start`].
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing is left attached then.
    ///
    /// # Kernel
    ///
    /// Linux 6.1 with `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_BPF` and `CAP_PERFMON`, in the calling thread's network namespace.
    /// [`Rung::Socket`] needs none of them.
    pub fn open(config: Config) -> Result<Self, EngineError> {
        config.validate()?;
        if config.capture.interfaces.is_empty() {
            return Err(EngineError::NoInterface);
        }
        let notes = Notes::default();
        let mut remarks = Vec::new();
        let mut lives = Vec::new();
        let mut waiting = Vec::new();
        for (interface, name) in config.capture.interfaces.iter().enumerate() {
            let (live, queues) = Live::open(&config, name, waiting.len(), &mut remarks)?;
            lives.push(live);
            waiting.extend(queues.into_iter().map(|open| (Origin { interface, queue: open.queue }, open)));
        }
        // After the interfaces are ours: a second engine that is refused must not touch the files of the first.
        for note in remarks {
            notes.push(note);
        }
        let ring_len = config.memory.plan(config.outputs.len())?.output_ring_len;
        Self::assemble(config, Source::Live(lives), waiting, ring_len, notes)
    }

    /// Opens a capture file (pcap or pcapng) as if its frames came from an interface. Of the configuration, `capture`
    /// says which ports and sources count; memory, workers and modes do not matter. Needs no privileges. Outputs that
    /// are slow are waited for.
    ///
    /// # Errors
    ///
    /// [`EngineError`].
    pub fn open_capture_file(config: Config, path: &Path) -> Result<Self, EngineError> {
        config.validate()?;
        let file = CaptureFile::open(path)?;
        let output_count = u32::try_from(config.outputs.len()).unwrap_or(u32::MAX);
        let chunk_count = FILE_RING_LEN + config::BATCH_MAX + output_count * FILE_RING_LEN;
        let (umem, free) = Umem::create(Geometry::new(FILE_CHUNK_SIZE, chunk_count), Pages::Ordinary)?;
        let (nic, rx) = SoftNic::new(Arc::new(umem), FILE_RING_LEN, FILE_RING_LEN)
            .map_err(|source| EngineError::System { what: "no memory for rings".to_owned(), source })?;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let kernel = Box::new(FileSource::new(file, nic, &config.capture, progress.clone()));
        let open = Open { queue: 0, cpu: None, kernel, rx, free, entrance: Entrance::Wide };
        let waiting = vec![(Origin::default(), open)];
        Self::assemble(config, Source::File(progress), waiting, FILE_RING_LEN, Notes::default())
    }

    /// Makes the outputs and their rings: one from each queue to each output.
    fn assemble(
        config: Config,
        source: Source,
        waiting: Vec<(Origin, Open)>,
        ring_len: u32,
        notes: Notes,
    ) -> Result<Self, EngineError> {
        let mut directory = Directory::default();
        let ruleset = Arc::new(Ruleset::first(&config, &mut directory));
        let mut engine = Self {
            directory,
            ruleset,
            source,
            lanes: Vec::new(),
            waiting: Vec::new(),
            ring_len,
            planned_outputs: config.outputs.len().max(1),
            writers: Vec::new(),
            boards: Boards::default(),
            fragments: (config.capture.fragments == Fragments::Reassemble).then(FragmentTable::default),
            outlets: Vec::new(),
            workers: Workers::default(),
            notes,
            failures: Vec::new(),
            watch: Watch::here(),
            is_started: false,
            config,
        };
        for (origin, open) in &waiting {
            engine.add_lane(*origin, open);
        }
        engine.waiting = waiting;
        engine.writers = engine.lanes.iter().map(|_| Vec::new()).collect();
        engine.outlets = outlet::open(&engine.config, &engine.config.outputs, &mut engine.directory, &[])?;
        for id in 0..engine.outlets.len() {
            let (writers, consumer) = engine.rings();
            engine.outlets[id].connect(consumer);
            engine.writers.iter_mut().zip(writers).for_each(|(each, writer)| each.push((id, writer)));
        }
        Ok(engine)
    }

    fn add_lane(&mut self, origin: Origin, open: &Open) {
        let board = Arc::<Board>::default();
        self.boards.lock().unwrap_or_else(PoisonError::into_inner).push(board.clone());
        self.lanes.push(Lane { origin, umem: open.rx.umem().clone(), board });
    }

    /// The rings of one output: the writers by lane, and the consumer of all of them.
    fn rings(&self) -> (Vec<Writer>, Consumer) {
        let ring = |lane: &Lane| output::ring(self.ring_len as usize, lane.umem.clone(), lane.origin);
        let (writers, readers) = self.lanes.iter().map(ring).unzip();
        (writers, Consumer::new(readers))
    }

    /// Takes the consumer of the output called `output`, to be read by the caller, on any one thread. `None` if there is
    /// no such output, if the engine empties it itself, if it has been taken, or if the engine has been started: an
    /// output whose consumer nobody has taken by then, or that is dropped, takes no frames, which is counted. What a
    /// consumer has not read when it is dropped stays counted as delivered to it. The consumer of an output that a reload
    /// adds can be taken after it; until then frames fill its rings.
    pub fn take_consumer(&mut self, output: &str) -> Option<Consumer> {
        let outlet = self.outlets.iter_mut().find(|outlet| !outlet.is_gone && outlet.name == output)?;
        if outlet.sink.is_some() { None } else { outlet.consumer.take() }
    }

    /// The sessions, to give names to the ids that frames carry. After a reload there is another table; what an older one
    /// says of the ids it knows stays true.
    pub fn sessions(&self) -> &Arc<SessionTable> {
        &self.ruleset.sessions
    }

    /// The interfaces, in the order of the configuration, and how their frames get into memory. A capture file is one.
    pub fn interfaces(&self) -> Vec<(&str, Rung)> {
        match &self.source {
            Source::Live(lives) => {
                lives.iter().map(|live| (live.interface.name.as_str(), live.rung)).collect()
            }
            Source::File(_) => vec![(CAPTURE_FILE, Rung::CaptureFile)],
        }
    }

    /// Starts the outputs and the workers, and lets the frames in.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if a thread or a map entry is refused.
    ///
    /// # Panics
    ///
    /// If it is called twice.
    pub fn start(&mut self) -> Result<(), EngineError> {
        assert!(!std::mem::replace(&mut self.is_started, true), "an engine is started once");
        self.start_sinks()?;
        // Nobody can take them any more.
        self.outlets.iter_mut().for_each(|outlet| outlet.consumer = None);
        let mut entrances = Vec::new();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let writers = std::mem::take(&mut self.writers).into_iter();
        for (place, ((_, open), writers)) in waiting.zip(writers).enumerate() {
            entrances.push(self.start_worker(place, open, writers)?);
        }
        // Once all of them run: a queue whose worker is late would lose what it gets.
        entrances.into_iter().enumerate().try_for_each(|(place, entrance)| self.connect(place, entrance))
    }

    /// Starts the worker of a lane.
    fn start_worker(
        &mut self,
        place: usize,
        open: Open,
        outputs: Vec<(usize, Writer)>,
    ) -> Result<Entrance, EngineError> {
        let Open { queue: _, cpu, kernel, rx, free, entrance } = open;
        let (wait, when_full) = match self.source {
            Source::Live(_) => (self.config.workers.wait, WhenFull::Drop),
            Source::File(_) => (WaitMode::Interrupt, WhenFull::Wait),
        };
        let (ruleset, orders) = (self.ruleset.clone(), Arc::default());
        let Lane { origin, board, .. } = &self.lanes[place];
        let board = board.clone();
        let fragments = self.fragments.clone();
        let parts =
            Parts { kernel, queue: rx, free, outputs, ruleset, fragments, wait, when_full, board, orders };
        self.workers.spawn(*origin, self.lane_name(*origin), cpu, parts, self.notes.clone())?;
        Ok(entrance)
    }

    /// What sentences call a lane.
    fn lane_name(&self, Origin { interface, queue }: Origin) -> String {
        match &self.config.capture.interfaces[..] {
            names @ [_, _, ..] => format!("queue {queue} of {}", names[interface]),
            _ => format!("queue {queue}"),
        }
    }

    /// Lets the frames of a lane in.
    fn connect(&mut self, place: usize, entrance: Entrance) -> Result<(), EngineError> {
        let Origin { interface, queue } = self.lanes[place].origin;
        match &mut self.source {
            Source::Live(lives) => lives[interface].connect(queue, entrance),
            Source::File(_) => Ok(()),
        }
    }

    /// Starts the threads of the outputs that are open and have none.
    fn start_sinks(&mut self) -> Result<(), EngineError> {
        let clock = match self.source {
            Source::Live(_) => sinks::Clock::Wall,
            Source::File(_) => sinks::Clock::Frames,
        };
        for (id, outlet) in self.outlets.iter_mut().enumerate() {
            let Some(sink) = outlet.sink.take() else { continue };
            let Some(consumer) = outlet.consumer.take() else { continue };
            let output = sinks::Place { id, name: outlet.name.clone(), boards: self.boards.clone(), clock };
            outlet.thread = Some(sinks::start(sink, consumer, output, self.notes.clone())?);
        }
        Ok(())
    }

    /// Whether the engine has ended by itself: a capture file has been read, or each interface has become useless.
    /// [`Self::stop`] says why.
    pub fn has_ended(&self) -> bool {
        match &self.source {
            Source::Live(lives) => {
                let is_over = |place| self.is_over(place);
                (0..lives.len()).all(is_over)
            }
            Source::File(_) => self.workers.any_ended(0),
        }
    }

    /// Whether nothing comes from an interface any more.
    fn is_over(&self, interface: usize) -> bool {
        let is_gone = matches!(&self.source, Source::Live(lives) if lives[interface].is_gone);
        is_gone || self.workers.any_ended(interface)
    }

    /// Sentences for the operator that have come up since the last call: what is not as good as it could be.
    pub fn take_notes(&self) -> Vec<String> {
        self.notes.take()
    }

    /// What has become of every frame so far. Counts are up to a tenth of a second old.
    pub fn report(&self) -> Report {
        Report::new(self)
    }

    /// Detaches the program, lets everything that is in drain, ends all threads, and gives the final account.
    ///
    /// Waits for the outputs that the engine empties itself, not for consumers that were taken; these read on what is
    /// in their rings and then find them closed. Dropping an engine does the same without the account.
    pub fn stop(mut self) -> Report {
        if self.is_started && self.has_ended() {
            // Whether because its interface is gone.
            self.look();
        }
        let (failures, written) = self.finish();
        let mut report = Report::new(&self);
        report.failures.extend(self.failures.drain(..).chain(failures));
        if let Source::File(progress) = &self.source {
            report.input_error = progress.lock().unwrap_or_else(PoisonError::into_inner).error.take();
        }
        for (output, written) in report.outputs.iter_mut().zip(written) {
            output.written = written;
        }
        report
    }

    /// Ends everything that runs, in the order of the stream. Does nothing the second time.
    fn finish(&mut self) -> (Vec<String>, Vec<Option<pcapng::Report>>) {
        if let Source::Live(lives) = &mut self.source {
            let mut was_attached = false;
            for live in lives {
                was_attached |= live.detach();
            }
            if was_attached {
                thread::sleep(SETTLE);
            }
        }
        let mut failures = self.workers.drain();
        if let Some(fragments) = &self.fragments {
            fragments.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let mut written = Vec::new();
        for outlet in &mut self.outlets {
            // The writers of an engine that was never started are what keeps its outputs open.
            self.writers.clear();
            self.waiting.clear();
            written.push(match outlet.thread.take().map(thread::JoinHandle::join) {
                Some(Ok(written)) => Some(written),
                Some(Err(_)) => {
                    failures.push(format!("the thread of output `{}` panicked", outlet.name));
                    None
                }
                None => None,
            });
        }
        (failures, written)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.finish();
    }
}
