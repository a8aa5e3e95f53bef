//! All queues of an engine, for every thread: to attach a consumer later takes the memory and the
//! control channel of each queue.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::ControlChannel;
use crate::counters::{CountersCell, WorkerCounters};
use crate::ring::{self, Consumer, QueueId, Writer};
use crate::sys::lock;
use crate::xsk::Umem;

/// An open queue. It stays open until the engine ends.
#[derive(Clone, Debug)]
pub(crate) struct QueueHandle {
    pub(crate) queue_id: QueueId,
    pub(crate) umem: Arc<Umem>,
    /// Cell in which its worker publishes its counters.
    pub(crate) counters_cell: Arc<CountersCell>,
    /// Requests to its worker.
    pub(crate) control: Arc<ControlChannel>,
}

impl QueueHandle {
    /// Returns a queue without a worker.
    pub(crate) fn new(queue_id: QueueId, umem: Arc<Umem>) -> Self {
        Self { queue_id, umem, counters_cell: Arc::default(), control: Arc::default() }
    }
}

/// All queues, in the order in which they were opened.
#[derive(Clone, Debug, Default)]
pub(crate) struct QueueSet(Arc<Mutex<Vec<QueueHandle>>>);

impl QueueSet {
    fn lock(&self) -> MutexGuard<'_, Vec<QueueHandle>> {
        lock(&self.0)
    }

    /// Adds a queue; from now on other threads attach rings to it.
    pub(crate) fn push(&self, handle: QueueHandle) {
        self.lock().push(handle);
    }

    /// Returns the number of queues.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// Returns the queue with an index.
    pub(crate) fn get(&self, index: usize) -> QueueHandle {
        self.lock()[index].clone()
    }

    /// Returns the queues from an index on.
    pub(crate) fn from(&self, index: usize) -> Vec<QueueHandle> {
        self.lock().get(index..).unwrap_or_default().to_vec()
    }

    /// Returns whether it has a queue with this id.
    pub(crate) fn has(&self, queue_id: QueueId) -> bool {
        self.lock().iter().any(|handle| handle.queue_id == queue_id)
    }

    /// Returns the counters of all workers.
    pub(crate) fn counters(&self) -> Vec<WorkerCounters> {
        self.from(0).iter().map(|handle| handle.counters_cell.read()).collect()
    }

    /// Makes the rings of one output. Returns the writers in the order of the queues, and the
    /// consumer of all of them.
    pub(crate) fn rings(&self, ring_len: u32) -> io::Result<(Vec<Writer>, Consumer)> {
        let ring = |handle: &QueueHandle| {
            ring::ring(ring_len as usize, handle.umem.clone(), handle.queue_id)
        };
        let rings: Vec<_> = self.lock().iter().map(ring).collect::<io::Result<_>>()?;
        let (writers, readers) = rings.into_iter().unzip();
        Ok((writers, Consumer::new(readers)))
    }
}
