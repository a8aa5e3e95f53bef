//! Settings whose values are keywords.

/// A setting that is written as one of a few keywords.
pub(super) trait Keyword: Copy + PartialEq + 'static {
    /// Every value with its keyword.
    const KEYWORDS: &'static [(&'static str, Self)];
}

/// Returns the keyword of a value.
pub(super) fn keyword_of<W: Keyword>(value: W) -> &'static str {
    W::KEYWORDS.iter().find(|(_, other)| *other == value).map_or("", |(word, _)| word)
}

/// Returns the keywords of a setting for a sentence: `"a", "b" or "c"`.
pub(super) fn keyword_list<W: Keyword>() -> String {
    let quoted: Vec<_> = W::KEYWORDS.iter().map(|(word, _)| format!("{word:?}")).collect();
    match quoted.as_slice() {
        [] => String::new(),
        [only] => only.clone(),
        [init @ .., last] => format!("{} or {last}", init.join(", ")),
    }
}
