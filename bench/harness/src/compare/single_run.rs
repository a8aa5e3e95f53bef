//! One run: one receiver and one traffic in a new pair of namespaces.
//!
//! ```text
//!   receiver ready ─ mark ─ CPU ─ traffic ─ CPU ─ mark ─ the rest is read ─ mark ─ end
//!                                  ▲ mark (latency: new histogram)
//! ```

use std::time::Duration;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cpu::{CpuMeter, CpuTime};
use super::external::StopTime;
use super::interrupt::Interrupt;
use super::noise::{Noise, NoiseMeter};
use super::offered::CpuLayout;
use super::receiver::Receiver;
use super::receiver_spec::ReceiverSpec;
use super::run_plan::{Cell, Measure};
use super::testbed::{CpuPair, Testbed};
use super::vxgen_process::{Generator, GeneratorReport, OfferedLoad};
use crate::mark_protocol::{Latency, Mark};

/// Time after which latency is recorded: the caches are warm and the first burst is over.
const WARM_UP: Duration = Duration::from_millis(300);

/// One run, with all of its counts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// Parameters of the measurement.
    pub(crate) cell: Cell,
    /// Name of the row.
    pub(crate) row: String,
    /// From 1.
    pub(crate) round: u32,
    /// From 1; if greater, the earlier attempts of the round were noisy.
    pub(crate) attempt: u32,
    /// `true` if the run is in the tables; one of several attempts is.
    pub(crate) kept: bool,
    /// Description of the receiver's set-up.
    pub(crate) about: String,
    /// Report of the generator.
    pub(crate) sent: GeneratorReport,
    /// The counts before the traffic.
    pub(crate) before: Mark,
    /// The counts as the traffic ended.
    pub(crate) at_end: Mark,
    /// The counts when the rest had been read.
    pub(crate) drained: Mark,
    /// CPU time from `before` to `at_end`.
    pub(crate) cpu: CpuTime,
    /// Noise while the traffic lasted.
    #[serde(rename = "disturbance")]
    pub(crate) noise: Noise,
}

/// Settings that all runs share.
#[derive(Debug)]
pub(crate) struct RunSetup<'a> {
    /// The generator.
    pub(crate) generator: Generator,
    /// CPUs of generator and receiver.
    pub(crate) cpus: CpuPair,
    /// Ctrl-C.
    pub(crate) interrupt: &'a Interrupt,
}

/// Parameters of one run.
#[derive(Debug)]
pub(crate) struct RunJob<'a> {
    /// The receiver.
    pub(crate) row: &'a ReceiverSpec,
    /// Parameters of the measurement.
    pub(crate) cell: &'a Cell,
    /// The round.
    pub(crate) round: u32,
    /// The attempt in the round.
    pub(crate) attempt: u32,
    /// The traffic, with its rate in frames per second.
    pub(crate) load: OfferedLoad,
}

impl RunSetup<'_> {
    /// Does the run.
    ///
    /// # Errors
    /// When a part of it fails, or a signal comes. Everything is removed in these cases too.
    pub(crate) fn run(&self, job: &RunJob<'_>) -> Result<RunRecord> {
        let testbed = self.make_testbed(job.cell.layout)?;
        let mut receiver =
            Receiver::start(&testbed, job.row, self.generator.sessions, self.interrupt)?;
        let meter = CpuMeter::new(receiver.id(), testbed.pin_softirq()?);
        let about = receiver.about().to_owned();

        let before = receiver.mark()?;
        let all = self.cpus.all();
        let noise_meter = NoiseMeter::start(&all)?;
        let cpu_before = meter.sample()?;
        let mut sending = self.generator.start(&testbed, &job.load, self.interrupt)?;
        if job.cell.measure == Measure::Latency {
            self.interrupt.pause(WARM_UP.min(job.load.time / 2))?;
            receiver.mark()?;
        }
        let sent = sending.report()?;
        let cpu_after = meter.sample()?;
        let noise = noise_meter.end(cpu_after.user_ticks_since(cpu_before))?;
        let [at_end, drained] = receiver.finish(stop_time(job.cell.measure), self.interrupt)?;
        sending.end()?;

        Ok(RunRecord {
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
            noise,
        })
    }

    fn make_testbed(&self, layout: CpuLayout) -> Result<Testbed> {
        self.interrupt.check()?;
        Testbed::make(layout, self.cpus).context("cannot make the namespaces of a run")
    }
}

/// At full load, frames that are still in an external program's buffer do not count, as with the
/// other receivers.
const fn stop_time(measure: Measure) -> StopTime {
    match measure {
        Measure::Throughput | Measure::Ladder => StopTime::AtOnce,
        Measure::Loss | Measure::Latency => StopTime::Drained,
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run, far below 2^52")]
impl RunRecord {
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

    /// The same in percent of the offered frames.
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

/// Runs with made-up results, for the tests of the modules that evaluate them.
#[cfg(test)]
pub(crate) mod made_up {
    use super::*;
    use crate::compare::offered::Offered;

    /// A run of one second that delivered `delivered` of `offered` frames, 100 of each thousand
    /// lost ones refused.
    pub(crate) fn run(row: &str, round: u32, offered: u64, delivered: u64) -> RunRecord {
        let size = "64".parse().expect("a size");
        let cell = Cell {
            measure: Measure::Throughput,
            layout: CpuLayout::A,
            size,
            offered: Offered::Full,
        };
        let refused = offered.saturating_sub(delivered) / 10;
        let sent = GeneratorReport {
            frames: offered - refused,
            bytes: (offered - refused) * 124,
            inner_bytes: (offered - refused) * 74,
            refused,
            elapsed_ns: 1_000_000_000,
            via: "live".to_owned(),
        };
        let before = Mark { frames: 5, ..Mark::default() };
        let at_end = Mark { frames: 5 + delivered, rss_kib: 70_000, ..Mark::default() };
        RunRecord {
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
            noise: Noise { steal_percent: 0.5, others_percent: 0.25 },
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
