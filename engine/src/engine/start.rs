//! Starts an engine: the outputs, then the workers, then the delivery of frames.

use super::queue_builder::{OpenQueue, SteeringTarget};
use super::{Engine, EngineError, FrameSource};
use crate::config::WaitMode;
use crate::outputs::wall_clock::Clock;
use crate::outputs::{OutputThread, ThreadContext};
use crate::ring::{QueueId, Writer};
use crate::worker::QueueHandle;
use crate::worker::{WhenFull, WorkerConfig};

impl Engine {
    /// Starts the outputs and the workers, and then the delivery of frames.
    ///
    /// # Errors
    ///
    /// [`EngineError`] if a thread or a map entry is refused.
    ///
    /// # Panics
    ///
    /// If it is called twice.
    pub fn start(&mut self) -> Result<(), EngineError> {
        assert!(!std::mem::replace(&mut self.is_started, true), "an engine is started once");
        self.start_all().map_err(EngineError::naming_shortage)
    }

    fn start_all(&mut self) -> Result<(), EngineError> {
        self.start_outputs()?;
        // No consumer can be taken after the start.
        self.instances.iter_mut().for_each(|instance| instance.consumer = None);
        let mut targets = Vec::new();
        let waiting = std::mem::take(&mut self.waiting).into_iter();
        let writers = std::mem::take(&mut self.writers).into_iter();
        for (index, ((_, open), writers)) in waiting.zip(writers).enumerate() {
            targets.push(self.start_worker(self.queues.get(index), open, writers)?);
        }
        // Only once all of them run: a queue whose worker is late would lose frames.
        targets
            .into_iter()
            .enumerate()
            .try_for_each(|(index, target)| self.start_delivery(index, target))?;
        self.allow_consumers();
        Ok(())
    }

    /// Starts the worker of a queue.
    pub(super) fn start_worker(
        &mut self,
        handle: QueueHandle,
        open: OpenQueue,
        outputs: Vec<(usize, Writer)>,
    ) -> Result<SteeringTarget, EngineError> {
        let OpenQueue { queue: _, cpu, backend, rx, free, target } = open;
        let (wait, when_full) = match self.source {
            FrameSource::Live(_) => (self.config.workers.wait, WhenFull::Drop),
            FrameSource::File(_) => (WaitMode::Interrupt, WhenFull::Wait),
        };
        let QueueHandle { queue_id, umem: _, counters_cell, control } = handle;
        let ruleset = self.ruleset.clone();
        let fragments = self.fragments.clone();
        let parts = WorkerConfig {
            backend,
            queue: rx,
            free,
            outputs,
            ruleset,
            fragments,
            wait,
            when_full,
            counters_cell,
            control,
        };
        self.workers.spawn(
            queue_id,
            self.queue_name(queue_id),
            cpu,
            parts,
            self.diagnostics.clone(),
        )?;
        Ok(target)
    }

    /// Returns the name of a queue in messages.
    pub(super) fn queue_name(&self, QueueId { interface, queue }: QueueId) -> String {
        match &self.config.capture.interfaces[..] {
            names @ [_, _, ..] => format!("queue {queue} of {}", names[interface]),
            _ => format!("queue {queue}"),
        }
    }

    /// Starts to deliver the frames of a queue.
    pub(super) fn start_delivery(
        &mut self,
        index: usize,
        target: SteeringTarget,
    ) -> Result<(), EngineError> {
        let QueueId { interface, queue } = self.queues.get(index).queue_id;
        match &mut self.source {
            FrameSource::Live(interfaces) => interfaces[interface].start_delivery(queue, target),
            FrameSource::File(_) => Ok(()),
        }
    }

    /// Starts the threads of the outputs that are open and have none.
    pub(super) fn start_outputs(&mut self) -> Result<(), EngineError> {
        for id in 0..self.instances.len() {
            let instance = &mut self.instances[id];
            let Some(opened) = instance.opened.take() else { continue };
            let consumer = instance.consumer.take();
            self.instances[id].running = opened.start(self.thread_context(id), consumer)?;
        }
        Ok(())
    }

    fn thread_context(&self, id: usize) -> ThreadContext {
        let instance = &self.instances[id];
        let (_, members) = instance.member;
        ThreadContext {
            name: instance.name.clone(),
            id,
            members,
            clock: match self.source {
                FrameSource::Live(_) => Clock::Wall,
                FrameSource::File(_) => Clock::Frames,
            },
            control: instance.control.clone(),
            attached: instance.attached.clone(),
            ring_len: instance.ring_len,
            queues: self.queues.clone(),
            directory: self.directory.clone(),
            diagnostics: self.diagnostics.clone(),
        }
    }

    /// Ends the threads of outputs from an id on, and removes these outputs, which were never used.
    pub(super) fn remove_from(&mut self, first: usize) {
        for instance in &mut self.instances[first..] {
            if let (Some(attached), Some(OutputThread::Server(thread))) =
                (&instance.attached, instance.running.take())
            {
                attached.notifier.end();
                // A thread that panicked has ended too.
                let _ = thread.join();
            }
        }
        self.instances.truncate(first);
    }

    /// Lets consumers attach to the outputs, which the workers know by then.
    pub(super) fn allow_consumers(&self) {
        self.instances
            .iter()
            .filter_map(|instance| instance.attached.as_ref())
            .for_each(|attached| attached.notifier.open());
    }

    /// Notifies the threads that serve consumers of new queues or sessions.
    pub(super) fn notify_consumers(&self) {
        self.instances
            .iter()
            .filter_map(|instance| instance.attached.as_ref())
            .for_each(|attached| attached.notifier.notify());
    }
}
