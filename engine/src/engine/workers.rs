//! The worker threads.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use super::{EngineError, cpus};
use crate::counters::{Board, WorkerCounters};
use crate::output::Writer;
use crate::ruleset::Ruleset;
use crate::worker::{Change, Orders, Parts, Worker};
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
    orders: Arc<Orders>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

/// All workers of an engine.
#[derive(Debug, Default)]
pub(super) struct Workers {
    running: Vec<Running>,
}

impl Workers {
    /// Whether none was started.
    pub(super) const fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Asks each worker to change over to a ruleset, with the rings of its new outputs; they have to have done so the last time.
    pub(super) fn change(&self, ruleset: &Arc<Ruleset>, outputs: Vec<Vec<(usize, Writer)>>) {
        for (worker, outputs) in self.running.iter().zip(outputs) {
            worker.orders.announce(Change { ruleset: ruleset.clone(), outputs });
        }
    }

    /// Whether all have changed over.
    pub(super) fn have_changed(&self) -> bool {
        self.running.iter().all(|worker| worker.orders.is_obeyed())
    }

    /// Starts a worker on a thread of its own, pinned to `cpu`.
    ///
    /// # Errors
    ///
    /// If the system has no thread to give.
    pub(super) fn spawn<K: KernelSide + 'static>(
        &mut self,
        queue: u32,
        cpu: Option<usize>,
        parts: Parts<K>,
        notes: Notes,
    ) -> Result<(), EngineError> {
        let (board, orders) = (parts.board.clone(), parts.orders.clone());
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
        self.running.push(Running { queue, cpu, board, orders, thread: Some(thread) });
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
        self.running.iter().for_each(|worker| worker.orders.drain());
        let end = |worker: &mut Running| {
            let queue = worker.queue;
            let ended = worker.thread.take()?.join();
            worker.orders.forget();
            match ended {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("the worker of queue {queue} stopped: {error}")),
                Err(_) => Some(format!("the worker of queue {queue} panicked")),
            }
        };
        self.running.iter_mut().filter_map(end).collect()
    }
}
