//! Taking down, with the stream: the program is detached, the workers empty their rings and end,
//! the outputs empty theirs.

use std::sync::PoisonError;
use std::thread;
use std::time::Duration;

use super::{Engine, Report, Source};
use crate::outputs::OutputStats;
use crate::outputs::OutputThread;

/// Time for frames that were on their way through the kernel when the program was detached.
const SETTLE: Duration = Duration::from_millis(20);

impl Engine {
    /// Detaches the program, lets everything that is in drain, ends all threads, and gives the
    /// final account.
    ///
    /// Waits for the outputs that the engine empties itself, not for consumers that were taken;
    /// these read on what is in their rings and then find them closed. Dropping an engine does the
    /// same without the account.
    pub fn stop(mut self) -> Report {
        if self.is_started && self.has_ended() {
            // Whether because its interface is gone.
            self.check_interfaces();
        }
        let (failures, written) = self.finish();
        let mut report = Report::new(&self);
        report.failures.extend(self.failures.drain(..).chain(failures));
        if let Source::File(progress) = &self.source {
            report.input_error =
                progress.lock().unwrap_or_else(PoisonError::into_inner).error.take();
        }
        for (output, written) in report.outputs.iter_mut().zip(written) {
            output.written = written.or(output.written.take());
        }
        report
    }

    /// Ends everything that runs, in the order of the stream. Does nothing the second time.
    fn finish(&mut self) -> (Vec<String>, Vec<Option<OutputStats>>) {
        if let Source::Live(interfaces) = &mut self.source {
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
            fragments.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
        let mut written = Vec::new();
        // The writers of an engine that was never started are what keeps its outputs open.
        self.writers.clear();
        self.waiting.clear();
        // All of them first, so that their consumers are waited for at the same time.
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
