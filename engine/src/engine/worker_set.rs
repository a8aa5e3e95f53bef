//! The worker threads of an engine.

use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::{EngineError, cpus};
use crate::counters::{CountersCell, WorkerCounters};
use crate::diagnostics::Diagnostics;
use crate::ring::{QueueId, Writer};
use crate::ruleset::Ruleset;
use crate::sys::sleep_precisely;
use crate::worker::{ControlChannel, RulesetChange, Worker, WorkerConfig};
use crate::xsk::RxBackend;

/// A running worker.
#[derive(Debug)]
struct RunningWorker {
    queue_id: QueueId,
    /// Name of its queue in messages.
    name: String,
    cpu: Option<usize>,
    counters_cell: Arc<CountersCell>,
    control: Arc<ControlChannel>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl RunningWorker {
    fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }
}

/// All workers of an engine.
#[derive(Debug, Default)]
pub(super) struct WorkerSet {
    running: Vec<RunningWorker>,
}

impl WorkerSet {
    /// Returns whether no worker was started.
    pub(super) const fn is_empty(&self) -> bool {
        self.running.is_empty()
    }

    /// Posts a ruleset to each worker, with the rings of its new outputs. The last change must be
    /// acked.
    pub(super) fn change(&self, ruleset: &Arc<Ruleset>, outputs: Vec<Vec<(usize, Writer)>>) {
        for (worker, outputs) in self.running.iter().zip(outputs) {
            worker.control.post(RulesetChange { ruleset: ruleset.clone(), outputs });
        }
    }

    /// Returns whether all workers have changed over or ended.
    pub(super) fn have_changed(&self) -> bool {
        self.running.iter().all(|worker| worker.has_ended() || worker.control.is_settled())
    }

    /// Makes the workers of an interface finish what is in their rings, and end.
    pub(super) fn drain_interface(&self, interface: usize) {
        self.of(interface).for_each(|worker| worker.control.drain());
    }

    fn of(&self, interface: usize) -> impl Iterator<Item = &RunningWorker> {
        self.running.iter().filter(move |worker| worker.queue_id.interface == interface)
    }

    /// Starts a worker on its own thread, pinned to `cpu`; `name` is the name of its queue in
    /// messages.
    ///
    /// # Errors
    ///
    /// If the system refuses the thread.
    pub(super) fn spawn<K: RxBackend + 'static>(
        &mut self,
        queue_id: QueueId,
        name: String,
        cpu: Option<usize>,
        parts: WorkerConfig<K>,
        diagnostics: Diagnostics,
    ) -> Result<(), EngineError> {
        let (counters_cell, control) = (parts.counters_cell.clone(), parts.control.clone());
        let queue_name = name.clone();
        let run = move || {
            if let Some(cpu) = cpu
                && !cpus::pin(cpu)
            {
                diagnostics
                    .push(format!("the worker of {queue_name} could not be pinned to CPU {cpu}"));
            }
            sleep_precisely();
            Worker::new(parts).run()
        };
        let thread = thread::Builder::new()
            .name(format!("vxtap-rx-{}", queue_id.queue))
            .spawn(run)
            .map_err(|source| EngineError::System {
                what: "cannot start a worker".to_owned(),
                source,
            })?;
        self.running.push(RunningWorker {
            queue_id,
            name,
            cpu,
            counters_cell,
            control,
            thread: Some(thread),
        });
        Ok(())
    }

    /// Returns whether a worker of an interface has ended by itself.
    pub(super) fn any_ended(&self, interface: usize) -> bool {
        self.of(interface).any(RunningWorker::has_ended)
    }

    /// Returns queue, CPU and counters of each worker.
    pub(super) fn counters(
        &self,
    ) -> impl Iterator<Item = (QueueId, Option<usize>, WorkerCounters)> {
        self.running.iter().map(|worker| (worker.queue_id, worker.cpu, worker.counters_cell.read()))
    }

    /// Makes all workers finish what is in their rings and end; returns a message for each that
    /// failed.
    pub(super) fn drain(&mut self) -> Vec<String> {
        self.running.iter().for_each(|worker| worker.control.drain());
        let end = |worker: &mut RunningWorker| {
            let name = &worker.name;
            match worker.thread.take()?.join() {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(format!("the worker of {name} stopped: {error}")),
                Err(_) => Some(format!("the worker of {name} panicked")),
            }
        };
        self.running.iter_mut().filter_map(end).collect()
    }
}
