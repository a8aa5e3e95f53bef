//! Limit of the files that undeclared senders may cause within an hour.

use std::time::{Duration, Instant};

const HOUR: Duration = Duration::from_secs(3600);

/// Counts files. An hour begins with the first file after the hour before.
#[derive(Debug)]
pub(super) struct HourlyLimit {
    pub(super) max: u32,
    made: u32,
    /// Time of the first file of the hour.
    since: Option<Instant>,
    is_reported: bool,
}

impl HourlyLimit {
    pub(super) const fn new(max: u32) -> Self {
        Self { max, made: 0, since: None, is_reported: false }
    }

    /// Returns whether another file may be made at this time.
    pub(super) fn has_room(&mut self, now: Instant) -> bool {
        if self.since.is_some_and(|since| now.saturating_duration_since(since) >= HOUR) {
            *self = Self::new(self.max);
        }
        self.made < self.max
    }

    /// Counts a file that was made at this time.
    pub(super) fn count(&mut self, now: Instant) {
        self.made = self.made.saturating_add(1);
        self.since.get_or_insert(now);
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
    fn no_more_files_than_the_limit_are_made_within_an_hour_that_begins_with_a_file() {
        let first = Instant::now();
        let mut limit = HourlyLimit::new(2);
        for (now, expected) in [(first, true), (first + HOUR * 9 / 10, true), (first, false)] {
            assert_eq!(limit.has_room(now), expected);
            limit.count(now);
        }
        assert!(limit.needs_report() && !limit.needs_report());
        assert!(!limit.has_room(first + HOUR * 99 / 100));
        let later = first + HOUR * 3 / 2;
        assert!(limit.has_room(first + HOUR) && limit.needs_report());
        limit.count(later);
        limit.count(later);
        assert!(!limit.has_room(first + 2 * HOUR), "the hour begins with its first file");
        assert!(limit.has_room(later + HOUR));
    }
}
