//! The order of the runs: in every round, each combination of layout, size and load is measured for
//! all rows in turn.
//!
//! ```text
//!   round 1:  A 64   row row row ...      A 1400  row row row ...      B 64  ...
//!   round 2:  A 64   row row row ...      ...
//! ```
//!
//! The rows of one turn follow each other closely, so that what disturbs the machine disturbs all
//! of them, and their ratios are taken within a turn.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::offered::{Layout, Offered, Size};

/// What is found out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Measure {
    /// Delivered rate and CPU time per frame at full offered load.
    Throughput,
    /// Frames lost at given offered rates.
    Loss,
    /// Time from the XDP program to the consumer at shares of the row's maximum.
    Latency,
    /// Delivered rate while the offered load grows, in layout B: a livelock would show.
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

/// What the runs of a turn share, whatever the round.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(crate) struct Cell {
    /// What is found out.
    pub(crate) measure: Measure,
    /// Which CPU does what.
    pub(crate) layout: Layout,
    /// Length of the inner frames.
    pub(crate) size: Size,
    /// How much is offered.
    pub(crate) offered: Offered,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { measure, layout, size, offered } = self;
        write!(f, "{measure}, layout {layout}, {size} bytes inner, offered {offered}")
    }
}

/// One turn of all its rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Turn {
    /// From 1.
    pub(crate) round: u32,
    /// What is measured.
    pub(crate) cell: Cell,
    /// Indices of the rows, in the order of the runs.
    pub(crate) rows: Vec<usize>,
}

/// What is to be measured.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    /// Which tables.
    pub(crate) measures: Vec<Measure>,
    /// In these layouts; the ladder is in B alone.
    pub(crate) layouts: Vec<Layout>,
    /// With these frames.
    pub(crate) sizes: Vec<Size>,
    /// So many times.
    pub(crate) rounds: u32,
    /// Loads of the loss table.
    pub(crate) loss: Vec<Offered>,
    /// Loads of the latency table.
    pub(crate) latency: Vec<Offered>,
    /// Loads of the ladder.
    pub(crate) ladder: Vec<Offered>,
    /// Number of rows.
    pub(crate) rows: usize,
    /// Indices of the rows whose latency is known.
    pub(crate) rows_with_times: Vec<usize>,
    /// Indices of the rows of the ladder.
    pub(crate) rows_of_ladder: Vec<usize>,
}

impl Request {
    /// All turns in order. Throughput comes first, as shares of a row's maximum need it: where it
    /// was not asked for, one round of it is made for the rows that need it.
    pub(crate) fn turns(&self) -> Vec<Turn> {
        let mut turns = Vec::new();
        if !self.measures.contains(&Measure::Throughput) {
            let rows = self.rows_with_shares();
            if !rows.is_empty() {
                turns.extend(self.round(
                    1,
                    Measure::Throughput,
                    &self.layouts,
                    &[Offered::Full],
                    &rows,
                ));
            }
        }
        let all: Vec<usize> = (0..self.rows).collect();
        for measure in [Measure::Throughput, Measure::Loss, Measure::Latency, Measure::Ladder] {
            let (layouts, loads, rows): (&[Layout], &[Offered], &[usize]) = match measure {
                Measure::Throughput => (&self.layouts, &[Offered::Full], &all),
                Measure::Loss => (&self.layouts, &self.loss, &all),
                Measure::Latency => (&self.layouts, &self.latency, &self.rows_with_times),
                Measure::Ladder => (&[Layout::B], &self.ladder, &self.rows_of_ladder),
            };
            if self.measures.contains(&measure) && !rows.is_empty() {
                let round = |round| self.round(round, measure, layouts, loads, rows);
                turns.extend((1..=self.rounds).flat_map(round));
            }
        }
        turns
    }

    /// The turns of one round of one measure.
    fn round(
        &self,
        round: u32,
        measure: Measure,
        layouts: &[Layout],
        loads: &[Offered],
        rows: &[usize],
    ) -> Vec<Turn> {
        let mut turns = Vec::new();
        for &layout in layouts {
            for size in &self.sizes {
                for &offered in loads {
                    let cell = Cell { measure, layout, size: size.clone(), offered };
                    turns.push(Turn { round, cell, rows: rows.to_vec() });
                }
            }
        }
        turns
    }

    /// The rows that are offered a share of their maximum.
    fn rows_with_shares(&self) -> Vec<usize> {
        let has_share = |measure, loads: &[Offered]| {
            self.measures.contains(&measure)
                && loads.iter().any(|load| matches!(load, Offered::Percent(_)))
        };
        if has_share(Measure::Loss, &self.loss) {
            (0..self.rows).collect()
        } else if has_share(Measure::Latency, &self.latency) {
            self.rows_with_times.clone()
        } else {
            Vec::new()
        }
    }
}

/// Number of runs of the plan.
pub(crate) fn run_count(turns: &[Turn]) -> usize {
    turns.iter().map(|turn| turn.rows.len()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(measures: &[Measure]) -> Request {
        Request {
            measures: measures.to_vec(),
            layouts: vec![Layout::A, Layout::B],
            sizes: vec!["64".parse().expect("a size"), "imix".parse().expect("a size")],
            rounds: 2,
            loss: vec![Offered::Rate(500_000)],
            latency: vec![Offered::Percent(10), Offered::Percent(50)],
            ladder: vec![Offered::Rate(1_000_000), Offered::Rate(2_000_000)],
            rows: 3,
            rows_with_times: vec![0, 2],
            rows_of_ladder: vec![1],
        }
    }

    fn shown(turns: &[Turn]) -> Vec<String> {
        turns.iter().map(|turn| format!("{} {} {:?}", turn.round, turn.cell, turn.rows)).collect()
    }

    #[test]
    fn the_rows_of_a_turn_follow_each_other_and_rounds_come_one_after_the_other() {
        let turns = request(&[Measure::Throughput]).turns();
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
        assert_eq!(shown(&turns), expected);
        assert_eq!(run_count(&turns), 24);
    }

    #[test]
    fn the_ladder_is_in_layout_b_alone_and_of_its_own_rows() {
        let mut request = request(&[Measure::Ladder]);
        request.rounds = 1;
        let turns = request.turns();
        assert_eq!(turns.len(), 4);
        assert!(turns.iter().all(|turn| turn.cell.layout == Layout::B && turn.rows == [1]));
    }

    #[test]
    fn shares_of_a_maximum_are_preceded_by_one_round_that_finds_it() {
        let turns = request(&[Measure::Latency]).turns();
        assert_eq!(turns[0].cell.measure, Measure::Throughput);
        let finding = turns.iter().filter(|turn| turn.cell.measure == Measure::Throughput);
        // Two layouts, two sizes, one round.
        assert_eq!(
            finding.map(|turn| (turn.round, turn.rows.clone())).collect::<Vec<_>>(),
            vec![(1, vec![0, 2]); 4]
        );
    }

    #[test]
    fn throughput_that_was_asked_for_is_not_measured_twice() {
        let turns = request(&[Measure::Latency, Measure::Throughput]).turns();
        let finding = turns.iter().filter(|turn| turn.cell.measure == Measure::Throughput);
        assert_eq!(finding.count(), 8);
        assert_eq!(turns[0].cell.measure, Measure::Throughput);
    }

    #[test]
    fn rates_need_no_maximum() {
        let turns = request(&[Measure::Loss]).turns();
        assert!(turns.iter().all(|turn| turn.cell.measure == Measure::Loss));
        let mut request = request(&[Measure::Loss]);
        request.loss = vec![Offered::Percent(80)];
        assert_eq!(request.turns()[0].rows, [0, 1, 2]);
        assert_eq!(request.turns()[0].cell.measure, Measure::Throughput);
    }

    #[test]
    fn a_measure_without_rows_has_no_turns() {
        let mut request = request(&[Measure::Latency]);
        request.rows_with_times.clear();
        assert!(request.turns().is_empty());
    }
}
