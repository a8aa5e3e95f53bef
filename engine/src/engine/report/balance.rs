//! Sums of counters that must be equal.

use super::{OutputReport, Report, WorkerReport};
use crate::counters::{SessionCounters, WorkerCounters};
use crate::engine::{StreamCounters, StreamReader};
use crate::outputs::OutputStats;
use crate::steering::SteeringCounters;

impl Report {
    /// Returns a message for each sum that is not equal. Empty for the report of an engine that has
    /// stopped; while an engine runs, frames are between two counters.
    pub fn imbalances(&self) -> Vec<String> {
        let interfaces =
            (0..self.interfaces.len()).filter_map(|index| self.interface_imbalance(index));
        let sessions = self.sessions.iter().zip(self.session_counters());
        let sessions = sessions
            .filter_map(|(name, counters)| imbalance(&format!("session {name}"), &counters));
        let workers = self.workers.iter().flat_map(|worker| self.worker_imbalances(worker));
        let outputs = self.outputs.iter().filter_map(output_imbalance);
        let streams = self.outputs.iter().flat_map(stream_imbalances);
        let fragments = (!self.fragments.adds_up())
            .then(|| format!("outer fragments do not add up: {:?}", self.fragments));
        let interfaces = interfaces.chain(fragments);
        interfaces.chain(workers).chain(sessions).chain(outputs).chain(streams).collect()
    }

    /// Checks redirected = received + lost in the kernel, the refused ones included, for each
    /// interface.
    fn interface_imbalance(&self, index: usize) -> Option<String> {
        let workers = self.workers.iter().filter(|worker| worker.interface == index);
        let (mut received, mut lost) = (0, 0);
        for worker in workers {
            received += worker.counters.total.received.frames;
            lost += worker.lost_in_kernel();
        }
        let SteeringCounters { redirected, redirect_err, .. } = self.interfaces[index].steering;
        lost += redirect_err;
        (redirected != received + lost).then(|| {
            let name = &self.interfaces[index].name;
            format!("{name}: redirected {redirected} is not received {received} + lost in the kernel {lost}")
        })
    }

    fn worker_imbalances(&self, worker: &WorkerReport) -> Vec<String> {
        let WorkerCounters { total, sessions, outputs, pushed, chunks, .. } = &worker.counters;
        let name = self.name_of(worker);
        let mut broken: Vec<_> = imbalance(&name, total).into_iter().collect();
        let (delivered, counted) = (delivered(sessions), total.delivered.frames);
        if delivered != counted {
            broken.push(format!("{name}: the sessions' {delivered} delivered are not {counted}"));
        }
        for (output, (counters_by_session, pushed)) in
            self.outputs.iter().zip(outputs.iter().zip(pushed))
        {
            let delivered: u64 =
                counters_by_session.iter().map(|counters| counters.delivered.frames).sum();
            if delivered != *pushed {
                let output = output.title();
                broken.push(format!(
                    "{name}, output {output}: delivered {delivered} is not pushed {pushed}"
                ));
            }
        }
        if chunks.free + chunks.in_flight + chunks.incomplete + chunks.published != chunks.total {
            broken.push(format!("{name}: chunks do not add up: {chunks:?}"));
        }
        broken
    }
}

fn delivered(sessions: &[SessionCounters]) -> u64 {
    sessions.iter().map(|counters| counters.delivered.frames).sum()
}

/// Checks received = delivered + dropped.
fn imbalance(what: &str, counters: &SessionCounters) -> Option<String> {
    (!counters.adds_up()).then(|| {
        let (received, delivered, drops) =
            (counters.received.frames, counters.delivered.frames, counters.drops.total());
        format!("{what}: received {received} is not delivered {delivered} + dropped {drops}")
    })
}

/// Checks delivered = written + lost + not written for lack of space, for an output that the engine
/// reads itself.
fn output_imbalance(output: &OutputReport) -> Option<String> {
    let delivered = output.total().delivered.frames;
    let written = output.written.as_ref()?;
    let OutputStats { frames_written, frames_lost, low_space, .. } = *written;
    (delivered != frames_written + frames_lost + low_space).then(|| {
        format!(
            "output {}: delivered {delivered} is not written {frames_written} + lost {frames_lost} + low_space {low_space}",
            output.name
        )
    })
}

/// Checks delivered = taken + unread for a stream, and offered = sent + lost + unsent for each of
/// its readers.
fn stream_imbalances(output: &OutputReport) -> Vec<String> {
    let Some(StreamCounters { taken, readers, .. }) = &output.stream else { return Vec::new() };
    let (name, delivered, unread) = (&output.name, output.total().delivered.frames, output.unread);
    let whole = (delivered != taken + unread).then(|| {
        format!("output {name}: delivered {delivered} is not taken {taken} + not read {unread}")
    });
    let readers = readers.iter().filter(|reader| !reader.adds_up());
    let readers = readers.map(|reader| {
        let StreamReader { name: who, offered, sent, lost, unsent, .. } = reader;
        format!(
            "output {name}, {who}: offered {offered} is not sent {sent} + lost {lost} + not sent {unsent}"
        )
    });
    whole.into_iter().chain(readers).collect()
}
