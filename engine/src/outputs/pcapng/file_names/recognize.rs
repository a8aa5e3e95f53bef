//! Recognizes the files of an output by their names.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;

use super::{ANY, FileNames, NUMBER_DIGITS, UNDECLARED_SUFFIX, is_safe, split};
use crate::config::{DEFAULT_SESSION_NAME, NamePart};

/// A file of this output, recognized by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) struct NameMatch {
    /// Number in the name; 0 if it has none.
    pub(in super::super) number: u64,
    /// `true` if undeclared senders have caused the file.
    pub(in super::super) is_undeclared: bool,
}

impl FileNames {
    /// Returns the number in a file name of this output and its senders; `None` if the name is not
    /// one of this output. `name` is without the suffixes of incomplete and compressed files.
    pub(in super::super) fn matches(&self, name: &OsStr) -> Option<NameMatch> {
        let name = name.as_bytes();
        let original = without_repeat(name);
        let names = || [Some(name), original.as_deref()].into_iter().flatten();
        // An undeclared sender must not pass for a declared session in any reading of the name.
        let undeclared = names().find_map(|name| self.number_of_undeclared(name));
        let number = undeclared.or_else(|| names().find_map(|name| self.number(name, |_| true)))?;
        Some(NameMatch { number, is_undeclared: undeclared.is_some() })
    }

    /// Returns the number in the name of a file that undeclared senders have caused.
    fn number_of_undeclared(&self, name: &[u8]) -> Option<u64> {
        let told = self.has_session.then(|| self.number(name, is_undeclared_text)).flatten();
        let has_suffix = self.has_source || (self.has_vni && !self.has_session);
        told.or_else(|| {
            let unmarked = without_suffix(name, UNDECLARED_SUFFIX).filter(|_| has_suffix)?;
            self.number(&unmarked, |_| true)
        })
    }

    fn number(&self, name: &[u8], is_session: fn(&[u8]) -> bool) -> Option<u64> {
        matches(self.name.parts(), name, self.member, is_session)
    }
}

/// Returns whether this is the text of `{session}` for undeclared senders.
pub(super) fn is_undeclared_text(text: &[u8]) -> bool {
    let Some(rest) = text.strip_prefix(b"vni-") else {
        return text == DEFAULT_SESSION_NAME.as_bytes();
    };
    let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    // Earlier versions had `_` in the place of `@`.
    digits > 0 && matches!(rest.get(digits), Some(b'@' | b'_'))
}

/// Returns the name that [`repeated`](super::repeated) was called with; `None` if `name` has no
/// such number.
fn without_repeat(name: &[u8]) -> Option<Vec<u8>> {
    let (stem, extension) = split(name);
    let digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = stem[..stem.len() - digits].strip_suffix(b"-").filter(|_| digits > 0)?;
    Some([before, extension].concat())
}

/// Returns the name that [`with_suffix`](super::with_suffix) was called with; `None` if `name` has
/// no such suffix.
fn without_suffix(name: &[u8], suffix: &[u8]) -> Option<Vec<u8>> {
    let (stem, extension) = split(name);
    stem.strip_suffix(suffix).map(|stem| [stem, extension].concat())
}

/// Returns the number in a name that consists of these parts, 0 if they contain none; `None` for
/// another name. `is_session` accepts the texts of `{session}`.
fn matches(
    parts: &[NamePart],
    name: &[u8],
    member: u32,
    is_session: fn(&[u8]) -> bool,
) -> Option<u64> {
    let Some((part, others)) = parts.split_first() else { return name.is_empty().then_some(0) };
    let count = |is: fn(&u8) -> bool| name.iter().take_while(|byte| is(byte)).count();
    let (least, most) = match part {
        NamePart::Text(text) => {
            return matches(others, name.strip_prefix(&text[..])?, member, is_session);
        }
        NamePart::Member => {
            let rest = name.strip_prefix(member.to_string().as_bytes())?;
            return matches(others, rest, member, is_session);
        }
        NamePart::Vni if name.starts_with(ANY.as_bytes()) => (ANY.len(), ANY.len()),
        NamePart::Time(letter) => {
            let digits = digits_of(*letter);
            (digits, digits.min(count(u8::is_ascii_digit)))
        }
        NamePart::Vni => (1, count(u8::is_ascii_digit)),
        NamePart::Number => (NUMBER_DIGITS, count(u8::is_ascii_digit)),
        NamePart::Session | NamePart::Source => (1, count(|byte| is_safe(*byte))),
    };
    (least..=most).rev().find_map(|len| {
        if *part == NamePart::Session && !is_session(&name[..len]) {
            return None;
        }
        let inner = matches(others, &name[len..], member, is_session)?;
        let number = std::str::from_utf8(&name[..len]).ok().filter(|_| *part == NamePart::Number);
        Some(number.and_then(|number| number.parse().ok()).unwrap_or(inner))
    })
}

const fn digits_of(letter: u8) -> usize {
    match letter {
        b'Y' => 4,
        b'j' => 3,
        // From 2001 to 2286 the seconds since 1970 have ten digits.
        b's' => 10,
        _ => 2,
    }
}
