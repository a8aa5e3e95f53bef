//! Medians, spreads, and ratios of the values of the same round.

use serde::Serialize;

/// Distribution of the values of several rounds, in the unit of the values.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub(crate) struct Spread {
    /// Number of values, at least 1.
    pub(crate) count: usize,
    /// Half of the values are not above; the mean of the middle two of an even number.
    pub(crate) median: f64,
    /// Smallest.
    pub(crate) min: f64,
    /// Largest.
    pub(crate) max: f64,
    /// A quarter of the values are not above.
    pub(crate) lower_quartile: f64,
    /// Three quarters of the values are not above.
    pub(crate) upper_quartile: f64,
}

impl Spread {
    /// Returns the spread of `values`, or `None` when there are none.
    pub(crate) fn of(values: &[f64]) -> Option<Self> {
        let mut sorted = values.to_vec();
        sorted.sort_by(f64::total_cmp);
        let (&min, &max) = (sorted.first()?, sorted.last()?);
        Some(Self {
            count: sorted.len(),
            median: quantile(&sorted, 2),
            min,
            max,
            lower_quartile: quantile(&sorted, 1),
            upper_quartile: quantile(&sorted, 3),
        })
    }
}

/// The value below which `quarters` quarters of the sorted, non-empty values lie, interpolated
/// between neighbours.
fn quantile(sorted: &[f64], quarters: usize) -> f64 {
    let link = (sorted.len() - 1) * quarters;
    let (index, rest) = (link / 4, link % 4);
    let low = sorted[index];
    let high = sorted[(index + 1).min(sorted.len() - 1)];
    let share = [0.0, 0.25, 0.5, 0.75][rest];
    low + (high - low) * share
}

/// A value with the round that it was measured in.
pub(crate) type InRound = (u32, f64);

/// Returns `row / reference` for every round that has both; rounds whose reference is 0 have no
/// ratio.
///
/// Noise on the machine affects both values of a round, so that these ratios carry over better than
/// the values.
pub(crate) fn same_round_ratios(row: &[InRound], reference: &[InRound]) -> Vec<f64> {
    let mut ratios = Vec::new();
    for &(round, value) in row {
        let same = reference.iter().find(|&&(other, base)| other == round && base > 0.0);
        ratios.extend(same.map(|&(_, base)| value / base));
    }
    ratios
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_median_of_an_even_number_is_the_mean_of_the_middle_two() {
        let spread = Spread::of(&[4.0, 1.0, 3.0, 2.0]).expect("four values");
        assert!((spread.median - 2.5).abs() < 1e-12);
        let spread = Spread::of(&[5.0, 1.0, 3.0]).expect("three values");
        assert!((spread.median - 3.0).abs() < 1e-12);
    }

    #[test]
    fn the_quartiles_of_five_rounds_are_the_second_and_the_fourth() {
        let spread = Spread::of(&[50.0, 10.0, 40.0, 20.0, 30.0]).expect("five values");
        let found =
            (spread.count, spread.min, spread.lower_quartile, spread.upper_quartile, spread.max);
        assert_eq!(found, (5, 10.0, 20.0, 40.0, 50.0));
    }

    #[test]
    fn no_value_has_no_spread() {
        assert_eq!(Spread::of(&[]), None);
    }

    #[test]
    fn ratios_are_taken_within_a_round_only() {
        // The machine is half as fast in round 2: the ratio stays.
        let row = [(1, 3.0), (2, 1.5), (3, 9.0)];
        let reference = [(2, 0.5), (1, 1.0), (4, 7.0)];
        assert_eq!(same_round_ratios(&row, &reference), [3.0, 3.0]);
    }

    #[test]
    fn a_reference_that_delivered_nothing_gives_no_ratio() {
        assert!(same_round_ratios(&[(1, 3.0)], &[(1, 0.0)]).is_empty());
    }

    proptest! {
        #[test]
        fn a_spread_is_in_order(values in proptest::collection::vec(-1e9..1e9f64, 1..40)) {
            let s = Spread::of(&values).expect("not empty");
            prop_assert!(s.min <= s.lower_quartile && s.lower_quartile <= s.median);
            prop_assert!(s.median <= s.upper_quartile && s.upper_quartile <= s.max);
        }
    }
}
