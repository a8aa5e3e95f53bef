//! Limit of the files that undeclared senders may cause within an hour.

use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// Counts files, and begins anew every hour.
#[derive(Debug)]
pub(super) struct HourlyLimit {
    pub(super) max: u32,
    made: u32,
    since: Instant,
    is_reported: bool,
}

impl HourlyLimit {
    pub(super) const fn new(max: u32, now: Instant) -> Self {
        Self { max, made: 0, since: now, is_reported: false }
    }

    /// Returns whether another file may be made at this time.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.since) >= HOUR {
            *self = Self::new(self.max, now);
        }
        self.made < self.max
    }

    /// Counts a file.
    pub(super) const fn count(&mut self) {
        self.made = self.made.saturating_add(1);
    }

    /// Returns `true` the first time within an hour.
    pub(super) const fn needs_report(&mut self) -> bool {
        !std::mem::replace(&mut self.is_reported, true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_more_files_than_the_limit_are_made_within_an_hour() {
        let start = Instant::now();
        let mut limit = HourlyLimit::new(2, start);
        for expected in [true, true, false] {
            assert_eq!(limit.has_room(start), expected);
            limit.count();
        }
        assert!(limit.needs_report() && !limit.needs_report());
        assert!(!limit.has_room(start + HOUR * 9 / 10));
        assert!(limit.has_room(start + HOUR) && limit.needs_report());
    }
}
