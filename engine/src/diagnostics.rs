//! Messages for the operator: collected from any thread, and repeated only when they change.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::sys::lock;

/// Messages for the operator, from any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics(Arc<Mutex<Vec<String>>>);

impl Diagnostics {
    pub(crate) fn push(&self, note: String) {
        lock(&self.0).push(note);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut lock(&self.0))
    }
}

/// Remembers the last message about something that is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct LogOnChange(Option<String>);

impl LogOnChange {
    /// Returns the message of the latest try if it differs from the last one. `None` stands for
    /// success; the next message is returned then in any case.
    pub(crate) fn of(&mut self, sentence: Option<String>) -> Option<String> {
        let is_known = self.0 == sentence;
        self.0.clone_from(&sentence);
        sentence.filter(|_| !is_known)
    }
}

/// Shortest time between two messages about events of one kind.
const SUM_INTERVAL: Duration = Duration::from_secs(60);

/// Sums up events of one kind that others can cause as often as they like.
#[derive(Debug, Default)]
pub(crate) struct LogSummed {
    last: Option<Instant>,
    /// Events since the last message.
    silent: u64,
}

impl LogSummed {
    /// Counts an event. Returns the message about it if it is the first one, or if the last message
    /// is a minute old; then with the number of events in between.
    pub(crate) fn of(&mut self, now: Instant, sentence: &str) -> Option<String> {
        let since = self.last.map(|last| now.saturating_duration_since(last));
        if since.is_some_and(|since| since < SUM_INTERVAL) {
            self.silent += 1;
            return None;
        }
        self.last = Some(now);
        let before =
            self.rest().map_or_else(String::new, |count| format!("; before that, {count} more"));
        Some(format!("{sentence}{before}"))
    }

    /// Returns [the rest](Self::rest) once the last message is a minute old.
    pub(crate) fn rest_of_minute(&mut self, now: Instant) -> Option<u64> {
        let is_over =
            self.last.is_none_or(|last| now.saturating_duration_since(last) >= SUM_INTERVAL);
        let rest = is_over.then(|| self.rest()).flatten();
        self.last = rest.map(|_| now).or(self.last);
        rest
    }

    /// Returns the number of events that no message was about, if there are any, and forgets them.
    pub(crate) fn rest(&mut self) -> Option<u64> {
        Some(std::mem::take(&mut self.silent)).filter(|count| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_events_in_a_row_the_first_is_told_and_then_their_number() {
        let mut log = LogSummed::default();
        let start = Instant::now();
        let mut of = |seconds| log.of(start + Duration::from_secs(seconds), "one");
        assert_eq!(of(0).as_deref(), Some("one"));
        assert_eq!([of(1), of(59)], [None, None]);
        assert_eq!(of(61).as_deref(), Some("one; before that, 2 more"));
        assert_eq!(of(121).as_deref(), Some("one"));
        assert_eq!(of(122), None);
        assert_eq!((log.rest(), log.rest()), (Some(1), None));
    }

    #[test]
    fn the_number_is_told_after_a_minute_also_if_nothing_more_happens() {
        let mut log = LogSummed::default();
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(log.rest_of_minute(start), None);
        assert_eq!(log.of(at(0), "one").as_deref(), Some("one"));
        assert_eq!([1, 2].map(|seconds| log.of(at(seconds), "one")), [None, None]);
        assert_eq!([59, 60, 61].map(|it| log.rest_of_minute(at(it))), [None, Some(2), None]);
        assert_eq!(log.of(at(62), "one"), None, "two messages in a minute are too many");
    }

    #[test]
    fn a_message_is_returned_once_until_another_one_comes() {
        let mut log = LogOnChange::default();
        let mut of =
            |sentence: &str| log.of((!sentence.is_empty()).then(|| sentence.to_owned())).is_some();
        assert_eq!(
            ["a", "a", "b", "a", "", "a"].map(&mut of),
            [true, false, true, true, false, true]
        );
    }
}
