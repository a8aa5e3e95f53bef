//! One run: one receiver, one traffic, in a fresh pair of namespaces.
//!
//! ```text
//!   receiver ready ─ mark ─ CPU ─ traffic ─ CPU ─ mark ─ the rest is read ─ mark ─ end
//!                                  ▲ mark (latency: forget the start)
//! ```

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::bed::{Bed, Cpus};
use super::cpu::{CpuTime, Meter};
use super::disturbance::{Disturbance, Watch};
use super::generator::{Generator, Load, Report};
use super::interrupt::Interrupt;
use super::offered::Layout;
use super::plan::{Cell, Measure};
use super::receiver::{Ending, Receiver};
use super::rows::Row;
use crate::protocol::{Latency, Mark};

/// The time after which latency counts: the caches are warm and the first burst is over.
const WARM_UP: Duration = Duration::from_millis(300);

/// One run, with everything that was counted.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Run {
    /// What was measured.
    pub(crate) cell: Cell,
    /// Name of the row.
    pub(crate) row: String,
    /// From 1.
    pub(crate) round: u32,
    /// From 1; above it, earlier ones of the round were disturbed.
    pub(crate) attempt: u32,
    /// Whether it is in the tables; of several attempts one is.
    pub(crate) kept: bool,
    /// What exactly the receiver had set up.
    pub(crate) about: String,
    /// What was sent.
    pub(crate) sent: Report,
    /// The counts before the traffic.
    pub(crate) before: Mark,
    /// The counts as the traffic ended.
    pub(crate) at_end: Mark,
    /// The counts when the rest had been read.
    pub(crate) drained: Mark,
    /// CPU time from `before` to `at_end`.
    pub(crate) cpu: CpuTime,
    /// What was taken from it while the traffic lasted.
    pub(crate) disturbance: Disturbance,
}

/// What does not change from run to run.
#[derive(Debug)]
pub(crate) struct Setup<'a> {
    /// What sends.
    pub(crate) generator: Generator,
    /// Who runs where.
    pub(crate) cpus: Cpus,
    /// Ctrl-C.
    pub(crate) interrupt: &'a Interrupt,
}

/// What one run is of.
#[derive(Debug)]
pub(crate) struct Job<'a> {
    /// The receiver.
    pub(crate) row: &'a Row,
    /// What is measured.
    pub(crate) cell: &'a Cell,
    /// The round.
    pub(crate) round: u32,
    /// The attempt in the round.
    pub(crate) attempt: u32,
    /// The traffic, with its rate in frames per second.
    pub(crate) load: Load,
}

impl Setup<'_> {
    /// Does the run.
    ///
    /// # Errors
    /// When a part of it fails, or a signal comes. Everything is removed then too.
    pub(crate) fn run(&self, job: &Job<'_>) -> Result<Run> {
        let bed = self.make_bed(job.cell.layout)?;
        let mut receiver = Receiver::start(&bed, job.row, self.generator.sessions, self.interrupt)?;
        let meter = Meter::new(receiver.id(), bed.pin_softirq()?);
        let about = receiver.about().to_owned();

        let before = receiver.mark()?;
        let all = self.cpus.all();
        let watch = Watch::start(&all)?;
        let cpu_before = meter.sample()?;
        let mut sending = self.generator.start(&bed, &job.load, self.interrupt)?;
        if job.cell.measure == Measure::Latency {
            self.interrupt.pause(WARM_UP.min(job.load.time / 2))?;
            receiver.mark()?;
        }
        let sent = sending.report()?;
        let cpu_after = meter.sample()?;
        let disturbance = watch.end(cpu_after.user_ticks_since(cpu_before))?;
        let [at_end, drained] = receiver.finish(ending(job.cell.measure), self.interrupt)?;
        sending.end()?;

        Ok(Run {
            cell: job.cell.clone(),
            row: job.row.name.clone(),
            round: job.round,
            attempt: job.attempt,
            kept: true,
            about,
            sent,
            before,
            at_end,
            drained,
            cpu: cpu_after.since(cpu_before),
            disturbance,
        })
    }

    fn make_bed(&self, layout: Layout) -> Result<Bed> {
        self.interrupt.check()?;
        Bed::make(layout, self.cpus).context("cannot make the namespaces of a run")
    }
}

/// At full load what an external program's buffer still holds does not count, as with the other
/// rows.
const fn ending(measure: Measure) -> Ending {
    match measure {
        Measure::Throughput | Measure::Ladder => Ending::AtOnce,
        Measure::Loss | Measure::Latency => Ending::Drained,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run, far below 2^52")]
impl Run {
    /// Frames that the application had by the end of the traffic.
    pub(crate) const fn delivered_in_time(&self) -> u64 {
        self.at_end.frames.saturating_sub(self.before.frames)
    }

    /// Frames that the application got, the rest in the buffers included.
    pub(crate) const fn delivered(&self) -> u64 {
        self.drained.frames.saturating_sub(self.before.frames)
    }

    /// Millions of frames per second that the application got while the traffic lasted.
    pub(crate) fn delivered_mpps(&self) -> f64 {
        self.delivered_in_time() as f64 * 1e3 / self.sent.elapsed_ns as f64
    }

    /// Millions of frames per second that were offered.
    pub(crate) fn offered_mpps(&self) -> f64 {
        self.sent.offered() as f64 * 1e3 / self.sent.elapsed_ns as f64
    }

    /// Frames that were offered and never reached the application.
    pub(crate) const fn lost(&self) -> u64 {
        self.sent.offered().saturating_sub(self.delivered())
    }

    /// The same in percent of what was offered.
    pub(crate) fn lost_percent(&self) -> f64 {
        let offered = self.sent.offered().max(1);
        self.lost() as f64 * 100.0 / offered as f64
    }

    /// `time`, a part of the run's CPU time in nanoseconds, per delivered frame; `None` when there
    /// was none.
    pub(crate) fn per_frame(&self, time: u64) -> Option<f64> {
        let frames = self.delivered_in_time();
        (frames > 0).then(|| time as f64 / frames as f64)
    }

    /// The latency of the traffic, when there are samples.
    pub(crate) fn latency(&self) -> Option<Latency> {
        self.at_end.latency.filter(|latency| latency.count > 0)
    }
}

/// Runs for the tests of those who read them.
#[cfg(test)]
pub(crate) mod made_up {
    use super::*;
    use crate::compare::offered::Offered;

    /// A run of one second that delivered `delivered` of `offered` frames, 100 of each thousand
    /// lost ones refused.
    pub(crate) fn run(row: &str, round: u32, offered: u64, delivered: u64) -> Run {
        let size = "64".parse().expect("a size");
        let cell =
            Cell { measure: Measure::Throughput, layout: Layout::A, size, offered: Offered::Full };
        let refused = offered.saturating_sub(delivered) / 10;
        let sent = Report {
            frames: offered - refused,
            bytes: (offered - refused) * 124,
            inner_bytes: (offered - refused) * 74,
            refused,
            elapsed_ns: 1_000_000_000,
            via: "live".to_owned(),
        };
        let before = Mark { frames: 5, ..Mark::default() };
        let at_end = Mark { frames: 5 + delivered, rss_kib: 70_000, ..Mark::default() };
        Run {
            cell,
            row: row.to_owned(),
            round,
            attempt: 1,
            kept: true,
            about: format!("{row}, made up"),
            sent,
            before,
            drained: at_end.clone(),
            at_end,
            cpu: CpuTime {
                softirq_ns: 100 * delivered,
                user_ns: 50 * delivered,
                system_ns: 25 * delivered,
            },
            disturbance: Disturbance { steal_percent: 0.5, others_percent: 0.25 },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_over_the_time_of_the_traffic() {
        let mut run = made_up::run("x", 1, 4_000_000, 3_000_000);
        run.sent.elapsed_ns = 2_000_000_000;
        assert!((run.offered_mpps() - 2.0).abs() < 1e-9);
        assert!((run.delivered_mpps() - 1.5).abs() < 1e-9);
        assert_eq!(run.per_frame(run.cpu.softirq_ns), Some(100.0));
    }

    #[test]
    fn what_was_read_late_is_not_lost_and_not_fast_either() {
        let mut run = made_up::run("x", 1, 1000, 600);
        run.drained.frames += 300;
        assert_eq!((run.delivered_in_time(), run.delivered(), run.lost()), (600, 900, 100));
        assert!((run.lost_percent() - 10.0).abs() < 1e-9);
    }

    #[test]
    fn frames_that_a_full_ring_refused_are_lost() {
        let run = made_up::run("x", 1, 1000, 500);
        assert_eq!((run.sent.refused, run.lost()), (50, 500));
    }

    #[test]
    fn a_run_without_frames_has_no_cost_per_frame() {
        let run = made_up::run("x", 1, 1000, 0);
        assert_eq!(run.per_frame(5000), None);
    }
}
