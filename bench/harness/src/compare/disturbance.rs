//! What disturbs a measurement: time that a virtual machine's hypervisor took away, and other
//! processes.

use anyhow::Result;
use serde::{Deserialize, Serialize};

use super::proc_stat::Ticks;

/// Time that was taken from a run, in percent of the time of its two CPUs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Disturbance {
    /// Steal time: the hypervisor ran something else.
    pub(crate) steal_percent: f64,
    /// User time of other processes. What they do in the kernel is not seen: it cannot be told from
    /// receiving.
    pub(crate) others_percent: f64,
}

impl Disturbance {
    /// Both together.
    pub(crate) fn percent(&self) -> f64 {
        self.steal_percent + self.others_percent
    }

    /// Makes it out of what passed on the CPUs. The receiver has `own_user` ticks of the user time;
    /// the generator works in the kernel alone, but for the making of its frames.
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
pub(crate) struct Watch<'a> {
    cpus: &'a [usize],
    start: Ticks,
}

impl<'a> Watch<'a> {
    /// Starts watching.
    ///
    /// # Errors
    /// As [`Ticks::now`].
    pub(crate) fn start(cpus: &'a [usize]) -> Result<Self> {
        Ok(Self { cpus, start: Ticks::now(cpus)? })
    }

    /// What disturbed since the start; the receiver's user time meanwhile was `own_user` ticks.
    ///
    /// # Errors
    /// As [`Ticks::now`].
    pub(crate) fn end(&self, own_user: u64) -> Result<Disturbance> {
        Ok(Disturbance::of(Ticks::now(self.cpus)?.since(self.start), own_user))
    }
}

/// What to do with a turn of all rows that has been measured.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Decision {
    /// It counts.
    Keep,
    /// Too much was taken from it: it is measured again.
    Repeat,
    /// Too much was taken from it, and again from every repetition: the least disturbed turn
    /// counts.
    GiveUp,
}

/// Decides by the disturbance in percent of each attempt so far, the latest last. `repeats` more
/// than the first attempt are allowed.
pub(crate) fn decide(attempts: &[f64], limit: f64, repeats: usize) -> Decision {
    match attempts.last() {
        Some(&latest) if latest > limit && attempts.len() <= repeats => Decision::Repeat,
        Some(&latest) if latest > limit => Decision::GiveUp,
        _ => Decision::Keep,
    }
}

/// The least disturbed attempt; of equals, the first. `None` without attempts.
pub(crate) fn calmest(attempts: &[f64]) -> Option<usize> {
    (0..attempts.len()).min_by(|&a, &b| attempts[a].total_cmp(&attempts[b]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steal_is_a_share_of_all_time_of_the_cpus() {
        let passed = Ticks { steal: 6, total: 600, ..Ticks::default() };
        assert_eq!(
            Disturbance::of(passed, 0),
            Disturbance { steal_percent: 1.0, others_percent: 0.0 }
        );
        assert_eq!(Disturbance::of(Ticks::default(), 0), Disturbance::default());
    }

    #[test]
    fn user_time_that_is_not_the_receivers_is_that_of_others() {
        let passed = Ticks { user: 250, steal: 5, total: 500, ..Ticks::default() };
        let found = Disturbance::of(passed, 200);
        assert_eq!(found, Disturbance { steal_percent: 1.0, others_percent: 10.0 });
        assert!((found.percent() - 11.0).abs() < 1e-9);
        // The receiver's own time is scaled by the kernel and may be a little above the ticks.
        assert!(Disturbance::of(passed, 260).others_percent.abs() < 1e-9);
    }

    #[test]
    fn a_calm_turn_is_kept() {
        assert_eq!(decide(&[0.5], 2.0, 2), Decision::Keep);
        assert_eq!(decide(&[9.0, 2.0], 2.0, 2), Decision::Keep);
    }

    #[test]
    fn a_disturbed_turn_is_repeated_a_bounded_number_of_times() {
        assert_eq!(decide(&[9.0], 2.0, 2), Decision::Repeat);
        assert_eq!(decide(&[9.0, 8.0], 2.0, 2), Decision::Repeat);
        assert_eq!(decide(&[9.0, 8.0, 8.5], 2.0, 2), Decision::GiveUp);
        assert_eq!(decide(&[9.0], 2.0, 0), Decision::GiveUp);
    }

    #[test]
    fn of_disturbed_turns_the_calmest_counts() {
        assert_eq!(calmest(&[9.0, 8.0, 8.5]), Some(1));
        assert_eq!(calmest(&[3.0, 3.0]), Some(0));
        assert_eq!(calmest(&[]), None);
    }
}
