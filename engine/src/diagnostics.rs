//! Messages for the operator: collected from any thread, and repeated only when they change.

use std::sync::{Arc, Mutex};

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

#[cfg(test)]
mod tests {
    use super::*;

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
