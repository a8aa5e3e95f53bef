//! Noise of a measurement: time that a virtual machine's hypervisor took away, and other processes.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::proc_stat::Ticks;

/// Time that was taken from a run, in percent of the time of its two CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Noise {
    /// Steal time: the hypervisor ran something else.
    pub(crate) steal_percent: f64,
    /// User time of other processes. Their time in the kernel is not included: it cannot be told
    /// from that of receiving.
    pub(crate) others_percent: f64,
}

impl Noise {
    /// Sum of the two.
    pub(crate) fn percent(&self) -> f64 {
        self.steal_percent + self.others_percent
    }

    /// Computes the noise from the ticks that passed on the CPUs. The receiver has `own_user` ticks
    /// of the user time; the generator works in the kernel alone, except for making its frames.
    #[expect(clippy::cast_precision_loss, reason = "ticks of a run, far below 2^52")]
    fn of(passed: Ticks, own_user: u64) -> Self {
        if passed.total == 0 {
            return Self::default();
        }
        let percent = |ticks: u64| ticks as f64 * 100.0 / passed.total as f64;
        let others = passed.user.saturating_sub(own_user);
        Self { steal_percent: percent(passed.steal), others_percent: percent(others) }
    }
}

/// Watches the CPUs that the measurement runs on.
#[derive(Debug)]
pub(crate) struct NoiseMeter<'a> {
    cpus: &'a [usize],
    start: Ticks,
}

impl<'a> NoiseMeter<'a> {
    /// Starts watching.
    ///
    /// # Errors
    /// As [`Ticks::now`].
    pub(crate) fn start(cpus: &'a [usize]) -> Result<Self> {
        Ok(Self { cpus, start: Ticks::now(cpus)? })
    }

    /// Returns the noise since the start; the receiver's user time in that period was `own_user`
    /// ticks.
    ///
    /// # Errors
    /// As [`Ticks::now`].
    pub(crate) fn end(&self, own_user: u64) -> Result<Noise> {
        Ok(Noise::of(Ticks::now(self.cpus)?.since(self.start), own_user))
    }
}

/// Decision about a measured iteration.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RepeatDecision {
    /// The attempt counts.
    Keep,
    /// Noise is above the limit: the iteration is measured again.
    Repeat,
    /// Noise is above the limit in this attempt and in every repetition: the least noisy attempt
    /// counts.
    GiveUp,
}

/// Decides by the noise in percent of each attempt so far, the latest last. `repeats` attempts more
/// than the first are allowed.
pub(crate) fn decide(attempts: &[f64], limit: f64, repeats: usize) -> RepeatDecision {
    match attempts.last() {
        Some(&latest) if latest > limit && attempts.len() <= repeats => RepeatDecision::Repeat,
        Some(&latest) if latest > limit => RepeatDecision::GiveUp,
        _ => RepeatDecision::Keep,
    }
}

/// Index of the least noisy attempt; of equals, the first. `None` without attempts.
pub(crate) fn least_noisy(attempts: &[f64]) -> Option<usize> {
    (0..attempts.len()).min_by(|&a, &b| attempts[a].total_cmp(&attempts[b]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_share_of_all_time_of_the_cpus() {
        let passed = Ticks { steal: 6, total: 600, ..Ticks::default() };
        assert_eq!(Noise::of(passed, 0), Noise { steal_percent: 1.0, others_percent: 0.0 });
        assert_eq!(Noise::of(Ticks::default(), 0), Noise::default());
    }

    #[test]
    fn user_time_that_is_not_the_receivers_is_that_of_others() {
        let passed = Ticks { user: 250, steal: 5, total: 500, ..Ticks::default() };
        let found = Noise::of(passed, 200);
        assert_eq!(found, Noise { steal_percent: 1.0, others_percent: 10.0 });
        assert!((found.percent() - 11.0).abs() < 1e-9);
        // The receiver's own time is scaled by the kernel and may be a little above the ticks.
        assert!(Noise::of(passed, 260).others_percent.abs() < 1e-9);
    }

    #[test]
    fn an_iteration_without_noise_is_kept() {
        assert_eq!(decide(&[0.5], 2.0, 2), RepeatDecision::Keep);
        assert_eq!(decide(&[9.0, 2.0], 2.0, 2), RepeatDecision::Keep);
    }

    #[test]
    fn a_noisy_iteration_is_repeated_a_bounded_number_of_times() {
        assert_eq!(decide(&[9.0], 2.0, 2), RepeatDecision::Repeat);
        assert_eq!(decide(&[9.0, 8.0], 2.0, 2), RepeatDecision::Repeat);
        assert_eq!(decide(&[9.0, 8.0, 8.5], 2.0, 2), RepeatDecision::GiveUp);
        assert_eq!(decide(&[9.0], 2.0, 0), RepeatDecision::GiveUp);
    }

    #[test]
    fn of_noisy_iterations_the_least_noisy_counts() {
        assert_eq!(least_noisy(&[9.0, 8.0, 8.5]), Some(1));
        assert_eq!(least_noisy(&[3.0, 3.0]), Some(0));
        assert_eq!(least_noisy(&[]), None);
    }
}
