//! Stops an engine in the order in which frames pass: no more of them are steered, the workers
//! empty their rings and end, then the outputs.

use super::{CapturedInterface, Engine, FrameSource, Report};
use crate::outputs::OutputStats;
use crate::outputs::OutputThread;
use crate::sys::{lock, wait_for_kernel_readers};

impl Engine {
    /// Takes the sockets from the program and detaches it, drains the rings, ends all threads, and
    /// returns the final report.
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
        report.diagnostics = self.take_diagnostics();
        report
    }

    /// Ends all threads, in the order in which frames pass. Does nothing the second time.
    fn finish(&mut self) -> (Vec<String>, Vec<Option<OutputStats>>) {
        let mut failures = self.stop_steering();
        failures.extend(self.workers.drain());
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
        self.outer_threads.join();
        (failures, written)
    }

    /// Leaves all frames to the kernel stack: takes the sockets from the programs, waits for the
    /// frames that are on their way to them, then detaches the programs. In this order every frame
    /// that a program has redirected arrives: a driver that loses its program sets up its queues
    /// anew, and the kernel then refuses frames on their way to a socket.
    fn stop_steering(&mut self) -> Vec<String> {
        let FrameSource::Live(interfaces) = &mut self.source else { return Vec::new() };
        let mut failures = Vec::new();
        let mut was_steering = false;
        for captured in interfaces.iter_mut() {
            match captured.clear_sockets() {
                Ok(was) => was_steering |= was,
                Err(error) => failures.push(error.to_string()),
            }
        }
        if was_steering {
            wait_for_kernel_readers();
        }
        interfaces.iter_mut().for_each(CapturedInterface::detach);
        failures
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.finish();
    }
}
