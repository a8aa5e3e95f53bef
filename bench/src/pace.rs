//! The schedule of the frames, and waiting for it.

use std::num::NonZeroU64;
use std::str::FromStr;
use std::thread;
use std::time::{Duration, Instant};

/// Time left above which it pays to sleep; below, the timer's slack (50 µs by default, prctl(2)
/// `PR_SET_TIMERSLACK`) and the wake-up would make the frame late.
const SLEEP_ABOVE: Duration = Duration::from_micros(100);

/// Rate of sending. The schedule is absolute, so lateness is made up for and does not add up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pace {
    /// As fast as the sink takes them.
    Full,
    /// This many frames per second.
    PerSecond(NonZeroU64),
    /// As a capture file has them.
    Recorded,
}

impl Pace {
    /// Due time of a frame, counted from the start; `number` counts from 0, `recorded` is its time
    /// in the file.
    #[expect(clippy::cast_possible_truncation, reason = "584 years in nanoseconds fit 64 bits")]
    pub(crate) fn due(self, number: u64, recorded: Duration) -> Duration {
        match self {
            Self::Full => Duration::ZERO,
            Self::Recorded => recorded,
            Self::PerSecond(rate) => Duration::from_nanos(
                (u128::from(number) * 1_000_000_000 / u128::from(rate.get())) as u64,
            ),
        }
    }
}

/// A text that names no pace.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error(
    "`{text}` is no rate: write full, recorded, or frames per second as 2500, 100kpps or 1mpps"
)]
pub struct PaceError {
    text: String,
}

impl FromStr for Pace {
    type Err = PaceError;

    fn from_str(text: &str) -> Result<Self, PaceError> {
        match text {
            "full" => return Ok(Self::Full),
            "recorded" => return Ok(Self::Recorded),
            _ => {}
        }
        let number = text.strip_suffix("pps").unwrap_or(text);
        let (number, factor) = match number.char_indices().last() {
            Some((at, 'k')) => (&number[..at], 1_000),
            Some((at, 'm' | 'M')) => (&number[..at], 1_000_000),
            _ => (number, 1),
        };
        let rate =
            number.parse().ok().and_then(|n: u64| n.checked_mul(factor)).and_then(NonZeroU64::new);
        rate.map(Self::PerSecond).ok_or_else(|| PaceError { text: text.to_owned() })
    }
}

/// Source of the time: the machine's clock, or the schedule itself.
#[derive(Debug)]
pub(crate) enum PaceClock {
    /// Counts from this moment.
    Real(Instant),
    /// Is always on time: a file takes frames whenever they come.
    Virtual(Duration),
}

impl PaceClock {
    pub(crate) fn now(&self) -> Duration {
        match self {
            Self::Real(start) => start.elapsed(),
            Self::Virtual(now) => *now,
        }
    }

    /// Waits until this time and returns the time after the wait.
    pub(crate) fn wait_until(&mut self, due: Duration) -> Duration {
        match self {
            Self::Real(start) => loop {
                let now = start.elapsed();
                if now >= due {
                    return now;
                }
                // Sleeps until shortly before, and spins for the rest.
                match due.saturating_sub(now).checked_sub(SLEEP_ABOVE) {
                    Some(time) if !time.is_zero() => thread::sleep(time),
                    _ => std::hint::spin_loop(),
                }
            },
            Self::Virtual(now) => {
                *now = due.max(*now);
                *now
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(n: u64) -> Pace {
        Pace::PerSecond(NonZeroU64::new(n).expect("not zero"))
    }

    #[test]
    fn rates_are_read_from_text() {
        for (text, pace) in [
            ("full", Pace::Full),
            ("recorded", Pace::Recorded),
            ("2500", rate(2500)),
            ("2500pps", rate(2500)),
            ("100kpps", rate(100_000)),
            ("1m", rate(1_000_000)),
        ] {
            assert_eq!(text.parse(), Ok(pace), "{text}");
        }
        for text in
            ["", "k", "0", "-1", "fast", "1gpps", "99999999999999999999", "18446744073709551615k"]
        {
            assert!(text.parse::<Pace>().is_err(), "{text}");
        }
        assert_eq!(
            "fast".parse::<Pace>().expect_err("no rate").to_string(),
            "`fast` is no rate: write full, recorded, or frames per second as 2500, 100kpps or 1mpps"
        );
    }

    #[test]
    fn a_rate_that_divides_no_second_evenly_does_not_drift() {
        assert_eq!(rate(3).due(3_000_000_000, Duration::ZERO), Duration::from_secs(1_000_000_000));
        assert_eq!(rate(3).due(1, Duration::ZERO), Duration::from_nanos(333_333_333));
    }

    #[test]
    fn waiting_never_ends_early() {
        let mut clock = PaceClock::Real(Instant::now());
        for due in [1, 90, 300, 1500].map(Duration::from_micros) {
            assert!(clock.wait_until(due) >= due);
        }
    }
}
