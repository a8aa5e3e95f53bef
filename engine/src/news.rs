//! What goes wrong again and again is said once.

/// What was said last of something that is tried again and again.
#[derive(Debug, Default)]
pub(crate) struct News(Option<String>);

impl News {
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
        let mut news = News::default();
        let mut of =
            |sentence: &str| news.of((!sentence.is_empty()).then(|| sentence.to_owned())).is_some();
        assert_eq!(
            ["a", "a", "b", "a", "", "a"].map(&mut of),
            [true, false, true, true, false, true]
        );
    }
}
