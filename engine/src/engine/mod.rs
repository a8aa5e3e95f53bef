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
mod live;
mod outlet;
mod reload;
mod report;
mod sinks;
mod workers;

use std::os::fd::AsFd;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use crate::capture_file::CaptureFile;
use crate::config::{self, Config, WaitMode};
use crate::counters::Board;
use crate::output::{self, Consumer, Writer, pcapng};
use crate::ruleset::Ruleset;
use crate::session::{Directory, SessionTable};
use crate::worker::{Parts, WhenFull};
pub use crate::xsk::{BindMode, SocketError, UmemError};
use crate::xsk::{FreeList, Geometry, KernelSide, Pages, RxQueue, SoftNic, Umem};
pub use error::EngineError;
pub use file_source::InputError;
use file_source::{FileSource, Progress};
pub use live::Rung;
use live::{Live, OpenQueue};
use outlet::Outlet;
pub use reload::{Changes, ReloadError};
pub use report::{OutputReport, Report, WorkerReport};
use workers::{Notes, Workers};

/// Time for frames that were on their way through the kernel when the program was detached.
const SETTLE: Duration = Duration::from_millis(20);

/// Bytes of the chunks that a capture file's frames lie in: the largest there are. Longer frames (which no network has;
/// the file says so) are left out and counted.
const FILE_CHUNK_SIZE: u32 = 65_536;
/// Rings of a capture file: a batch is on its way while the next is read.
const FILE_RING_LEN: u32 = 2 * config::BATCH_MAX;

/// Where frames come from.
#[expect(clippy::large_enum_variant, reason = "an engine has one")]
enum Source {
    Live { live: Live, queues: Vec<OpenQueue> },
    File { input: Option<(FileSource, RxQueue, FreeList)>, progress: Arc<Mutex<Progress>> },
}

/// An engine: one interface or capture file, a worker for each of its queues, and the outputs.
pub struct Engine {
    config: Config,
    directory: Directory,
    ruleset: Arc<Ruleset>,
    source: Source,
    /// The queues with their memory, and the length of the rings from each to an output.
    umems: Vec<(u32, Arc<Umem>)>,
    ring_len: u32,
    /// Number of outputs that were configured when the memory was planned.
    planned_outputs: usize,
    /// For each queue the writers of its output rings, until the workers get them.
    writers: Vec<Vec<Writer>>,
    /// Where the workers post their counts, one for each queue.
    boards: Vec<Arc<Board>>,
    /// Every output that ever was; the place of one is its id.
    outlets: Vec<Outlet>,
    workers: Workers,
    notes: Notes,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("config", &self.config).finish_non_exhaustive()
    }
}

impl Engine {
    /// Opens an interface: checks the configuration, attaches the XDP program, binds a socket to each queue, and
    /// creates the outputs' files. Frames go on to the kernel stack until [`Self::start`].
    ///
    /// # Errors
    ///
    /// [`EngineError`]; nothing is left attached then.
    ///
    /// # Kernel
    ///
    /// Linux 6.1 with `CAP_NET_ADMIN`, `CAP_NET_RAW`, `CAP_BPF` and `CAP_PERFMON`, in the calling thread's network namespace.
    pub fn open(config: Config) -> Result<Self, EngineError> {
        config.validate()?;
        let notes = Notes::default();
        let mut remarks = Vec::new();
        let (live, queues) = Live::open(&config, &mut remarks)?;
        // After the interface is ours: a second engine that is refused must not touch the files of the first.
        for note in remarks {
            notes.push(note);
        }
        let umems = queues.iter().map(|open| (open.queue, open.rx.umem().clone())).collect();
        let ring_len = config.memory.plan(config.outputs.len())?.output_ring_len;
        Self::assemble(config, Source::Live { live, queues }, umems, ring_len, notes)
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
        let umem = Arc::new(umem);
        let (nic, rx) = SoftNic::new(umem.clone(), FILE_RING_LEN, FILE_RING_LEN)
            .map_err(|source| EngineError::System { what: "no memory for rings".to_owned(), source })?;
        let progress = Arc::new(Mutex::new(Progress::default()));
        let input = Some((FileSource::new(file, nic, &config.capture, progress.clone()), rx, free));
        let source = Source::File { input, progress };
        Self::assemble(config, source, vec![(0, umem)], FILE_RING_LEN, Notes::default())
    }

    /// Makes the outputs and their rings: one from each queue to each output.
    fn assemble(
        config: Config,
        source: Source,
        umems: Vec<(u32, Arc<Umem>)>,
        ring_len: u32,
        notes: Notes,
    ) -> Result<Self, EngineError> {
        let mut directory = Directory::default();
        let ruleset = Arc::new(Ruleset::first(&config, &mut directory));
        let mut engine = Self {
            directory,
            ruleset,
            source,
            writers: umems.iter().map(|_| Vec::new()).collect(),
            boards: umems.iter().map(|_| Arc::default()).collect(),
            umems,
            ring_len,
            planned_outputs: config.outputs.len().max(1),
            outlets: Vec::new(),
            workers: Workers::default(),
            notes,
            config,
        };
        engine.outlets = outlet::open(&engine.config, &engine.config.outputs, &mut engine.directory, &[])?;
        for id in 0..engine.outlets.len() {
            let (writers, consumer) = engine.rings();
            engine.outlets[id].connect(consumer);
            engine.writers.iter_mut().zip(writers).for_each(|(each, writer)| each.push(writer));
        }
        Ok(engine)
    }

    /// The rings of one output: the writers by queue, and the consumer of all of them.
    fn rings(&self) -> (Vec<Writer>, Consumer) {
        let ring =
            |(queue, umem): &(u32, Arc<Umem>)| output::ring(self.ring_len as usize, umem.clone(), *queue);
        let (writers, readers) = self.umems.iter().map(ring).unzip();
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

    /// How frames get from the wire into memory; `None` for a capture file.
    pub const fn rung(&self) -> Option<Rung> {
        match &self.source {
            Source::Live { live, .. } => Some(live.rung()),
            Source::File { .. } => None,
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
        assert!(!self.writers.is_empty(), "an engine is started once");
        let writers = std::mem::take(&mut self.writers);
        self.start_sinks()?;
        // Nobody can take them any more.
        self.outlets.iter_mut().for_each(|outlet| outlet.consumer = None);
        let mut each = writers.into_iter().zip(self.boards.clone());
        match &mut self.source {
            Source::Live { queues, .. } => {
                let queues = std::mem::take(queues);
                self.start_live(queues, each)
            }
            Source::File { input, .. } => {
                let input = input.take().expect("an engine is started once");
                let outputs = each.next().unwrap_or_default();
                self.start_file(input, outputs)
            }
        }
    }

    /// Starts the workers, then lets the frames in.
    fn start_live(
        &mut self,
        queues: Vec<OpenQueue>,
        each: impl Iterator<Item = (Vec<Writer>, Arc<Board>)>,
    ) -> Result<(), EngineError> {
        let mut sockets = Vec::new();
        for (open, (writers, board)) in queues.into_iter().zip(each) {
            let OpenQueue { queue, cpu, socket, rx, free } = open;
            let handle = socket.as_fd().try_clone_to_owned();
            let what = "cannot duplicate a socket's descriptor".to_owned();
            sockets.push((queue, handle.map_err(|source| EngineError::System { what, source })?));
            let wait = self.config.workers.wait;
            let parts = self.parts(socket, rx, free, (writers, board), wait, WhenFull::Drop);
            self.workers.spawn(queue, cpu, parts, self.notes.clone())?;
        }
        if let Source::Live { live, .. } = &mut self.source {
            for (queue, socket) in &sockets {
                live.connect(*queue, socket.as_fd())?;
            }
        }
        Ok(())
    }

    fn start_file(
        &mut self,
        (source, rx, free): (FileSource, RxQueue, FreeList),
        outputs: (Vec<Writer>, Arc<Board>),
    ) -> Result<(), EngineError> {
        let parts = self.parts(source, rx, free, outputs, WaitMode::Interrupt, WhenFull::Wait);
        self.workers.spawn(0, None, parts, self.notes.clone())
    }

    fn parts<K: KernelSide>(
        &self,
        kernel: K,
        queue: RxQueue,
        free: FreeList,
        (outputs, board): (Vec<Writer>, Arc<Board>),
        wait: WaitMode,
        when_full: WhenFull,
    ) -> Parts<K> {
        let (ruleset, orders) = (self.ruleset.clone(), Arc::default());
        Parts { kernel, queue, free, outputs, ruleset, wait, when_full, board, orders }
    }

    /// Starts the threads of the outputs that are open and have none.
    fn start_sinks(&mut self) -> Result<(), EngineError> {
        let clock = match self.source {
            Source::Live { .. } => sinks::Clock::Wall,
            Source::File { .. } => sinks::Clock::Frames,
        };
        for (id, outlet) in self.outlets.iter_mut().enumerate() {
            let Some(sink) = outlet.sink.take() else { continue };
            let Some(consumer) = outlet.consumer.take() else { continue };
            let output = sinks::Place { id, name: outlet.name.clone(), boards: self.boards.clone(), clock };
            outlet.thread = Some(sinks::start(sink, consumer, output, self.notes.clone())?);
        }
        Ok(())
    }

    /// Whether a worker has ended by itself: a capture file has been read, or a queue has become useless.
    /// [`Self::stop`] says which.
    pub fn has_ended(&self) -> bool {
        self.workers.any_ended()
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
        let (failures, written) = self.finish();
        let mut report = Report::new(&self);
        report.failures.extend(failures);
        if let Source::File { progress, .. } = &self.source {
            report.input_error = progress.lock().unwrap_or_else(PoisonError::into_inner).error.take();
        }
        for (output, written) in report.outputs.iter_mut().zip(written) {
            output.written = written;
        }
        report
    }

    /// Ends everything that runs, in the order of the stream. Does nothing the second time.
    fn finish(&mut self) -> (Vec<String>, Vec<Option<pcapng::Report>>) {
        if let Source::Live { live, .. } = &mut self.source
            && live.detach()
        {
            thread::sleep(SETTLE);
        }
        let mut failures = self.workers.drain();
        let mut written = Vec::new();
        for outlet in &mut self.outlets {
            // The writers of an engine that was never started are what keeps its outputs open.
            self.writers.clear();
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
