//! Renders the names of an output's files.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use recognize::is_undeclared_text;

pub(super) use self::recognize::NameMatch;
use super::interface_key::{FrameKey, pair_name};
use crate::config::{DEFAULT_SESSION_NAME, FileName, NamePart};
use crate::session::{Directory, SessionId};

mod recognize;

/// Smallest number of digits of a file's number.
const NUMBER_DIGITS: usize = 6;
/// Longest text of a session in a name, in bytes. A file name has at most 255 (`NAME_MAX`).
const SESSION_MAX: usize = 100;

/// Suffix of a file that is not complete.
pub(super) const PART_SUFFIX: &[u8] = b".part";
/// Suffix of a compressed file.
pub(super) const ZST_SUFFIX: &[u8] = b".zst";

/// Addition to the name of a file that undeclared senders have caused, unless `{session}` says so.
const UNDECLARED_SUFFIX: &[u8] = b"-undeclared";
/// Text of `{vni}` and `{source}` in the name of the file that undeclared senders share.
const ANY: &str = "any";

/// The fields of a frame that select its file: those that the name contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    scope: Scope,
    session: Option<u32>,
    vni: Option<u32>,
    source: Option<IpAddr>,
}

/// Senders whose frames are in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
enum Scope {
    /// Declared sessions; all senders if the name does not tell them apart.
    #[default]
    Declared,
    /// An undeclared sender.
    Undeclared,
    /// All undeclared senders that have no file of their own.
    Shared,
}

/// The names of an output's files.
#[derive(Clone, Debug)]
pub(super) struct FileNames {
    directory: PathBuf,
    name: FileName,
    member: u32,
    has_session: bool,
    has_vni: bool,
    has_source: bool,
}

impl FileNames {
    /// Returns the names of the files at `path`, whose name may have fields, of a member.
    pub(super) fn new(path: &Path, name: FileName, member: u32) -> Self {
        let directory =
            path.parent().filter(|path| !path.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let has = |part| name.has(|it| *it == part);
        let (has_session, has_vni, has_source) =
            (has(NamePart::Session), has(NamePart::Vni), has(NamePart::Source));
        Self { directory: directory.to_owned(), name, member, has_session, has_vni, has_source }
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Returns whether the name has fields, so that there can be several files.
    pub(super) fn has_fields(&self) -> bool {
        self.name.has_fields()
    }

    /// Returns whether sessions, VNIs or sources have separate files.
    pub(super) const fn is_keyed(&self) -> bool {
        self.has_session || self.has_vni || self.has_source
    }

    /// Returns whether each source has separate files.
    pub(super) const fn has_source(&self) -> bool {
        self.has_source
    }

    /// Returns the key of the file for a frame of a declared session or an undeclared sender.
    pub(super) fn key(&self, frame: &FrameKey, is_undeclared: bool) -> FileKey {
        if !self.is_keyed() {
            return FileKey::default();
        }
        let is_default = self.has_session && frame.session == SessionId::DEFAULT.0;
        FileKey {
            scope: if is_undeclared { Scope::Undeclared } else { Scope::Declared },
            session: self.has_session.then_some(frame.session),
            vni: (self.has_vni || is_default).then_some(frame.vni),
            source: (self.has_source || is_default).then_some(frame.source),
        }
    }

    /// Returns the key of the file that undeclared senders share.
    pub(super) fn shared_key(&self) -> FileKey {
        let scope = if self.is_keyed() { Scope::Shared } else { Scope::Declared };
        FileKey { scope, ..FileKey::default() }
    }

    /// Returns the name of a file that begins at `time_ns`, in nanoseconds since 1970-01-01 UTC.
    pub(super) fn render(
        &self,
        key: &FileKey,
        time_ns: u64,
        number: u64,
        sessions: &Directory,
    ) -> OsString {
        let time = Timestamp::from_nanosecond(time_ns.into()).unwrap_or_default();
        let mut name = Vec::new();
        for part in self.name.parts() {
            match part {
                NamePart::Text(text) => name.extend(text),
                NamePart::Time(letter) => {
                    name.extend(time.strftime(&[b'%', *letter]).to_string().bytes());
                }
                NamePart::Session => name.extend(key.session_text(sessions)),
                NamePart::Vni => name.extend(text_or_any(key.vni)),
                NamePart::Source => name.extend(text_or_any(key.source)),
                NamePart::Member => name.extend(self.member.to_string().bytes()),
                NamePart::Number => name.extend(format!("{number:0NUMBER_DIGITS$}").bytes()),
            }
        }
        // With one of these suffixes the file would be taken for an unfinished or compressed one.
        for suffix in [PART_SUFFIX, ZST_SUFFIX] {
            if let Some(at) = name.strip_suffix(suffix).map(<[u8]>::len) {
                name[at] = b'_';
            }
        }
        if key.scope != Scope::Declared && !self.session_tells(key) && sessions.len() > 1 {
            name = with_suffix(&name, UNDECLARED_SUFFIX);
        }
        OsString::from_vec(name)
    }

    /// Returns whether the text of `{session}` says that the file is one of undeclared senders.
    const fn session_tells(&self, key: &FileKey) -> bool {
        self.has_session && !matches!(key.session, Some(1..))
    }
}

impl FileKey {
    /// Returns whether it is the key of the file that undeclared senders share.
    pub(super) fn is_shared(&self) -> bool {
        self.scope == Scope::Shared
    }

    /// Returns the text of `{session}`. That of a declared session is never like that of an
    /// undeclared sender.
    fn session_text(&self, sessions: &Directory) -> Vec<u8> {
        let entry = self.session.and_then(|session| sessions.declared(SessionId(session)));
        match (entry, self.vni, self.source) {
            (Some(entry), ..) => {
                let text = safe(&entry.name);
                if is_undeclared_text(&text) { [b"_", &text[..]].concat() } else { text }
            }
            (None, Some(vni), Some(source)) => safe(&pair_name(source, vni)),
            (None, ..) => DEFAULT_SESSION_NAME.into(),
        }
    }
}

fn text_or_any(value: Option<impl ToString>) -> Vec<u8> {
    safe(&value.map_or_else(|| ANY.to_owned(), |value| value.to_string()))
}

/// Returns the name with a number added, for another file of the same name.
pub(super) fn repeated(name: &OsStr, times: u32) -> OsString {
    OsString::from_vec(with_suffix(name.as_bytes(), format!("-{times}").as_bytes()))
}

/// Returns the name with a suffix in front of its extension.
fn with_suffix(name: &[u8], suffix: &[u8]) -> Vec<u8> {
    let (stem, extension) = split(name);
    [stem, suffix, extension].concat()
}

/// Splits a name at its last dot, which belongs to the second part.
fn split(name: &[u8]) -> (&[u8], &[u8]) {
    name.split_at(
        name.iter().rposition(|byte| *byte == b'.').filter(|at| *at > 0).unwrap_or(name.len()),
    )
}

/// Returns whether a byte of a name is one of a file name too.
const fn is_safe(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'@')
}

/// Replaces all bytes but letters, digits, `-`, `_`, `@` and dots by `_`; a dot at the beginning,
/// too.
fn safe(text: &str) -> Vec<u8> {
    let mut safe: Vec<_> = text
        .bytes()
        .take(SESSION_MAX)
        .map(|byte| if is_safe(byte) { byte } else { b'_' })
        .collect();
    if let Some(dot) = safe.first_mut().filter(|byte| **byte == b'.') {
        *dot = b'_';
    }
    safe
}

#[cfg(test)]
mod tests;
