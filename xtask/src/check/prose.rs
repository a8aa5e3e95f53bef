//! Rules for prose: its width, and the first word of each sentence.

use super::Finding;

/// Widest line, in characters.
const COLUMNS: usize = 100;

/// Words that begin a question, and no sentence of ours.
const QUESTION_WORDS: [&str; 9] =
    ["What", "Whether", "Where", "Who", "Whoever", "Whose", "Whom", "Which", "How"];

/// Languages, by their comments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Language {
    /// All of it is prose.
    Markdown,
    /// Comments after `//`, or from `/*` to `*/`: Rust and C.
    Slashes,
    /// Comments after `#`: TOML and shell.
    Hashes,
    /// Comments after `#`, and documentation strings.
    Python,
}

impl Language {
    /// Returns the language of a file, or `None` when its prose is not checked.
    pub(super) fn of(path: &str) -> Option<Self> {
        let (_, extension) = path.rsplit_once('.')?;
        match extension {
            "md" => Some(Self::Markdown),
            "rs" | "c" | "h" => Some(Self::Slashes),
            "toml" | "sh" | "yml" => Some(Self::Hashes),
            "py" => Some(Self::Python),
            _ => None,
        }
    }
}

/// Checks a file's text.
pub(super) fn check(text: &str, language: Language) -> Vec<Finding> {
    let mut comments = Comments { language, inside: false };
    let mut blocks = Blocks::default();
    let mut sentence = Sentence::default();
    let mut findings = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        let Some(prose) = comments.prose(text) else {
            blocks = Blocks::default();
            sentence = Sentence::default();
            continue;
        };
        let kind = blocks.kind(prose);
        let columns = text.chars().count();
        if columns > COLUMNS && matches!(kind, Kind::Begin | Kind::Continue) && !is_link(prose) {
            findings.push(Finding {
                line,
                message: format!("{columns} columns; {COLUMNS} are allowed"),
            });
        }
        let parts = match kind {
            Kind::Table => prose.split('|').collect(),
            Kind::Begin | Kind::Continue => vec![prose],
            Kind::Code | Kind::Blank => Vec::new(),
        };
        for part in parts {
            if kind != Kind::Continue {
                sentence = Sentence::default();
            }
            findings.extend(sentence.read(part).into_iter().map(|word| Finding {
                line,
                message: format!("a sentence begins with \"{word}\""),
            }));
        }
    }
    findings
}

/// Finds the comments of a file, line by line.
#[derive(Debug)]
struct Comments {
    language: Language,
    /// The line is inside `/* */` or a documentation string.
    inside: bool,
}

impl Comments {
    /// Returns the prose of a line, or `None` when there is none.
    fn prose<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        let trimmed = line.trim_start();
        match self.language {
            Language::Markdown => Some(line),
            Language::Slashes => self.slashes(trimmed),
            Language::Hashes => hashes(trimmed),
            Language::Python => self.python(trimmed),
        }
    }

    fn slashes<'a>(&mut self, trimmed: &'a str) -> Option<&'a str> {
        if !self.inside {
            if let Some(comment) = trimmed.strip_prefix("//") {
                return Some(after_marker(comment.strip_prefix(['/', '!']).unwrap_or(comment)));
            }
            if !trimmed.starts_with("/*") {
                return None;
            }
            self.inside = true;
        }
        self.inside = !trimmed.contains("*/");
        let prose = trimmed.trim_start_matches(['/', '*', '!']);
        Some(after_marker(prose.trim_end_matches('/').trim_end_matches('*')))
    }

    fn python<'a>(&mut self, trimmed: &'a str) -> Option<&'a str> {
        const QUOTES: &str = "\"\"\"";
        let is_outer = trimmed.starts_with(QUOTES) || (self.inside && trimmed.ends_with(QUOTES));
        if !self.inside && !is_outer {
            return hashes(trimmed);
        }
        if trimmed.matches(QUOTES).count() == 1 {
            self.inside = !self.inside;
        }
        Some(trimmed.trim_matches('"'))
    }
}

fn hashes(trimmed: &str) -> Option<&str> {
    let comment = trimmed.strip_prefix('#').filter(|comment| !comment.starts_with('!'))?;
    Some(after_marker(comment))
}

/// Removes the space after the marker of a comment.
fn after_marker(comment: &str) -> &str {
    comment.strip_prefix(' ').unwrap_or(comment)
}

/// Parts of a text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// First line of a paragraph, a heading, an item of a list.
    Begin,
    /// Further line of the same.
    Continue,
    Table,
    Code,
    Blank,
}

/// Tells the parts of a text, line by line.
#[derive(Debug, Default)]
struct Blocks {
    /// In a block between lines that begin with three backticks.
    in_fence: bool,
    /// A list has begun: indented lines belong to it.
    in_list: bool,
    last: Option<Kind>,
}

impl Blocks {
    fn kind(&mut self, prose: &str) -> Kind {
        let kind = self.kind_after(prose, self.last);
        self.last = Some(kind);
        kind
    }

    fn kind_after(&mut self, prose: &str, last: Option<Kind>) -> Kind {
        let trimmed = prose.trim();
        if trimmed.starts_with("```") {
            self.in_fence = !self.in_fence;
            return Kind::Code;
        }
        if self.in_fence {
            return Kind::Code;
        }
        if trimmed.is_empty() {
            return Kind::Blank;
        }
        let follows_prose = matches!(last, Some(Kind::Begin | Kind::Continue));
        if prose.starts_with("    ") && !self.in_list && !follows_prose {
            return Kind::Code;
        }
        if trimmed.starts_with('|') {
            return Kind::Table;
        }
        let is_item = item(trimmed).is_some();
        if is_item || !prose.starts_with(' ') && !follows_prose {
            self.in_list = is_item;
        }
        if is_item || trimmed.starts_with(['#', '>']) || !follows_prose {
            return Kind::Begin;
        }
        Kind::Continue
    }
}

/// Returns the text of an item of a list.
fn item(trimmed: &str) -> Option<&str> {
    let numbered = || {
        let (number, rest) = trimmed.split_once(". ")?;
        number.parse::<u16>().is_ok().then_some(rest)
    };
    trimmed.strip_prefix("- ").or_else(|| trimmed.strip_prefix("* ")).or_else(numbered)
}

/// Returns `true` if the line is nothing but a link, with punctuation around it.
fn is_link(prose: &str) -> bool {
    let trimmed = prose.trim().trim_start_matches('(').trim_end_matches(['.', ',', ':', ';', ')']);
    let trimmed = item(trimmed).unwrap_or(trimmed);
    let target = match trimmed.split_once("]: ") {
        Some((name, target)) if name.starts_with('[') => target,
        _ => trimmed,
    };
    let target = match target.split_once("](") {
        Some((name, target)) if name.starts_with('[') => target,
        _ => target.trim_start_matches('<'),
    };
    let is_url = ["http://", "https://"].iter().any(|scheme| target.starts_with(scheme));
    !target.contains(' ') && (is_url || target != trimmed)
}

/// Finds the first words of sentences in a paragraph.
#[derive(Debug)]
struct Sentence {
    /// The next word is the first of a sentence.
    at_start: bool,
}

impl Default for Sentence {
    fn default() -> Self {
        Self { at_start: true }
    }
}

impl Sentence {
    /// Reads a line; returns the question words that begin a sentence there.
    fn read(&mut self, prose: &str) -> Vec<&'static str> {
        let mut found = Vec::new();
        let trimmed = prose.trim();
        for word in item(trimmed).unwrap_or(trimmed).split_whitespace() {
            // Signs of headings and quotes, which are no words.
            if word.chars().all(|c| matches!(c, '#' | '>' | '-' | '*')) {
                continue;
            }
            if self.at_start {
                let letters = word.trim_start_matches(['(', '[', '"', '*', '_', '\u{201c}']);
                let end = letters.find(|c: char| !c.is_alphanumeric() && c != '_');
                let first = &letters[..end.unwrap_or(letters.len())];
                found.extend(QUESTION_WORDS.iter().find(|word| **word == first));
            }
            let bare = word.trim_end_matches([')', ']', '"', '*', '_', '\u{201d}']);
            self.at_start = bare.ends_with(['.', '?', '!']);
        }
        found
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, language: Language) -> Vec<usize> {
        check(text, language).iter().map(|finding| finding.line).collect()
    }

    /// A line of prose with this many columns.
    fn wide(marker: &str, columns: usize) -> String {
        format!("{marker}{}", "x ".repeat(columns).split_at(columns - marker.len()).0)
    }

    #[test]
    fn a_sentence_that_begins_with_a_question_word_is_found_in_every_language() {
        for word in QUESTION_WORDS {
            let of = |marker| format!("{marker}{word} comes first.\n");
            assert_eq!(lines(&of(""), Language::Markdown), [1], "{word}");
            assert_eq!(lines(&of("## "), Language::Markdown), [1], "{word}");
            assert_eq!(lines(&of("- "), Language::Markdown), [1], "{word}");
            assert_eq!(lines(&of("| a | "), Language::Markdown), [1], "{word}");
            for marker in ["// ", "/// ", "    //! ", "/* ", "/// - **"] {
                assert_eq!(lines(&of(marker), Language::Slashes), [1], "{marker}{word}");
            }
            assert_eq!(lines(&of("# "), Language::Hashes), [1], "{word}");
            assert_eq!(lines(&of("    # "), Language::Python), [1], "{word}");
            assert_eq!(lines(&of("\"\"\""), Language::Python), [1], "{word}");
        }
        let finding = &check("Good.\nWhat else", Language::Markdown)[0];
        assert_eq!((finding.line, &*finding.message), (2, "a sentence begins with \"What\""));
    }

    #[test]
    fn a_sentence_may_begin_anywhere_in_a_paragraph_and_have_the_word_inside() {
        assert_eq!(lines("/// One. Which\n/// two.", Language::Slashes), [1]);
        assert_eq!(lines("/// (One.)\n/// How two.", Language::Slashes), [2]);
        assert_eq!(lines("/// Says\n/// What it is, and Where.", Language::Slashes), [0; 0]);
        assert_eq!(lines("/// Returns whether it is.", Language::Slashes), [0; 0]);
        assert_eq!(lines("/// Whichever `What` it is. `How`", Language::Slashes), [0; 0]);
        // Another paragraph begins another sentence.
        assert_eq!(lines("/// Ends here:\n///\n/// How else", Language::Slashes), [3]);
        assert_eq!(lines("// Ends here:\nlet x = 1;\n// How else", Language::Slashes), [3]);
    }

    #[test]
    fn code_is_no_prose() {
        assert_eq!(lines("let what = \"What\"; // What", Language::Slashes), [0; 0]);
        assert_eq!(lines("#!/bin/What\nWhat=1", Language::Hashes), [0; 0]);
        assert_eq!(lines("```\nWhat\n```\nWhat", Language::Markdown), [4]);
        assert_eq!(lines("Like so:\n\n    What is typed\n", Language::Markdown), [0; 0]);
        assert_eq!(lines("/// ```text\n/// What\n/// ```", Language::Slashes), [0; 0]);
    }

    #[test]
    fn prose_has_a_hundred_columns() {
        for (marker, language) in [
            ("", Language::Markdown),
            ("- ", Language::Markdown),
            ("    /// ", Language::Slashes),
            (" * ", Language::Slashes),
            ("# ", Language::Hashes),
        ] {
            let begin = if marker == " * " { "/*\n" } else { "" };
            let of = |columns| format!("{begin}{}", wide(marker, columns));
            assert_eq!(lines(&of(101), language).len(), 1, "{marker}");
            assert_eq!(lines(&of(100), language).len(), 0, "{marker}");
        }
        let finding = &check(&wide("", 101), Language::Markdown)[0];
        assert_eq!(finding.message, "101 columns; 100 are allowed");
    }

    #[test]
    fn tables_links_and_code_may_be_wider() {
        let long = "x".repeat(100);
        for text in [
            format!("| {long} |"),
            format!("https://example.org/{long}"),
            format!("- <https://example.org/{long}>"),
            format!("[name]: https://example.org/{long}"),
            format!("[name]({long}.md)"),
            format!("([`name`](https://example.org/{long})),"),
            format!("```\n{long} {long}\n```"),
            format!("Text:\n\n    {long}\n"),
        ] {
            assert_eq!(lines(&text, Language::Markdown), [0; 0], "{text}");
        }
        assert_eq!(lines(&format!("See https://example.org/{long}"), Language::Markdown), [1]);
        assert_eq!(lines(&format!("let x = \"{long}\";"), Language::Slashes), [0; 0]);
    }
}
