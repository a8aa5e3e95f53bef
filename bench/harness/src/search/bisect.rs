//! The next rate to try: between the highest that lost nothing and the lowest that lost.

/// Halves the interval until it is narrow, or the trials are used up. Rates are in frames per
/// second.
///
/// A trial may lose frames for an unrelated reason (RFC 2544 section 26.1 has the same weakness),
/// so the answer is a rate at which nothing was lost, not one above which frames must be lost.
#[derive(Debug)]
pub(super) struct Bisection {
    /// Highest rate without loss so far; 0: none yet.
    good: u64,
    /// Frames were lost at this rate; `None`: not known yet.
    bad: Option<u64>,
    /// First rate to try, the highest of interest.
    highest: u64,
    /// Width of the interval that is narrow enough.
    resolution: u64,
    trials_left: u32,
    /// The generator came 2 percent or more short of a rate without loss.
    generator_limits: bool,
}

impl Bisection {
    /// A search between 0 and `highest`, which is tried first, in at most `trials` trials.
    pub(super) fn new(highest: u64, resolution: u64, trials: u32) -> Self {
        let resolution = resolution.max(1);
        Self {
            good: 0,
            bad: None,
            highest,
            resolution,
            trials_left: trials,
            generator_limits: false,
        }
    }

    /// The rate of the next trial, or `None` when the search is over.
    pub(super) fn next(&self) -> Option<u64> {
        if self.trials_left == 0 || self.generator_limits {
            return None;
        }
        let Some(bad) = self.bad else { return (self.good < self.highest).then_some(self.highest) };
        let width = bad - self.good;
        (width > self.resolution).then(|| self.good + width / 2)
    }

    /// Records that the trial at `rate` lost nothing. If the generator came no further than
    /// `reached`, no higher rate is known to be free of loss, and the search is over.
    pub(super) fn lost_nothing(&mut self, rate: u64, reached: u64) {
        self.trials_left = self.trials_left.saturating_sub(1);
        self.good = self.good.max(rate.min(reached));
        if reached < rate - rate / 50 {
            self.generator_limits = true;
        }
    }

    /// Returns whether the search ended because the generator is not faster.
    pub(super) const fn generator_limits(&self) -> bool {
        self.generator_limits
    }

    /// Records that the trial at `rate` lost frames. If the generator came no further than
    /// `reached`, the search goes on below that.
    pub(super) fn lost_some(&mut self, rate: u64, reached: u64) {
        self.trials_left = self.trials_left.saturating_sub(1);
        let bad = rate.min(reached).max(self.good + 1);
        self.bad = Some(self.bad.map_or(bad, |known| known.min(bad)));
    }

    /// The highest rate that lost nothing; `None` when none did.
    pub(super) fn found(&self) -> Option<u64> {
        (self.good > 0).then_some(self.good)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Searches with a simulated loss at every rate above `limit`; returns the answer and the
    /// number of trials.
    fn search(limit: u64, highest: u64, resolution: u64, trials: u32) -> (Option<u64>, u32) {
        let mut bisection = Bisection::new(highest, resolution, trials);
        let mut count = 0;
        while let Some(rate) = bisection.next() {
            count += 1;
            assert!(rate > 0 && rate <= highest);
            if rate <= limit {
                bisection.lost_nothing(rate, rate);
            } else {
                bisection.lost_some(rate, rate);
            }
        }
        (bisection.found(), count)
    }

    #[test]
    fn a_receiver_that_loses_nothing_needs_one_trial() {
        assert_eq!(search(9_000_000, 6_000_000, 10_000, 20), (Some(6_000_000), 1));
    }

    #[test]
    fn a_receiver_that_always_loses_has_no_rate() {
        assert_eq!(search(0, 6_000_000, 10_000, 20).0, None);
    }

    #[test]
    fn the_trials_are_bounded() {
        assert_eq!(search(1_234_567, 6_000_000, 1, 5).1, 5);
    }

    #[test]
    fn a_generator_that_is_slower_than_asked_does_not_waste_trials() {
        let mut bisection = Bisection::new(14_000_000, 1000, 20);
        bisection.lost_some(14_000_000, 2_000_000);
        assert_eq!(bisection.next(), Some(1_000_000));
    }

    #[test]
    fn no_rate_is_claimed_that_the_generator_did_not_reach() {
        let mut bisection = Bisection::new(14_000_000, 1000, 20);
        bisection.lost_nothing(14_000_000, 3_700_000);
        assert_eq!((bisection.next(), bisection.found()), (None, Some(3_700_000)));
        assert!(bisection.generator_limits());
    }

    #[test]
    fn a_trial_that_reached_less_than_what_was_good_does_not_turn_the_interval_around() {
        let mut bisection = Bisection::new(4_000_000, 1000, 20);
        bisection.lost_some(4_000_000, 4_000_000);
        bisection.lost_nothing(2_000_000, 2_000_000);
        bisection.lost_some(3_000_000, 1_500_000);
        assert_eq!((bisection.next(), bisection.found()), (None, Some(2_000_000)));
    }

    proptest! {
        #[test]
        fn the_answer_is_within_the_resolution(limit in 0..8_000_000u64, resolution in 1000..100_000u64) {
            let (found, _) = search(limit, 8_000_000, resolution, 64);
            let found = found.unwrap_or(0);
            prop_assert!(found <= limit && limit - found <= resolution);
        }
    }
}
