//! Messages for the operator: collected from any thread, and repeated only when they change.

use std::sync::{Arc, Mutex, PoisonError};

/// Sentences for the operator, from any thread.
#[derive(Clone, Debug, Default)]
pub(crate) struct Diagnostics(Arc<Mutex<Vec<String>>>);

impl Diagnostics {
    pub(crate) fn push(&self, note: String) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(note);
    }

    pub(crate) fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// What was said last of something that is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct LogOnChange(Option<String>);

impl LogOnChange {
    /// What came of a try: the sentence, if it is not what was said last. `None`: it went well, and
    /// whatever comes next is news.
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
    fn a_sentence_is_news_once_until_something_else_comes() {
        let mut news = LogOnChange::default();
        let mut of =
            |sentence: &str| news.of((!sentence.is_empty()).then(|| sentence.to_owned())).is_some();
        assert_eq!(
            ["a", "a", "b", "a", "", "a"].map(&mut of),
            [true, false, true, true, false, true]
        );
    }
}
