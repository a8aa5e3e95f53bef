//! All lanes of an engine, for any thread: whoever attaches a consumer later needs the memory of
//! each and its worker's orders.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::counters::{Board, WorkerCounters};
use crate::output::{self, Consumer, Origin, Writer};
use crate::worker::Orders;
use crate::xsk::Umem;

/// A queue that has been opened, for good.
#[derive(Clone, Debug)]
pub(super) struct Lane {
    pub(super) origin: Origin,
    pub(super) umem: Arc<Umem>,
    /// Where its worker posts its counts.
    pub(super) board: Arc<Board>,
    /// What its worker is asked for.
    pub(super) orders: Arc<Orders>,
}

impl Lane {
    /// A queue that no worker serves yet.
    pub(super) fn new(origin: Origin, umem: Arc<Umem>) -> Self {
        Self { origin, umem, board: Arc::default(), orders: Arc::default() }
    }
}

/// All queues, in the order in which they were opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes(Arc<Mutex<Vec<Lane>>>);

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a queue, for good: from now on other threads attach rings to it.
    pub(super) fn push(&self, lane: Lane) {
        self.lock().push(lane);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The lane at a place.
    pub(super) fn get(&self, place: usize) -> Lane {
        self.lock()[place].clone()
    }

    /// Those from a place on.
    pub(super) fn from(&self, place: usize) -> Vec<Lane> {
        self.lock().get(place..).unwrap_or_default().to_vec()
    }

    /// Whether a queue is one of them.
    pub(super) fn has(&self, origin: Origin) -> bool {
        self.lock().iter().any(|lane| lane.origin == origin)
    }

    /// What the workers have counted.
    pub(super) fn counters(&self) -> Vec<WorkerCounters> {
        self.from(0).iter().map(|lane| lane.board.read()).collect()
    }

    /// The rings of one output: the writers by lane, and the consumer of all of them.
    pub(super) fn rings(&self, ring_len: u32) -> io::Result<(Vec<Writer>, Consumer)> {
        let ring = |lane: &Lane| output::ring(ring_len as usize, lane.umem.clone(), lane.origin);
        let rings: Vec<_> = self.lock().iter().map(ring).collect::<io::Result<_>>()?;
        let (writers, readers) = rings.into_iter().unzip();
        Ok((writers, Consumer::new(readers)))
    }
}
