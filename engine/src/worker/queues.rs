//! All lanes of an engine, for any thread: whoever attaches a consumer later needs the memory of
//! each and its worker's orders.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard};

use super::ControlChannel;
use crate::counters::{CountersCell, WorkerCounters};
use crate::ring::{self, Consumer, QueueId, Writer};
use crate::sys::lock;
use crate::xsk::Umem;

/// A queue that has been opened, for good.
#[derive(Clone, Debug)]
pub(crate) struct QueueHandle {
    pub(crate) queue_id: QueueId,
    pub(crate) umem: Arc<Umem>,
    /// Where its worker posts its counts.
    pub(crate) counters_cell: Arc<CountersCell>,
    /// What its worker is asked for.
    pub(crate) control: Arc<ControlChannel>,
}

impl QueueHandle {
    /// A queue that no worker serves yet.
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

    /// Adds a queue, for good: from now on other threads attach rings to it.
    pub(crate) fn push(&self, handle: QueueHandle) {
        self.lock().push(handle);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The lane at a place.
    pub(crate) fn get(&self, place: usize) -> QueueHandle {
        self.lock()[place].clone()
    }

    /// Those from a place on.
    pub(crate) fn from(&self, place: usize) -> Vec<QueueHandle> {
        self.lock().get(place..).unwrap_or_default().to_vec()
    }

    /// Whether a queue is one of them.
    pub(crate) fn has(&self, queue_id: QueueId) -> bool {
        self.lock().iter().any(|handle| handle.queue_id == queue_id)
    }

    /// What the workers have counted.
    pub(crate) fn counters(&self) -> Vec<WorkerCounters> {
        self.from(0).iter().map(|handle| handle.counters_cell.read()).collect()
    }

    /// The rings of one output: the writers by lane, and the consumer of all of them.
    pub(crate) fn rings(&self, ring_len: u32) -> io::Result<(Vec<Writer>, Consumer)> {
        let ring = |handle: &QueueHandle| {
            ring::ring(ring_len as usize, handle.umem.clone(), handle.queue_id)
        };
        let rings: Vec<_> = self.lock().iter().map(ring).collect::<io::Result<_>>()?;
        let (writers, readers) = rings.into_iter().unzip();
        Ok((writers, Consumer::new(readers)))
    }
}
