//! Parser of file names with fields: `{session}-%Y%m%dT%H%M%SZ.pcapng`.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::error::Problem;

/// Time fields, with the letters of strftime(3). Each has a fixed number of digits, so that names
/// sort by time.
const TIME_PARTS: &[u8] = b"YmdHMSjys";

/// Abbreviations of strftime(3) for several time fields.
const TIME_WORDS: &[(&[u8], &[u8])] = &[(b"%F", b"%Y-%m-%d"), (b"%T", b"%H:%M:%S")];

/// Fields in braces.
const FIELDS: &[(&str, NamePart)] = &[
    ("{session}", NamePart::Session),
    ("{vni}", NamePart::Vni),
    ("{source}", NamePart::Source),
    ("{member}", NamePart::Member),
    ("{number}", NamePart::Number),
];

/// A part of a file name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum NamePart {
    /// Literal text.
    Text(Vec<u8>),
    /// Part of the time at which the file begins, by its letter in strftime(3).
    Time(u8),
    /// Name of the session.
    Session,
    /// VNI of the session.
    Vni,
    /// Outer source address.
    Source,
    /// Number of the member, from 0.
    Member,
    /// Sequence number of the file.
    Number,
}

/// A file name without its directory, split into text and fields.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FileName(Vec<NamePart>);

impl FileName {
    /// Parses the last component of a path. `%%` is a percent sign, `{{` a brace.
    ///
    /// # Errors
    ///
    /// [`Problem::Refused`]: an unknown field, or a field in a directory.
    pub(crate) fn of(path: &Path) -> Result<Self, Problem> {
        let name = path.file_name().unwrap_or_default().as_bytes();
        let directory = path.parent().unwrap_or(Path::new(""));
        let bytes = directory.as_os_str().as_bytes();
        if (0..bytes.len()).any(|at| field(&bytes[at..]).is_some()) {
            let found = format_args!("{:?}", directory.to_string_lossy());
            return Err(Problem::refused(
                found,
                "a directory without fields: they stand in the name of the file",
            ));
        }
        Self::parse(name)
    }

    fn parse(name: &[u8]) -> Result<Self, Problem> {
        let mut parts = Vec::new();
        let mut text = Vec::new();
        let mut rest = name;
        while let Some((&first, behind)) = rest.split_first() {
            let part = match first {
                b'%' | b'{' if behind.first() == Some(&first) => {
                    text.push(first);
                    rest = &behind[1..];
                    continue;
                }
                b'%' | b'{' => field(rest),
                _ => {
                    text.push(first);
                    rest = behind;
                    continue;
                }
            };
            let Some((mut field, len)) = part else { return Err(unknown(rest)) };
            if !text.is_empty() {
                parts.push(NamePart::Text(std::mem::take(&mut text)));
            }
            parts.append(&mut field);
            rest = &rest[len..];
        }
        if !text.is_empty() {
            parts.push(NamePart::Text(text));
        }
        Ok(Self(parts))
    }

    /// Escapes a text so that it has no fields.
    pub(crate) fn literal(name: &[u8]) -> Vec<u8> {
        name.iter()
            .flat_map(|&byte| {
                std::iter::repeat_n(byte, if matches!(byte, b'%' | b'{') { 2 } else { 1 })
            })
            .collect()
    }

    /// Returns the path of a member's only file, for a name without fields other than `{member}`.
    pub(crate) fn fixed_path(&self, path: &Path, member: u32) -> PathBuf {
        let text = |part: &NamePart| match part {
            NamePart::Text(text) => text.clone(),
            _ => member.to_string().into_bytes(),
        };
        let name: Vec<u8> = self.0.iter().flat_map(text).collect();
        path.with_file_name(OsStr::from_bytes(&name))
    }

    pub(crate) fn parts(&self) -> &[NamePart] {
        &self.0
    }

    /// Returns `true` if one member can have several files with different names.
    pub(crate) fn has_fields(&self) -> bool {
        self.has(|part| !matches!(part, NamePart::Text(_) | NamePart::Member))
    }

    /// Returns `true` if consecutive files have different names.
    pub(crate) fn changes_over_time(&self) -> bool {
        self.has(|part| matches!(part, NamePart::Time(_) | NamePart::Number))
    }

    /// Returns `true` if the name ends as those of unfinished and compressed files do.
    pub(crate) fn ends_like_a_state(&self) -> bool {
        let is_state = |text: &[u8]| text.ends_with(b".part") || text.ends_with(b".zst");
        self.0.last().is_some_and(|part| matches!(part, NamePart::Text(text) if is_state(text)))
    }

    /// Returns `true` if the files of different members have different names.
    pub(crate) fn has_member(&self) -> bool {
        self.has(|part| *part == NamePart::Member)
    }

    pub(crate) fn has(&self, what: impl Fn(&NamePart) -> bool) -> bool {
        self.0.iter().any(what)
    }
}

/// Returns the name parts of the field at the start of `text`, and the field's length in bytes.
fn field(text: &[u8]) -> Option<(Vec<NamePart>, usize)> {
    if let Some((word, parts)) = TIME_WORDS.iter().find(|(word, _)| text.starts_with(word)) {
        return FileName::parse(parts).ok().map(|name| (name.0, word.len()));
    }
    if let [b'%', letter, ..] = text {
        return TIME_PARTS.contains(letter).then(|| (vec![NamePart::Time(*letter)], 2));
    }
    let (word, part) = FIELDS.iter().find(|(word, _)| text.starts_with(word.as_bytes()))?;
    Some((vec![part.clone()], word.len()))
}

fn unknown(rest: &[u8]) -> Problem {
    let text = String::from_utf8_lossy(rest);
    let end = if rest[0] == b'%' {
        text.chars().take(2).collect()
    } else {
        text.split_inclusive('}').next().unwrap_or_default().to_owned()
    };
    let fields: Vec<_> = FIELDS.iter().map(|(word, _)| *word).collect();
    let times: Vec<_> =
        TIME_PARTS.iter().map(|letter| format!("%{}", char::from(*letter))).collect();
    let words = TIME_WORDS.iter().map(|(word, _)| String::from_utf8_lossy(word).into_owned());
    let times: Vec<_> = times.into_iter().chain(words).collect();
    let allowed = format!(
        "a file name with the fields {}, {}; %% and {{{{ stand for % and {{",
        times.join(" "),
        fields.join(" ")
    );
    Problem::refused(format_args!("{end:?}"), allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &str) -> Result<Vec<NamePart>, String> {
        FileName::parse(name.as_bytes()).map(|name| name.0).map_err(|problem| problem.to_string())
    }

    #[test]
    fn a_name_is_read_as_text_and_fields() {
        let text = |text: &str| NamePart::Text(text.into());
        assert_eq!(parse("a.pcapng"), Ok(vec![text("a.pcapng")]));
        assert_eq!(
            parse("{session}-%Y%j.{number}"),
            Ok(vec![
                NamePart::Session,
                text("-"),
                NamePart::Time(b'Y'),
                NamePart::Time(b'j'),
                text("."),
                NamePart::Number
            ])
        );
        assert_eq!(parse("100%%{{vni}{vni}"), Ok(vec![text("100%{vni}"), NamePart::Vni]));
        assert_eq!(parse("%F %T%s"), parse("%Y-%m-%d %H:%M:%S%s"));
        let literal = FileName::literal(b"100%{vni}");
        assert_eq!(FileName::parse(&literal).unwrap().0, [text("100%{vni}")]);
    }

    #[test]
    fn a_field_that_is_not_known_is_refused_and_so_is_one_in_a_directory() {
        for (name, found) in
            [("%D.pcapng", "%D"), ("a{sesion}b", "{sesion}"), ("a%", "%"), ("{vni", "{vni")]
        {
            let error = parse(name).unwrap_err();
            assert!(
                error.contains(&format!("{found:?}"))
                    && error.contains("%S %j %y %s %F %T, {session} {vni}"),
                "{error}"
            );
        }
        let error = FileName::of(Path::new("/data/%Y/a.pcapng")).unwrap_err().to_string();
        assert!(error.contains("a directory without fields"), "{error}");
        assert!(!FileName::of(Path::new("/100%/a.pcapng")).unwrap().has_fields());
    }
}
