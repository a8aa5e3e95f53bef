//! Rust code on one line, spaced as in sources.

use quote::ToTokens;
use syn::Attribute;

/// Returns the code of a part of the sources on one line.
pub(crate) fn code(tokens: &impl ToTokens) -> String {
    let mut text = tokens.to_token_stream().to_string().replace('\n', " ");
    for (from, to) in [
        (" ,", ","),
        (" ;", ";"),
        (" :: ", "::"),
        (":: ", "::"),
        (" ::", "::"),
        (" :", ":"),
        (" < ", "<"),
        ("< ", "<"),
        (" >", ">"),
        ("& ", "&"),
        ("? ", "?"),
        ("# [", "#["),
        ("* const", "*const"),
        ("* mut", "*mut"),
        (",)", ")"),
        (",>", ">"),
    ] {
        text = text.replace(from, to);
    }
    // An argument list follows its name without a space; a tuple follows something else.
    let mut spaced = String::with_capacity(text.len());
    for (index, c) in text.char_indices() {
        let is_name = |c: char| c.is_alphanumeric() || c == '_' || c == '>';
        let before = text[..index].chars().next_back();
        if c == ' ' && text[index + 1..].starts_with('(') && before.is_some_and(is_name) {
            let word = text[..index].rsplit(|c: char| !is_name(c)).next().unwrap_or_default();
            if !["->", ">", "in", "mut", "dyn", "impl"].contains(&word)
                && !text[..index].ends_with("->")
            {
                continue;
            }
        }
        spaced.push(c);
    }
    spaced
}

/// Returns the attributes that are part of the API, each with a space behind it.
pub(crate) fn attributes(attributes: &[Attribute]) -> String {
    let is_shown = |attribute: &&Attribute| {
        ["derive", "non_exhaustive", "must_use", "cfg", "repr", "default"]
            .iter()
            .any(|name| attribute.path().is_ident(name))
    };
    attributes
        .iter()
        .filter(is_shown)
        .fold(String::new(), |text, attribute| text + "#[" + &code(&attribute.meta) + "] ")
}
