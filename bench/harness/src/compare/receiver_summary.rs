//! The runs of all rounds combined: one entry for each row of each table.

use serde::Serialize;

use super::receiver_spec::ReceiverSpec;
use super::run_plan::Cell;
use super::single_run::RunRecord;
use super::stats::{InRound, Spread, same_round_ratios};

/// Results of a receiver in a cell, over its rounds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct ReceiverSummary {
    /// Parameters of the measurement.
    pub(crate) cell: Cell,
    /// Name of the row.
    pub(crate) row: String,
    /// The receiver never sleeps: its own CPU time does not depend on the number of frames.
    pub(crate) spins: bool,
    /// Mean length of the inner frames that were sent, in bytes.
    pub(crate) inner_len: f64,
    /// Millions of frames per second.
    pub(crate) offered_mpps: Spread,
    /// Millions of frames per second that the application got in time.
    pub(crate) delivered_mpps: Spread,
    /// Percent of the offered frames that never reached the application.
    pub(crate) lost_percent: Spread,
    /// Frames that never reached the application.
    pub(crate) lost_frames: Spread,
    /// CPU time per delivered frame; `None` when nothing was delivered.
    pub(crate) cost: Option<Cost>,
    /// Time from the XDP program to the application; `None` if it is not known.
    pub(crate) latency: Option<LatencySpread>,
    /// Largest resident memory of the receiver, in KiB; 0 if it is not known.
    pub(crate) rss_kib: u64,
    /// Steal time in percent of the CPUs' time.
    pub(crate) steal_percent: Spread,
    /// Other processes' user time in percent of the CPUs' time.
    pub(crate) others_percent: Spread,
    /// Same-round ratios, one for each reference row.
    pub(crate) ratios: Vec<Ratio>,
}

/// CPU time in nanoseconds per delivered frame.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Cost {
    /// All of it.
    pub(crate) total: Spread,
    /// In the kernel, before the receiver's socket.
    pub(crate) softirq: Spread,
    /// The receiver outside the kernel.
    pub(crate) user: Spread,
    /// The receiver in system calls.
    pub(crate) system: Spread,
}

/// Percentiles of the runs, in nanoseconds.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct LatencySpread {
    /// Median.
    pub(crate) p50: Spread,
    /// 99 of 100 frames are not above.
    pub(crate) p99: Spread,
    /// 999 of 1000 frames are not above.
    pub(crate) p999: Spread,
    /// Longest.
    pub(crate) max: Spread,
}

/// A row divided by a reference row.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Ratio {
    /// The reference row.
    pub(crate) reference: String,
    /// Of the delivered rates.
    pub(crate) delivered: Option<Spread>,
    /// Of the CPU times per delivered frame; also `None` if one of the two spins.
    pub(crate) cost: Option<Spread>,
}

/// Combines the kept runs, in the order of the plan and of the receivers.
pub(crate) fn summarise(
    runs: &[RunRecord],
    rows: &[ReceiverSpec],
    references: &[String],
) -> Vec<ReceiverSummary> {
    let mut cells: Vec<&Cell> = Vec::new();
    for run in runs {
        if !cells.contains(&&run.cell) {
            cells.push(&run.cell);
        }
    }
    let mut entries = Vec::new();
    for cell in cells {
        for row in rows {
            entries.extend(entry(runs, cell, row, rows, references));
        }
    }
    entries
}

fn entry(
    runs: &[RunRecord],
    cell: &Cell,
    row: &ReceiverSpec,
    rows: &[ReceiverSpec],
    references: &[String],
) -> Option<ReceiverSummary> {
    let own = of_row(runs, cell, &row.name);
    let spread = |value: &dyn Fn(&RunRecord) -> f64| {
        Spread::of(&own.iter().map(|run| value(run)).collect::<Vec<_>>())
    };
    let ratio = |name: &String| {
        let reference = rows.iter().find(|other| other.name == *name && other.name != row.name)?;
        let theirs = of_row(runs, cell, name);
        let of = |value: fn(&RunRecord) -> Option<f64>| {
            Spread::of(&same_round_ratios(&by_round(&own, value), &by_round(&theirs, value)))
        };
        let comparable = !row.spins && !reference.spins;
        let cost = comparable.then(|| of(total_cost)).flatten();
        Some(Ratio {
            reference: name.clone(),
            delivered: of(|run| Some(run.delivered_mpps())),
            cost,
        })
    };
    Some(ReceiverSummary {
        cell: cell.clone(),
        row: row.name.clone(),
        spins: row.spins,
        inner_len: spread(&inner_len)?.median,
        offered_mpps: spread(&RunRecord::offered_mpps)?,
        delivered_mpps: spread(&RunRecord::delivered_mpps)?,
        lost_percent: spread(&RunRecord::lost_percent)?,
        lost_frames: spread(&lost_frames)?,
        cost: cost(&own),
        latency: latency(&own),
        rss_kib: own.iter().map(|run| run.drained.rss_kib).max().unwrap_or(0),
        steal_percent: spread(&|run| run.noise.steal_percent)?,
        others_percent: spread(&|run| run.noise.others_percent)?,
        ratios: references.iter().filter_map(ratio).collect(),
    })
}

fn of_row<'a>(runs: &'a [RunRecord], cell: &Cell, row: &str) -> Vec<&'a RunRecord> {
    runs.iter().filter(|run| run.kept && run.row == row && run.cell == *cell).collect()
}

fn by_round(runs: &[&RunRecord], value: fn(&RunRecord) -> Option<f64>) -> Vec<InRound> {
    runs.iter().filter_map(|run| Some((run.round, value(run)?))).collect()
}

fn total_cost(run: &RunRecord) -> Option<f64> {
    run.per_frame(run.cpu.total_ns())
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run, far below 2^52")]
fn inner_len(run: &RunRecord) -> f64 {
    run.sent.inner_bytes as f64 / run.sent.frames.max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of a run, far below 2^52")]
const fn lost_frames(run: &RunRecord) -> f64 {
    run.lost() as f64
}

fn cost(runs: &[&RunRecord]) -> Option<Cost> {
    let of = |time: fn(&RunRecord) -> u64| {
        Spread::of(&runs.iter().filter_map(|run| run.per_frame(time(run))).collect::<Vec<_>>())
    };
    Some(Cost {
        total: of(|run| run.cpu.total_ns())?,
        softirq: of(|run| run.cpu.softirq_ns)?,
        user: of(|run| run.cpu.user_ns)?,
        system: of(|run| run.cpu.system_ns)?,
    })
}

#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a run, far below 2^52")]
fn latency(runs: &[&RunRecord]) -> Option<LatencySpread> {
    let of = |time: fn(&crate::mark_protocol::Latency) -> u64| {
        let times =
            runs.iter().filter_map(|run| run.latency()).map(|latency| time(&latency) as f64);
        Spread::of(&times.collect::<Vec<_>>())
    };
    Some(LatencySpread {
        p50: of(|latency| latency.p50_ns)?,
        p99: of(|latency| latency.p99_ns)?,
        p999: of(|latency| latency.p999_ns)?,
        max: of(|latency| latency.max_ns)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::compare::single_run::made_up;
    use crate::mark_protocol::Latency;

    fn rows() -> Vec<ReceiverSpec> {
        let row = |text: &str| text.parse().expect("a row");
        vec![row("fast=vxtap"), row("base=tpacket"), row("spinner=xsk-rs --wait busy")]
    }

    fn runs() -> Vec<RunRecord> {
        vec![
            made_up::run("fast", 1, 4_000_000, 3_000_000),
            made_up::run("base", 1, 4_000_000, 1_000_000),
            made_up::run("fast", 2, 4_000_000, 1_000_000),
            made_up::run("base", 2, 4_000_000, 500_000),
            made_up::run("spinner", 1, 4_000_000, 2_000_000),
        ]
    }

    fn summary(runs: &[RunRecord]) -> Vec<ReceiverSummary> {
        summarise(runs, &rows(), &["base".to_owned()])
    }

    #[test]
    fn the_entries_are_in_the_order_of_the_rows() {
        let names: Vec<String> = summary(&runs()).into_iter().map(|entry| entry.row).collect();
        assert_eq!(names, ["fast", "base", "spinner"]);
    }

    #[test]
    fn ratios_are_of_the_same_round() {
        let entries = summary(&runs());
        let ratio = entries[0].ratios[0].delivered.expect("two rounds");
        assert_eq!((ratio.count, ratio.min, ratio.max), (2, 2.0, 3.0));
        assert!(entries[1].ratios.is_empty(), "a row is not divided by itself");
    }

    #[test]
    fn the_cost_of_a_spinning_row_is_not_compared() {
        let entries = summary(&runs());
        assert_eq!(entries[0].ratios[0].cost.expect("both sleep").count, 2);
        assert_eq!(entries[2].ratios[0].cost, None);
        assert!((entries[0].cost.expect("frames came").total.median - 175.0).abs() < 1e-9);
    }

    #[test]
    fn runs_that_do_not_count_are_left_out() {
        let mut runs = runs();
        runs[0].kept = false;
        let entries = summary(&runs);
        assert_eq!(entries[0].delivered_mpps.count, 1);
        assert_eq!(entries[0].ratios[0].delivered.expect("round 2").count, 1);
    }

    #[test]
    fn the_latency_of_a_row_is_that_of_its_rounds() {
        let mut runs = runs();
        assert_eq!(summary(&runs)[0].latency, None);
        runs[0].at_end.latency =
            Some(Latency { count: 9, p50_ns: 1, p99_ns: 2, p999_ns: 3, max_ns: 4 });
        runs[2].at_end.latency =
            Some(Latency { count: 9, p50_ns: 1, p99_ns: 4, p999_ns: 3, max_ns: 8 });
        let latency = summary(&runs)[0].latency.expect("two rounds");
        assert!((latency.p99.median - 3.0).abs() < 1e-9 && (latency.max.max - 8.0).abs() < 1e-9);
    }
}
