//! Notices steps of the host's clock, so that the age of files does not follow them.

use std::time::{Duration, SystemTime};

use rustix::time::{ClockId, clock_gettime};

/// Smallest difference that counts as a step. NTP slews smaller ones.
const STEP_MIN: Duration = Duration::from_secs(10);
/// Largest number of steps that are remembered: the latest.
const STEPS_MAX: usize = 64;

/// The steps of the host's clock since the start.
#[derive(Debug)]
pub(super) struct ClockSteps {
    /// The host's clock and the time since boot, at the last look.
    last: (SystemTime, Duration),
    steps: Vec<Step>,
}

/// A step of the clock into the future that was not taken back.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Latest time that the clock can have shown before it.
    until: SystemTime,
    forward: Duration,
}

impl ClockSteps {
    pub(super) fn new() -> Self {
        Self { last: (SystemTime::now(), since_boot()), steps: Vec::new() }
    }

    /// Looks at the clocks; to be called every few seconds. Returns the host's clock.
    pub(super) fn look(&mut self) -> SystemTime {
        let now = SystemTime::now();
        self.looked(now, since_boot());
        now
    }

    fn looked(&mut self, now: SystemTime, since_boot: Duration) {
        let (before, boot_before) = std::mem::replace(&mut self.last, (now, since_boot));
        let expected = before + since_boot.saturating_sub(boot_before);
        let forward = now.duration_since(expected).unwrap_or_default();
        let mut backward = expected.duration_since(now).unwrap_or_default();
        if forward.max(backward) < STEP_MIN {
            return;
        }
        while backward > Duration::ZERO
            && let Some(mut step) = self.steps.pop()
        {
            let taken_back = step.forward.min(backward);
            backward -= taken_back;
            step.forward -= taken_back;
            self.steps.extend(Some(step).filter(|step| step.forward > Duration::ZERO));
        }
        if forward > Duration::ZERO {
            if self.steps.len() == STEPS_MAX {
                self.steps.remove(0);
            }
            self.steps.push(Step { until: expected, forward });
        }
    }

    /// Returns the time since `modified_at`, without the steps of the clock since then; zero for a
    /// time that is to come. It is never more than has passed.
    pub(super) fn age(&self, modified_at: SystemTime, now: SystemTime) -> Duration {
        let later = self.steps.iter().filter(|step| modified_at <= step.until);
        let stepped: Duration = later.map(|step| step.forward).sum();
        now.duration_since(modified_at).unwrap_or_default().saturating_sub(stepped)
    }
}

fn since_boot() -> Duration {
    Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_as_old_as_the_time_that_has_passed_whatever_the_clock_did() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let boot = Duration::from_secs;
        let mut clock = ClockSteps { last: (at(100), boot(1)), steps: Vec::new() };
        let year = 366 * 24 * 3600;
        // Written at 100; a year is skipped at 110 and taken back at 120.
        clock.looked(at(110), boot(11));
        assert_eq!(clock.age(at(100), at(110)), boot(10));
        clock.looked(at(120 + year), boot(21));
        assert_eq!(clock.age(at(100), at(120 + year)), boot(20));
        assert_eq!(clock.age(at(114), at(120 + year)), boot(6), "written just before the step");
        assert_eq!(clock.age(at(115 + year), at(120 + year)), boot(5), "written after the step");
        clock.looked(at(130), boot(31));
        assert_eq!(clock.age(at(100), at(130)), boot(30));
        assert_eq!(clock.age(at(115 + year), at(130)), boot(0), "from a time to come");
        assert_eq!(clock.age(at(125), at(130)), boot(5));
        clock.looked(at(145), boot(41));
        assert_eq!(clock.steps.len(), 0, "small differences are no steps");
    }
}
