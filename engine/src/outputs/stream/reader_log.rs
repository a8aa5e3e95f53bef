//! Messages about the readers of a stream.

use std::io;
use std::time::Instant;

use crate::diagnostics::{Diagnostics, LogOnChange, LogSummed};

/// Reports what happens to readers, and sums up what others can cause as often as they like.
#[derive(Debug)]
pub(super) struct ReaderLog {
    diagnostics: Diagnostics,
    /// Name of the output.
    name: String,
    /// Last error with new readers.
    errors: LogOnChange,
    /// Readers that were turned away, and those that were disconnected because they took nothing.
    turned_away: LogSummed,
    given_up: LogSummed,
    /// Last error with new queues.
    queue_errors: LogOnChange,
    is_order_reported: bool,
}

impl ReaderLog {
    pub(super) fn new(name: &str, diagnostics: Diagnostics) -> Self {
        Self {
            diagnostics,
            name: name.to_owned(),
            errors: LogOnChange::default(),
            turned_away: LogSummed::default(),
            given_up: LogSummed::default(),
            queue_errors: LogOnChange::default(),
            is_order_reported: false,
        }
    }

    fn report(&self, sentence: Option<String>) {
        if let Some(sentence) = sentence {
            self.diagnostics.push(format!("output `{}` {sentence}", self.name));
        }
    }

    /// Reports the result of accepting or serving a new reader, if it differs from the last one.
    pub(super) fn accepted(&mut self, result: Result<(), String>) {
        let sentence = self.errors.of(result.err());
        self.report(sentence);
    }

    pub(super) fn turned_away(&mut self, reader: &str, reason: &str) {
        let note = format!("turned away {reader}: {reason}");
        let sentence = self.turned_away.of(Instant::now(), &note);
        self.report(sentence);
    }

    /// Reports a reader that was disconnected because it took nothing.
    pub(super) fn given_up(&mut self, reader: &str) {
        let note = format!("disconnected {reader}, which took nothing");
        let sentence = self.given_up.of(Instant::now(), &note);
        self.report(sentence);
    }

    pub(super) fn failed(&self, reader: &str, error: &str) {
        self.report(Some(format!("cannot write to {reader}: {error}")));
    }

    /// Reports the result of attaching to new queues, if it differs from the last one.
    pub(super) fn attached(&mut self, result: io::Result<()>) {
        let sentence = |error| format!("gets nothing from a new queue: {error}");
        let sentence = self.queue_errors.of(result.err().map(sentence));
        self.report(sentence);
    }

    /// Reports once that frames have come out of order.
    pub(super) fn out_of_order(&mut self, frames: u64) {
        if frames > 0 && !std::mem::replace(&mut self.is_order_reported, true) {
            let sentence = "sends frames of a queue after later ones of other queues, as they come later than the order window allows; it counts them";
            self.report(Some(sentence.to_owned()));
        }
    }

    /// Reports what was silent in the last minute.
    pub(super) fn tick(&mut self) {
        let now = Instant::now();
        let more = (self.turned_away.rest_of_minute(now), self.given_up.rest_of_minute(now));
        self.report_more(more);
    }

    /// Reports what is still silent.
    pub(super) fn finish(&mut self) {
        let more = (self.turned_away.rest(), self.given_up.rest());
        self.report_more(more);
    }

    fn report_more(&self, (turned_away, given_up): (Option<u64>, Option<u64>)) {
        self.report(turned_away.map(|count| format!("turned away {count} more")));
        let sentence = |count| format!("disconnected {count} more, which took nothing");
        self.report(given_up.map(sentence));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_out_of_order_are_reported_once() {
        let diagnostics = Diagnostics::default();
        let mut log = ReaderLog::new("tcp", diagnostics.clone());
        for frames in [0, 1, 2] {
            log.out_of_order(frames);
        }
        let said = diagnostics.take();
        assert!(
            matches!(&said[..], [one] if one.starts_with("output `tcp` sends frames of a queue after later ones")),
            "{said:?}"
        );
    }

    #[test]
    fn whoever_is_turned_away_is_reported_once_and_then_summed_up() {
        let diagnostics = Diagnostics::default();
        let mut log = ReaderLog::new("tcp", diagnostics.clone());
        for reader in ["one", "two", "three"] {
            log.turned_away(reader, "no place");
        }
        log.tick();
        assert_eq!(diagnostics.take(), ["output `tcp` turned away one: no place"]);
        log.finish();
        assert_eq!(diagnostics.take(), ["output `tcp` turned away 2 more"]);
    }
}
