//! The worker threads.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::{EngineError, cpus};
use crate::counters::{Board, WorkerCounters};
use crate::filter::Filter;
use crate::worker::{Orders, Parts, Worker};
use crate::xsk::{self, KernelSide};

/// Sentences for the operator, from any thread.
#[derive(Clone, Debug, Default)]
pub(super) struct Notes(Arc<Mutex<Vec<String>>>);

impl Notes {
    pub(super) fn push(&self, note: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    pub(super) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A running worker.
#[derive(Debug)]
struct Running {
    queue: u32,
    cpu: Option<usize>,
    board: Arc<Board>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// All workers of an engine.
#[derive(Debug, Default)]
pub(super) struct Workers {
    running: Vec<Running>,
    orders: Arc<Orders>,
}

impl Workers {
    /// The orders that its workers are to be made with.
    pub(super) fn orders(&self) -> Arc<Orders> {
        self.orders.clone()
    }

    /// Starts a worker on a thread of its own, pinned to `cpu`.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(super) fn spawn<K: KernelSide + 'static, F: Filter + 'static>(
        &mut self,
        queue: u32,
        cpu: Option<usize>,
        parts: Parts<K, F>,
        notes: Notes,
    ) -> Result<(), EngineError> {
        let board = parts.board.clone();
        let run = move || {
            if let Some(cpu) = cpu
                && !cpus::pin(cpu)
            {
                notes.push(format!("the worker of queue {queue} could not be pinned to CPU {cpu}"));
            }
            xsk::sleep_precisely();
            Worker::new(parts).run()
        };
        let thread = thread::Builder::new()
            .name(format!("vxtap-rx-{queue}"))
            .spawn(run)
            .map_err(|source| EngineError::System { what: "cannot start a worker".to_owned(), source })?;
        self.running.push(Running { queue, cpu, board, thread: Some(thread) });
        Ok(())
    }

    /// Whether a worker has ended by itself.
    pub(super) fn any_ended(&self) -> bool {
        self.running.iter().any(|worker| worker.thread.as_ref().is_none_or(JoinHandle::is_finished))
    }

    /// Queue, CPU and counters of each worker.
    pub(super) fn counters(&self) -> impl Iterator<Item = (u32, Option<usize>, WorkerCounters)> {
        self.running.iter().map(|worker| (worker.queue, worker.cpu, worker.board.read()))
    }

    /// Lets the workers finish what is in their rings, and returns what went wrong with any of them.
    pub(super) fn drain(&mut self) -> Vec<String> {
        self.orders.drain();
        let end = |worker: &mut Running| {
            let queue = worker.queue;
            match worker.thread.take()?.join() {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("the worker of queue {queue} stopped: {error}")),
                Err(_) => Some(format!("the worker of queue {queue} panicked")),
            }
        };
        self.running.iter_mut().filter_map(end).collect()
    }
}
