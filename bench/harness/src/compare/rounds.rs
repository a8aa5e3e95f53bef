//! Executes the iterations of the plan in order, and repeats the noisy ones.

use std::time::Duration;

use anyhow::Result;

use super::noise::{RepeatDecision, decide, least_noisy};
use super::offered::{CpuLayout, Offered, Size};
use super::options::CompareOptions;
use super::receiver_spec::ReceiverSpec;
use super::run_plan::{Iteration, Measure};
use super::single_run::{RunJob, RunRecord, RunSetup};
use super::stats::Spread;
use super::vxgen_process::OfferedLoad;

/// Least rate for a share of a small maximum, in frames per second.
const RATE_MIN: f64 = 1000.0;

/// The runs so far, with notes on failures.
#[derive(Debug, Default)]
pub(crate) struct Measurements {
    /// All runs, including those that are not kept.
    pub(crate) runs: Vec<RunRecord>,
    /// One sentence each: failed runs, repeated iterations.
    pub(crate) notes: Vec<String>,
    /// Number of runs that failed.
    pub(crate) failures: usize,
}

/// Executes all iterations. A run that fails is noted, and the next one begins.
///
/// # Errors
/// When a signal comes: `measured` holds the results until then.
pub(crate) fn run_all(
    setup: &RunSetup<'_>,
    options: &CompareOptions,
    receivers: &[ReceiverSpec],
    iterations: &[Iteration],
    measured: &mut Measurements,
) -> Result<()> {
    for (index, iteration) in iterations.iter().enumerate() {
        super::log(&format!(
            "{}/{}: round {}, {}",
            index + 1,
            iterations.len(),
            iteration.round,
            iteration.cell
        ));
        let mut attempts: Vec<Vec<RunRecord>> = Vec::new();
        let noise = loop {
            let number = u32::try_from(attempts.len() + 1)?;
            attempts.push(attempt(setup, options, receivers, iteration, number, measured)?);
            let noise: Vec<f64> = attempts.iter().map(|runs| noise_max(runs)).collect();
            match decide(&noise, options.noise_limit, options.repeats.into()) {
                RepeatDecision::Repeat => note_noise(iteration, &noise, "it is repeated", measured),
                RepeatDecision::GiveUp => {
                    note_noise(iteration, &noise, "the least noisy iteration is kept", measured);
                    break noise;
                }
                RepeatDecision::Keep => break noise,
            }
        };
        let kept = kept_attempt(&noise, options.noise_limit);
        for (index, runs) in attempts.into_iter().enumerate() {
            measured
                .runs
                .extend(runs.into_iter().map(|run| RunRecord { kept: Some(index) == kept, ..run }));
        }
    }
    Ok(())
}

/// Returns the last attempt if its noise is within the limit, else the least noisy one.
fn kept_attempt(noise: &[f64], limit: f64) -> Option<usize> {
    let last = noise.len().checked_sub(1)?;
    if noise[last] <= limit { Some(last) } else { least_noisy(noise) }
}

/// One run of every row.
fn attempt(
    setup: &RunSetup<'_>,
    options: &CompareOptions,
    receivers: &[ReceiverSpec],
    iteration: &Iteration,
    number: u32,
    measured: &mut Measurements,
) -> Result<Vec<RunRecord>> {
    let mut runs = Vec::new();
    for receiver in iteration.receivers.iter().map(|&index| &receivers[index]) {
        let known = maximum(&measured.runs, receiver, iteration.cell.layout, &iteration.cell.size);
        let Some(offered) = resolve(iteration.cell.offered, known) else {
            fail(
                measured,
                iteration,
                receiver,
                "its maximum is not known: it delivered nothing at full load",
            );
            continue;
        };
        let load = OfferedLoad {
            size: iteration.cell.size.clone(),
            offered,
            time: run_time(options, iteration),
        };
        let job = RunJob {
            row: receiver,
            cell: &iteration.cell,
            round: iteration.round,
            attempt: number,
            load,
        };
        match setup.run(&job) {
            Ok(run) => {
                super::log(&line(&run));
                runs.push(run);
            }
            Err(error) => {
                // A run that a signal ended fails with a message about the signal only.
                setup.interrupt.check()?;
                fail(measured, iteration, receiver, &format!("{error:#}"));
            }
        }
    }
    Ok(runs)
}

/// Latency is measured after a warm-up, which needs some time.
fn run_time(options: &CompareOptions, iteration: &Iteration) -> Duration {
    let least = Duration::from_millis(800);
    if iteration.cell.measure == Measure::Latency {
        options.seconds.max(least)
    } else {
        options.seconds
    }
}

fn fail(measured: &mut Measurements, iteration: &Iteration, receiver: &ReceiverSpec, why: &str) {
    let note =
        format!("{}, round {}, {}: FAILED: {why}", receiver.name, iteration.round, iteration.cell);
    super::log(&note);
    measured.notes.push(note);
    measured.failures += 1;
}

fn note_noise(iteration: &Iteration, noise: &[f64], what: &str, measured: &mut Measurements) {
    let all: Vec<String> = noise.iter().map(|percent| format!("{percent:.1}")).collect();
    let note = format!(
        "round {}, {}: steal time and other processes took up to {} % of a run: {what}",
        iteration.round,
        iteration.cell,
        all.join(", then ")
    );
    super::log(&note);
    measured.notes.push(note);
}

fn noise_max(runs: &[RunRecord]) -> f64 {
    runs.iter().map(|run| run.noise.percent()).fold(0.0, f64::max)
}

/// Rate that the receiver delivered at full load, in frames per second: the median of the rounds so
/// far.
fn maximum(
    runs: &[RunRecord],
    receiver: &ReceiverSpec,
    layout: CpuLayout,
    size: &Size,
) -> Option<f64> {
    let fits = |run: &&RunRecord| {
        run.kept
            && run.row == receiver.name
            && run.cell.measure == Measure::Throughput
            && run.cell.layout == layout
            && run.cell.size == *size
    };
    let rates: Vec<f64> = runs.iter().filter(fits).map(|run| run.delivered_mpps() * 1e6).collect();
    Spread::of(&rates).map(|spread| spread.median).filter(|&rate| rate > 0.0)
}

/// The load as a rate; `None` for a share of an unknown maximum.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate, positive and below 2^40"
)]
#[expect(clippy::cast_precision_loss, reason = "percent")]
fn resolve(offered: Offered, maximum: Option<f64>) -> Option<Offered> {
    let Offered::Percent(percent) = offered else { return Some(offered) };
    let rate = maximum? * percent as f64 / 100.0;
    Some(Offered::Rate(rate.max(RATE_MIN) as u64))
}

/// A run on one line, printed when it has ended.
fn line(run: &RunRecord) -> String {
    let cost = run
        .per_frame(run.cpu.total_ns())
        .map_or_else(String::new, |ns| format!(", {ns:.0} ns/frame"));
    format!(
        "  {:<18} offered {:.3} Mpps, delivered {:.3} Mpps, lost {:.3} %{cost}, steal {:.1} %, others {:.1} %",
        run.row,
        run.offered_mpps(),
        run.delivered_mpps(),
        run.lost_percent(),
        run.noise.steal_percent,
        run.noise.others_percent
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::single_run::made_up;

    fn receiver(name: &str) -> ReceiverSpec {
        format!("{name}=vxtap").parse().expect("a row")
    }

    #[test]
    fn a_share_is_of_the_median_of_what_the_row_itself_delivered() {
        let mut runs: Vec<RunRecord> = [100_000, 300_000, 200_000]
            .iter()
            .zip(1..)
            .map(|(&delivered, round)| made_up::run("x", round, 900_000, delivered))
            .collect();
        runs.push(made_up::run("y", 1, 900_000, 800_000));
        let mut noisy = made_up::run("x", 4, 900_000, 900_000);
        noisy.kept = false;
        runs.push(noisy);
        let size = "64".parse().expect("a size");
        let known = maximum(&runs, &receiver("x"), CpuLayout::A, &size);
        assert_eq!(resolve(Offered::Percent(50), known), Some(Offered::Rate(100_000)));
        assert_eq!(maximum(&runs, &receiver("x"), CpuLayout::B, &size), None);
    }

    #[test]
    fn a_share_of_an_unknown_maximum_is_none_and_a_rate_needs_none() {
        assert_eq!(resolve(Offered::Percent(50), None), None);
        assert_eq!(resolve(Offered::Rate(7), None), Some(Offered::Rate(7)));
        assert_eq!(resolve(Offered::Full, None), Some(Offered::Full));
    }

    #[test]
    fn the_attempt_without_noise_is_kept() {
        assert_eq!(kept_attempt(&[1.0], 3.0), Some(0));
        assert_eq!(kept_attempt(&[9.0, 2.0], 3.0), Some(1));
        assert_eq!(kept_attempt(&[9.0, 5.0, 7.0], 3.0), Some(1));
    }

    #[test]
    fn a_run_is_told_on_one_line() {
        let run = made_up::run("tpacket", 1, 1_000_000, 900_000);
        assert_eq!(
            line(&run),
            "  tpacket            offered 1.000 Mpps, delivered 0.900 Mpps, lost 10.000 %, 175 ns/frame, steal 0.5 %, \
             others 0.2 %"
        );
    }
}
