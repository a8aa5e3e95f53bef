//! Does the turns of the plan one after the other, and again where too much time was taken from
//! them.

use std::time::Duration;

use anyhow::Result;

use super::disturbance::{Decision, calmest, decide};
use super::generator::Load;
use super::offered::{Layout, Offered, Size};
use super::options::Options;
use super::plan::{Measure, Turn};
use super::rows::Row;
use super::run::{Job, Run, Setup};
use super::stats::Spread;

/// Least rate that a share of a small maximum becomes, in frames per second.
const RATE_MIN: f64 = 1000.0;

/// What has been measured so far, and what went wrong.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// All runs, those that do not count too.
    pub(crate) runs: Vec<Run>,
    /// One sentence each: runs that failed, turns that were repeated.
    pub(crate) notes: Vec<String>,
    /// Number of runs that failed.
    pub(crate) failures: usize,
}

/// Does all turns. A run that fails is noted, and the next one begins.
///
/// # Errors
/// When a signal comes: `outcome` has what there was until then.
pub(crate) fn run_all(
    setup: &Setup<'_>,
    options: &Options,
    rows: &[Row],
    turns: &[Turn],
    outcome: &mut Outcome,
) -> Result<()> {
    for (index, turn) in turns.iter().enumerate() {
        super::say(&format!("{}/{}: round {}, {}", index + 1, turns.len(), turn.round, turn.cell));
        let mut attempts: Vec<Vec<Run>> = Vec::new();
        let taken = loop {
            let number = u32::try_from(attempts.len() + 1)?;
            attempts.push(attempt(setup, options, rows, turn, number, outcome)?);
            let taken: Vec<f64> = attempts.iter().map(|runs| most_taken(runs)).collect();
            match decide(&taken, options.disturbance_limit, options.repeats.into()) {
                Decision::Repeat => note_disturbance(turn, &taken, "it is repeated", outcome),
                Decision::GiveUp => {
                    note_disturbance(turn, &taken, "the least disturbed turn is kept", outcome);
                    break taken;
                }
                Decision::Keep => break taken,
            }
        };
        let kept = kept_attempt(&taken, options.disturbance_limit);
        for (index, runs) in attempts.into_iter().enumerate() {
            outcome
                .runs
                .extend(runs.into_iter().map(|run| Run { kept: Some(index) == kept, ..run }));
        }
    }
    Ok(())
}

/// The last attempt where it is calm, else the calmest.
fn kept_attempt(taken: &[f64], limit: f64) -> Option<usize> {
    let last = taken.len().checked_sub(1)?;
    if taken[last] <= limit { Some(last) } else { calmest(taken) }
}

/// One run of every row.
fn attempt(
    setup: &Setup<'_>,
    options: &Options,
    rows: &[Row],
    turn: &Turn,
    number: u32,
    outcome: &mut Outcome,
) -> Result<Vec<Run>> {
    let mut runs = Vec::new();
    for row in turn.rows.iter().map(|&index| &rows[index]) {
        let known = maximum(&outcome.runs, row, turn.cell.layout, &turn.cell.size);
        let Some(offered) = resolve(turn.cell.offered, known) else {
            fail(outcome, turn, row, "its maximum is not known: it delivered nothing at full load");
            continue;
        };
        let load = Load { size: turn.cell.size.clone(), offered, time: run_time(options, turn) };
        let job = Job { row, cell: &turn.cell, round: turn.round, attempt: number, load };
        match setup.run(&job) {
            Ok(run) => {
                super::say(&line(&run));
                runs.push(run);
            }
            Err(error) => {
                // The error of a run that a signal ended says no more than that.
                setup.interrupt.check()?;
                fail(outcome, turn, row, &format!("{error:#}"));
            }
        }
    }
    Ok(runs)
}

/// Latency needs some time after its warm-up.
fn run_time(options: &Options, turn: &Turn) -> Duration {
    let least = Duration::from_millis(800);
    if turn.cell.measure == Measure::Latency { options.seconds.max(least) } else { options.seconds }
}

fn fail(outcome: &mut Outcome, turn: &Turn, row: &Row, why: &str) {
    let note = format!("{}, round {}, {}: FAILED: {why}", row.name, turn.round, turn.cell);
    super::say(&note);
    outcome.notes.push(note);
    outcome.failures += 1;
}

fn note_disturbance(turn: &Turn, taken: &[f64], what: &str, outcome: &mut Outcome) {
    let all: Vec<String> = taken.iter().map(|percent| format!("{percent:.1}")).collect();
    let note = format!(
        "round {}, {}: steal time and other processes took up to {} % of a run: {what}",
        turn.round,
        turn.cell,
        all.join(", then ")
    );
    super::say(&note);
    outcome.notes.push(note);
}

fn most_taken(runs: &[Run]) -> f64 {
    runs.iter().map(|run| run.disturbance.percent()).fold(0.0, f64::max)
}

/// What the row delivered at full load, in frames per second: the median of the rounds so far.
fn maximum(runs: &[Run], row: &Row, layout: Layout, size: &Size) -> Option<f64> {
    let fits = |run: &&Run| {
        run.kept
            && run.row == row.name
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

/// A run on one line, shown when it has ended.
fn line(run: &Run) -> String {
    let cost = run
        .per_frame(run.cpu.total_ns())
        .map_or_else(String::new, |ns| format!(", {ns:.0} ns/frame"));
    format!(
        "  {:<18} offered {:.3} Mpps, delivered {:.3} Mpps, lost {:.3} %{cost}, steal {:.1} %, others {:.1} %",
        run.row,
        run.offered_mpps(),
        run.delivered_mpps(),
        run.lost_percent(),
        run.disturbance.steal_percent,
        run.disturbance.others_percent
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::run::made_up;

    fn row(name: &str) -> Row {
        format!("{name}=vxtap").parse().expect("a row")
    }

    #[test]
    fn a_share_is_of_the_median_of_what_the_row_itself_delivered() {
        let mut runs: Vec<Run> = [100_000, 300_000, 200_000]
            .iter()
            .zip(1..)
            .map(|(&delivered, round)| made_up::run("x", round, 900_000, delivered))
            .collect();
        runs.push(made_up::run("y", 1, 900_000, 800_000));
        let mut disturbed = made_up::run("x", 4, 900_000, 900_000);
        disturbed.kept = false;
        runs.push(disturbed);
        let size = "64".parse().expect("a size");
        let known = maximum(&runs, &row("x"), Layout::A, &size);
        assert_eq!(resolve(Offered::Percent(50), known), Some(Offered::Rate(100_000)));
        assert_eq!(maximum(&runs, &row("x"), Layout::B, &size), None);
    }

    #[test]
    fn a_share_of_an_unknown_maximum_is_none_and_a_rate_needs_none() {
        assert_eq!(resolve(Offered::Percent(50), None), None);
        assert_eq!(resolve(Offered::Rate(7), None), Some(Offered::Rate(7)));
        assert_eq!(resolve(Offered::Full, None), Some(Offered::Full));
    }

    #[test]
    fn the_calm_attempt_is_kept() {
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
