//! The order of the runs: in every round, each combination of layout, size and load is measured for
//! all receivers, one after the other.
//!
//! ```text
//!   round 1:  A 64   row row row ...      A 1400  row row row ...      B 64  ...
//!   round 2:  A 64   row row row ...      ...
//! ```
//!
//! The receivers of one iteration follow each other closely, so that noise on the machine affects
//! all of them, and their ratios are taken within an iteration.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::offered::{CpuLayout, Offered, Size};

/// A measure; each has a table of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Measure {
    /// Delivered rate and CPU time per frame at full offered load.
    Throughput,
    /// Frames lost at given offered rates.
    Loss,
    /// Time from the XDP program to the consumer at shares of the receiver's maximum.
    Latency,
    /// Delivered rate while the offered load grows, in layout B; shows a livelock.
    Ladder,
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Throughput => "throughput",
            Self::Loss => "loss",
            Self::Latency => "latency",
            Self::Ladder => "ladder",
        })
    }
}

/// Parameters that the runs of an iteration share in every round.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// The measure.
    pub(crate) measure: Measure,
    /// Assignment of the work to the CPUs.
    pub(crate) layout: CpuLayout,
    /// Length of the inner frames.
    pub(crate) size: Size,
    /// Offered load.
    pub(crate) offered: Offered,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, layout, size, offered } = self;
        write!(f, "{measure}, layout {layout}, {size} bytes inner, offered {offered}")
    }
}

/// One run of each of its receivers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Iteration {
    /// From 1.
    pub(crate) round: u32,
    /// Parameters of the measurement.
    pub(crate) cell: Cell,
    /// Indices of the receivers, in the order of the runs.
    pub(crate) receivers: Vec<usize>,
}

/// The measurements to plan.
#[derive(Debug, Clone)]
pub(crate) struct PlanRequest {
    /// Measures to take.
    pub(crate) measures: Vec<Measure>,
    /// In these layouts; the ladder is in B alone.
    pub(crate) layouts: Vec<CpuLayout>,
    /// With these frames.
    pub(crate) sizes: Vec<Size>,
    /// Number of rounds.
    pub(crate) rounds: u32,
    /// Loads of the loss table.
    pub(crate) loss: Vec<Offered>,
    /// Loads of the latency table.
    pub(crate) latency: Vec<Offered>,
    /// Loads of the ladder.
    pub(crate) ladder: Vec<Offered>,
    /// Number of rows.
    pub(crate) receivers: usize,
    /// Indices of the receivers whose latency is known.
    pub(crate) receivers_with_times: Vec<usize>,
    /// Indices of the receivers of the ladder.
    pub(crate) receivers_of_ladder: Vec<usize>,
}

impl PlanRequest {
    /// Returns all iterations in order. Throughput comes first, because shares of a receiver's
    /// maximum need it: if it was not requested, one round of it is added for the receivers that
    /// need it.
    pub(crate) fn iterations(&self) -> Vec<Iteration> {
        let mut iterations = Vec::new();
        if !self.measures.contains(&Measure::Throughput) {
            let receivers = self.receivers_with_shares();
            if !receivers.is_empty() {
                iterations.extend(self.round(
                    1,
                    Measure::Throughput,
                    &self.layouts,
                    &[Offered::Full],
                    &receivers,
                ));
            }
        }
        let all: Vec<usize> = (0..self.receivers).collect();
        for measure in [Measure::Throughput, Measure::Loss, Measure::Latency, Measure::Ladder] {
            let (layouts, loads, receivers): (&[CpuLayout], &[Offered], &[usize]) = match measure {
                Measure::Throughput => (&self.layouts, &[Offered::Full], &all),
                Measure::Loss => (&self.layouts, &self.loss, &all),
                Measure::Latency => (&self.layouts, &self.latency, &self.receivers_with_times),
                Measure::Ladder => (&[CpuLayout::B], &self.ladder, &self.receivers_of_ladder),
            };
            if self.measures.contains(&measure) && !receivers.is_empty() {
                let round = |round| self.round(round, measure, layouts, loads, receivers);
                iterations.extend((1..=self.rounds).flat_map(round));
            }
        }
        iterations
    }

    /// The iterations of one round of one measure.
    fn round(
        &self,
        round: u32,
        measure: Measure,
        layouts: &[CpuLayout],
        loads: &[Offered],
        receivers: &[usize],
    ) -> Vec<Iteration> {
        let mut iterations = Vec::new();
        for &layout in layouts {
            for size in &self.sizes {
                for &offered in loads {
                    let cell = Cell { measure, layout, size: size.clone(), offered };
                    iterations.push(Iteration { round, cell, receivers: receivers.to_vec() });
                }
            }
        }
        iterations
    }

    /// The receivers that are offered a share of their maximum.
    fn receivers_with_shares(&self) -> Vec<usize> {
        let has_share = |measure, loads: &[Offered]| {
            self.measures.contains(&measure)
                && loads.iter().any(|load| matches!(load, Offered::Percent(_)))
        };
        if has_share(Measure::Loss, &self.loss) {
            (0..self.receivers).collect()
        } else if has_share(Measure::Latency, &self.latency) {
            self.receivers_with_times.clone()
        } else {
            Vec::new()
        }
    }
}

/// Number of runs of the plan.
pub(crate) fn run_count(iterations: &[Iteration]) -> usize {
    iterations.iter().map(|iteration| iteration.receivers.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(measures: &[Measure]) -> PlanRequest {
        PlanRequest {
            measures: measures.to_vec(),
            layouts: vec![CpuLayout::A, CpuLayout::B],
            sizes: vec!["64".parse().expect("a size"), "imix".parse().expect("a size")],
            rounds: 2,
            loss: vec![Offered::Rate(500_000)],
            latency: vec![Offered::Percent(10), Offered::Percent(50)],
            ladder: vec![Offered::Rate(1_000_000), Offered::Rate(2_000_000)],
            receivers: 3,
            receivers_with_times: vec![0, 2],
            receivers_of_ladder: vec![1],
        }
    }

    fn shown(iterations: &[Iteration]) -> Vec<String> {
        iterations
            .iter()
            .map(|iteration| {
                format!("{} {} {:?}", iteration.round, iteration.cell, iteration.receivers)
            })
            .collect()
    }

    #[test]
    fn the_receivers_of_an_iteration_follow_each_other_and_rounds_come_one_after_the_other() {
        let iterations = request(&[Measure::Throughput]).iterations();
        let cell = |round, layout, size| {
            format!(
                "{round} throughput, layout {layout}, {size} bytes inner, offered full [0, 1, 2]"
            )
        };
        let expected = [
            cell(1, "A", "64"),
            cell(1, "A", "imix"),
            cell(1, "B", "64"),
            cell(1, "B", "imix"),
            cell(2, "A", "64"),
            cell(2, "A", "imix"),
            cell(2, "B", "64"),
            cell(2, "B", "imix"),
        ];
        assert_eq!(shown(&iterations), expected);
        assert_eq!(run_count(&iterations), 24);
    }

    #[test]
    fn the_ladder_is_in_layout_b_alone_and_of_its_own_receivers() {
        let mut request = request(&[Measure::Ladder]);
        request.rounds = 1;
        let iterations = request.iterations();
        assert_eq!(iterations.len(), 4);
        assert!(
            iterations.iter().all(
                |iteration| iteration.cell.layout == CpuLayout::B && iteration.receivers == [1]
            )
        );
    }

    #[test]
    fn shares_of_a_maximum_are_preceded_by_one_round_that_finds_it() {
        let iterations = request(&[Measure::Latency]).iterations();
        assert_eq!(iterations[0].cell.measure, Measure::Throughput);
        let finding =
            iterations.iter().filter(|iteration| iteration.cell.measure == Measure::Throughput);
        // Two layouts, two sizes, one round.
        assert_eq!(
            finding
                .map(|iteration| (iteration.round, iteration.receivers.clone()))
                .collect::<Vec<_>>(),
            vec![(1, vec![0, 2]); 4]
        );
    }

    #[test]
    fn throughput_that_was_asked_for_is_not_measured_twice() {
        let iterations = request(&[Measure::Latency, Measure::Throughput]).iterations();
        let finding =
            iterations.iter().filter(|iteration| iteration.cell.measure == Measure::Throughput);
        assert_eq!(finding.count(), 8);
        assert_eq!(iterations[0].cell.measure, Measure::Throughput);
    }

    #[test]
    fn rates_need_no_maximum() {
        let iterations = request(&[Measure::Loss]).iterations();
        assert!(iterations.iter().all(|iteration| iteration.cell.measure == Measure::Loss));
        let mut request = request(&[Measure::Loss]);
        request.loss = vec![Offered::Percent(80)];
        assert_eq!(request.iterations()[0].receivers, [0, 1, 2]);
        assert_eq!(request.iterations()[0].cell.measure, Measure::Throughput);
    }

    #[test]
    fn a_measure_without_receivers_has_no_iterations() {
        let mut request = request(&[Measure::Latency]);
        request.receivers_with_times.clear();
        assert!(request.iterations().is_empty());
    }
}
