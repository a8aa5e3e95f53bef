//! Opens an engine: its interfaces or its capture file, then its outputs.

use std::path::Path;
use std::sync::{Arc, Mutex};

use super::captured_interface::CapturedInterface;
use super::file_source::{FileSource, Progress};
use super::interface_notes::{self, InterfaceNote};
use super::queue_builder::{OpenQueue, SteeringTarget};
use super::ring_budget::RingBudget;
use super::watch::Watch;
use super::worker_set::WorkerSet;
use super::{Engine, EngineError, FrameSource};
use crate::capture_file::OuterFrames;
use crate::config::{BATCH_MAX, Config, FragmentMode, MemoryPlan, Output};
use crate::diagnostics::Diagnostics;
use crate::interface::Interface;
use crate::outputs::stream::OuterThreads;
use crate::outputs::{OutputBuilder, OutputError};
use crate::ring::QueueId;
use crate::ruleset::Ruleset;
use crate::session::Directory;
use crate::sys::clock::time_namespace_offset_ns;
use crate::worker::{FragmentTable, QueueHandle, QueueSet};
use crate::xsk::{Geometry, Pages, SoftNic, Umem};

/// Chunk size of a capture file in bytes, the largest there is. Longer frames lie in several.
const FILE_CHUNK_SIZE: u32 = 65_536;
/// Length of the rings of a capture file: one batch is processed while the next is read.
const FILE_RING_LEN: u32 = 2 * BATCH_MAX;

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
    /// thread's network namespace. [`ActiveMode::Socket`](super::ActiveMode::Socket) needs none of
    /// them.
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
        let chunk_count = FILE_RING_LEN + BATCH_MAX + output_count * FILE_RING_LEN;
        let (umem, free) =
            Umem::create(Geometry::new(FILE_CHUNK_SIZE, chunk_count), Pages::Ordinary)?;
        let (nic, rx) = SoftNic::new(Arc::new(umem), FILE_RING_LEN, FILE_RING_LEN)
            .map_err(EngineError::no_rings)?;
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
            let (writers, consumer) = self.queues.rings(ring_len).map_err(EngineError::no_rings)?;
            self.instances[id].set_consumer(consumer);
            for (of_queue, writer) in self.writers.iter_mut().zip(writers) {
                of_queue.push((id, writer));
            }
        }
        Ok(())
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
