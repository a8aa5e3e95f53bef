//! Stops an engine in the order in which frames pass: the program is detached, the workers empty
//! their rings and end, then the outputs.

use std::thread;
use std::time::Duration;

use super::{Engine, FrameSource, Report};
use crate::outputs::OutputStats;
use crate::outputs::OutputThread;
use crate::sys::lock;

/// Time for frames that are on their way through the kernel when the program is detached.
const SETTLE: Duration = Duration::from_millis(20);

impl Engine {
    /// Detaches the program, drains the rings, ends all threads, and returns the final report.
    ///
    /// Waits for the outputs that the engine reads itself, not for consumers that were taken: these
    /// read the rest of their rings and then find them closed. Dropping an engine does the same
    /// without a report.
    pub fn stop(mut self) -> Report {
        if self.is_started && self.has_ended() {
            // Finds out whether the interface was deleted.
            self.check_interfaces();
        }
        let (failures, written) = self.finish();
        let mut report = Report::new(&self);
        report.failures.extend(self.failures.drain(..).chain(failures));
        if let FrameSource::File(progress) = &self.source {
            let mut progress = lock(progress);
            report.input_error = progress.error.take();
            report.capture_file = Some(std::mem::take(&mut progress.file));
        }
        for (output, written) in report.outputs.iter_mut().zip(written) {
            output.written = written.or(output.written.take());
        }
        report
    }

    /// Ends all threads, in the order in which frames pass. Does nothing the second time.
    fn finish(&mut self) -> (Vec<String>, Vec<Option<OutputStats>>) {
        if let FrameSource::Live(interfaces) = &mut self.source {
            let mut was_attached = false;
            for captured in interfaces {
                was_attached |= captured.detach();
            }
            if was_attached {
                thread::sleep(SETTLE);
            }
        }
        let mut failures = self.workers.drain();
        if let Some(fragments) = &self.fragments {
            lock(fragments).clear();
        }
        let mut written = Vec::new();
        // The writers of an engine that was never started keep its outputs open.
        self.writers.clear();
        self.waiting.clear();
        // All of them are notified first, so that they wait for their consumers at the same time.
        self.instances
            .iter()
            .filter_map(|instance| instance.attached.as_ref())
            .for_each(|attached| attached.notifier.end());
        for instance in &mut self.instances {
            let ended = match instance.running.take() {
                Some(OutputThread::Writer(thread)) => thread.join().map(Some),
                Some(OutputThread::Server(thread)) => thread.join().map(|()| None),
                None => Ok(None),
            };
            written.push(ended.unwrap_or_else(|_| {
                failures.push(format!("the thread of output `{}` panicked", instance.name));
                None
            }));
        }
        (failures, written)
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.finish();
    }
}
