//! The worker without a kernel.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use vxtap_ebpf::arrival::{AREA_LEN, Arrival};

use crate::config::{BATCH_MAX, Config, WaitMode};
use crate::counters::{CountersCell, WorkerCounters};
use crate::ring::{self, Consumer};
use crate::ruleset::Ruleset;
use crate::session::Directory;
use crate::worker::{WhenFull, Worker, WorkerConfig};
use crate::xsk::{
    Chunk, FrameDescriptor, FreeList, Geometry, HEADROOM, KernelCounters, Pages, RxBackend,
    SoftNic, Umem,
};

/// Settings of a [`WorkerHarness`].
#[derive(Clone, Debug)]
pub struct HarnessConfig {
    /// Chunks between fill ring, worker and consumers; all of them are used in turn.
    pub chunks_in_flight: u32,
    /// Bytes per chunk, 2048 or 4096.
    pub chunk_size: u32,
    /// Entries of each output ring, a power of two.
    pub output_ring: usize,
    /// The declared sessions, filters and outputs, valid; each output is a ring with a consumer.
    pub config: Config,
}

/// A worker whose kernel delivers the same frames repeatedly, in chunks in random order.
pub struct WorkerHarness {
    worker: Worker<Replay>,
    counters_cell: Arc<CountersCell>,
}

impl std::fmt::Debug for WorkerHarness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Rig").finish_non_exhaustive()
    }
}

impl WorkerHarness {
    /// Makes a worker whose chunks are filled with the outer `frames`, repeated in order.
    ///
    /// # Panics
    ///
    /// If a frame does not fit or there is no memory.
    pub fn new(setup: &HarnessConfig, frames: &[Vec<u8>]) -> (Self, Vec<Consumer>) {
        let (worker_config, counters_cell, consumers) = worker_config(setup, frames);
        (Self { worker: Worker::new(worker_config), counters_cell }, consumers)
    }

    /// Delivers up to a batch of frames, then runs a turn of the worker. Returns the number of
    /// processed frames.
    #[inline]
    pub fn turn(&mut self) -> u32 {
        let Replay { nic, descriptors } = self.worker.backend_mut();
        nic.replay(BATCH_MAX, descriptors);
        self.worker.turn()
    }

    /// Ends the worker and returns its counters.
    ///
    /// # Panics
    ///
    /// Never: a replay does not fail.
    pub fn finish(self) -> WorkerCounters {
        let Self { worker, counters_cell } = self;
        worker.run().expect("a replay does not fail");
        counters_cell.read()
    }
}

/// Returns the parts of a worker over a replay, the cell of its counters, and the consumers of its
/// outputs.
fn worker_config(
    setup: &HarnessConfig,
    frames: &[Vec<u8>],
) -> (WorkerConfig<Replay>, Arc<CountersCell>, Vec<Consumer>) {
    let geometry = Geometry::new(setup.chunk_size, setup.chunks_in_flight);
    let (umem, mut free) = Umem::create(geometry, Pages::Collapsed).expect("memory");
    let descriptors = fill(&umem, &mut free, frames);
    let umem = Arc::new(umem);
    let ring_len = setup.chunks_in_flight.next_power_of_two();
    let (nic, queue) = SoftNic::new(umem.clone(), ring_len, ring_len).expect("memory");
    let (outputs, consumers): (Vec<_>, _) =
        (0..crate::config::Output::count_rings(&setup.config.outputs))
            .map(|_| {
                let (writer, reader) =
                    ring::ring(setup.output_ring, umem.clone(), ring::QueueId::default())
                        .expect("memory");
                (writer, Consumer::new(vec![reader]))
            })
            .unzip();
    let counters_cell = Arc::new(CountersCell::default());
    let worker_config = WorkerConfig {
        backend: Replay { nic, descriptors },
        queue,
        free,
        outputs: outputs.into_iter().enumerate().collect(),
        ruleset: Arc::new(Ruleset::first(&setup.config, &mut Directory::default())),
        fragments: None,
        wait: WaitMode::Busy,
        when_full: WhenFull::Drop,
        counters_cell: counters_cell.clone(),
        control: Arc::default(),
    };
    (worker_config, counters_cell, consumers)
}

/// Writes the frames, each with an arrival time, into the chunks and shuffles the free list: the
/// same order each time, but not one that a prefetcher recognizes. Returns the RX descriptor of
/// each chunk.
fn fill(umem: &Umem, free: &mut FreeList, frames: &[Vec<u8>]) -> Vec<FrameDescriptor> {
    let mut chunks: Vec<Chunk> = std::iter::from_fn(|| free.take()).collect();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    for last in (1..chunks.len()).rev() {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        chunks.swap(last, usize::try_from(state % (last as u64 + 1)).unwrap_or(0));
    }
    let nothing = FrameDescriptor { addr: 0, len: 0, options: 0 };
    let mut descriptors = vec![nothing; chunks.len()];
    for (mut chunk, frame) in chunks.into_iter().zip(frames.iter().cycle()) {
        let start = HEADROOM as usize;
        let bytes = umem.bytes_mut(&mut chunk);
        bytes[start..start + frame.len()].copy_from_slice(frame);
        bytes[start - AREA_LEN..start].copy_from_slice(&Arrival::bytes(1_700_000_000_000_000_000));
        let addr = umem.address_of(&chunk);
        let index =
            usize::try_from(addr / u64::from(umem.geometry().chunk_size())).expect("an index");
        let len = u32::try_from(frame.len()).expect("short frames");
        descriptors[index] = FrameDescriptor { addr: addr + u64::from(HEADROOM), len, options: 0 };
        free.give(chunk);
    }
    descriptors
}

/// The kernel's side.
struct Replay {
    nic: SoftNic,
    /// RX descriptor of each chunk.
    descriptors: Vec<FrameDescriptor>,
}

impl RxBackend for Replay {
    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        Ok(())
    }

    fn is_finished(&self) -> bool {
        true
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        Ok(KernelCounters::default())
    }
}
