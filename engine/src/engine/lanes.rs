//! All lanes of an engine, for any thread: whoever attaches a consumer later needs the memory of each and its worker's orders.

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

/// All queues, in the order in which they were opened.
#[derive(Clone, Debug, Default)]
pub(super) struct Lanes(Arc<Mutex<Vec<Lane>>>);

impl Lanes {
    fn lock(&self) -> MutexGuard<'_, Vec<Lane>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a queue, whose worker has not been started.
    pub(super) fn push(&self, origin: Origin, umem: Arc<Umem>) {
        let (board, orders) = (Arc::default(), Arc::default());
        self.lock().push(Lane { origin, umem, board, orders });
    }

    /// Takes the last one away again. Rings that were meant for its worker close.
    pub(super) fn pop(&self) {
        let lane = self.lock().pop();
        lane.inspect(|lane| lane.orders.forget());
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
