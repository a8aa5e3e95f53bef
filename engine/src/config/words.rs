//! Settings whose values are words.

/// A setting that is written as one of a few words.
pub(super) trait Word: Copy + PartialEq + 'static {
    /// Every value with its word.
    const WORDS: &'static [(&'static str, Self)];
}

/// Returns the word of a value.
pub(super) fn word_of<W: Word>(value: W) -> &'static str {
    W::WORDS.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

/// Returns the words of a setting as a sentence has them: `"a", "b" or "c"`.
pub(super) fn words_of<W: Word>() -> String {
    let quoted: Vec<_> = W::WORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}
