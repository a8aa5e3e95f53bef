//! Renders the names of an output's files, and recognizes them in a directory.

use std::ffi::{OsStr, OsString};
use std::net::IpAddr;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use jiff::Timestamp;

use super::interface_key::{FrameKey, pair_name};
use crate::config::{FileName, NamePart};
use crate::session::{Directory, SessionId};

/// Smallest number of digits of a file's number.
const NUMBER_DIGITS: usize = 6;
/// Longest text of a session in a name, in bytes. A file name has at most 255 (`NAME_MAX`).
const SESSION_MAX: usize = 100;

/// Suffix of a file that is not complete.
pub(super) const PART_SUFFIX: &[u8] = b".part";
/// Suffix of a compressed file.
pub(super) const ZST_SUFFIX: &[u8] = b".zst";

/// The fields of a frame that select its file: those that the name contains.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct FileKey {
    session: Option<u32>,
    vni: Option<u32>,
    source: Option<IpAddr>,
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

    /// Returns the key of the file for a frame.
    pub(super) fn key(&self, frame: &FrameKey) -> FileKey {
        let is_default = self.has_session && frame.session == SessionId::DEFAULT.0;
        FileKey {
            session: self.has_session.then_some(frame.session),
            vni: (self.has_vni || is_default).then_some(frame.vni),
            source: (self.has_source || is_default).then_some(frame.source),
        }
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
                NamePart::Session => name.extend(safe(&key.session_name(sessions))),
                NamePart::Vni => name.extend(safe(&key.vni.unwrap_or_default().to_string())),
                NamePart::Source => {
                    name.extend(
                        key.source.map(|source| safe(&source.to_string())).unwrap_or_default(),
                    );
                }
                NamePart::Member => name.extend(self.member.to_string().bytes()),
                NamePart::Number => name.extend(format!("{number:0NUMBER_DIGITS$}").bytes()),
            }
        }
        OsString::from_vec(name)
    }

    /// Returns the number in a file name of this output, 0 if its names have none; `None` if the
    /// name is not one of this output. `name` is without the suffixes of incomplete and compressed
    /// files.
    pub(super) fn matches(&self, name: &OsStr) -> Option<u64> {
        let name = name.as_bytes();
        let own = matches(self.name.parts(), name, self.member);
        own.or_else(|| matches(self.name.parts(), &without_repeat(name)?, self.member))
    }
}

impl FileKey {
    fn session_name(&self, sessions: &Directory) -> String {
        let entry = self.session.and_then(|session| sessions.declared(SessionId(session)));
        match (entry, self.vni, self.source) {
            (Some(entry), ..) => entry.name,
            (None, Some(vni), Some(source)) => pair_name(source, vni),
            (None, ..) => crate::config::DEFAULT_SESSION_NAME.to_owned(),
        }
    }
}

/// Returns the name with a number added, for another file of the same name.
pub(super) fn repeated(name: &OsStr, times: u32) -> OsString {
    let (stem, extension) = split(name.as_bytes());
    OsString::from_vec([stem, format!("-{times}").as_bytes(), extension].concat())
}

/// Returns the name that [`repeated`] was called with; `None` if `name` has no such number.
fn without_repeat(name: &[u8]) -> Option<Vec<u8>> {
    let (stem, extension) = split(name);
    let digits = stem.iter().rev().take_while(|byte| byte.is_ascii_digit()).count();
    let before = stem[..stem.len() - digits].strip_suffix(b"-").filter(|_| digits > 0)?;
    Some([before, extension].concat())
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

/// Returns the number in a name that consists of these parts, 0 if they contain none; `None` for
/// another name.
fn matches(parts: &[NamePart], name: &[u8], member: u32) -> Option<u64> {
    let Some((part, others)) = parts.split_first() else { return name.is_empty().then_some(0) };
    let count = |is: fn(&u8) -> bool| name.iter().take_while(|byte| is(byte)).count();
    let (least, most) = match part {
        NamePart::Text(text) => return matches(others, name.strip_prefix(&text[..])?, member),
        NamePart::Member => {
            return matches(others, name.strip_prefix(member.to_string().as_bytes())?, member);
        }
        NamePart::Time(letter) => {
            let digits = digits_of(*letter);
            (digits, digits.min(count(u8::is_ascii_digit)))
        }
        NamePart::Vni => (1, count(u8::is_ascii_digit)),
        NamePart::Number => (NUMBER_DIGITS, count(u8::is_ascii_digit)),
        NamePart::Session | NamePart::Source => (1, count(|byte| is_safe(*byte))),
    };
    (least..=most).rev().find_map(|len| {
        let inner = matches(others, &name[len..], member)?;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Session;
    use crate::decap::Link;

    /// 2026-11-27 21:05:09 UTC, as `date -u -d @1795813509` says.
    const TIME_NS: u64 = 1_795_813_509_000_000_001;

    fn names(path: &str) -> FileNames {
        let path = Path::new(path);
        FileNames::new(path, FileName::of(path).unwrap(), 3)
    }

    fn frame(session: u32, vni: u32) -> FrameKey {
        let source = "2001:db8::1".parse().unwrap();
        FrameKey { session, source, vni, direction: None, link: Link::Ethernet }
    }

    fn sessions() -> Directory {
        let mut directory = Directory::default();
        let names = ["web", "../tenant B"];
        directory.assign(&names.map(|name| Session {
            name: name.into(),
            vni: 7,
            ..Session::default()
        }));
        directory
    }

    fn render(path: &str, frame: &FrameKey) -> String {
        let names = names(path);
        let name = names.render(&names.key(frame), TIME_NS, 42, &sessions());
        assert_eq!(
            names.matches(&name),
            Some(if path.contains("number") { 42 } else { 0 }),
            "{name:?}"
        );
        let again = repeated(&name, 2);
        assert!(names.matches(&again).is_some(), "{again:?}");
        name.into_string().unwrap()
    }

    #[test]
    fn a_name_says_what_its_fields_ask_and_is_known_again() {
        let web = frame(1, 7);
        assert_eq!(
            render("d/{session}-%Y%m%dT%H%M%SZ.pcapng", &web),
            "web-20261127T210509Z.pcapng"
        );
        assert_eq!(render("{number}.%j.{member}.pcapng", &web), "000042.331.3.pcapng");
        assert_eq!(render("%F_%T_%y_%s.pcapng", &web), "2026-11-27_21:05:09_26_1795813509.pcapng");
        assert_eq!(render("{vni}@{source}%%.pcapng", &web), "7@2001_db8__1%.pcapng");
        assert_eq!(render("{session}.pcapng", &frame(2, 7)), "_._tenant_B.pcapng");
        assert_eq!(render("{session}", &frame(0, 9)), "vni-9@2001_db8__1");
    }

    #[test]
    fn a_frame_belongs_to_the_file_that_the_name_tells_apart() {
        let key = |path: &str, session, vni| names(path).key(&frame(session, vni));
        assert_eq!(key("%S", 1, 7), key("%S", 2, 8));
        assert_eq!(key("{session}", 1, 7), key("{session}", 1, 8));
        assert_ne!(key("{session}", 1, 7), key("{session}", 2, 7));
        assert_ne!(
            key("{session}", 0, 7),
            key("{session}", 0, 8),
            "undeclared pairs are sessions of their own"
        );
        assert_ne!(key("{vni}", 1, 7), key("{vni}", 1, 8));
    }

    #[test]
    fn files_of_others_do_not_match() {
        let all = names("{session}-%Y%m.pcapng");
        for other in [
            "web-2026.pcapng",
            "web-202611.pcap",
            "202611.pcapng",
            "a/b-202611.pcapng",
            "web-20261x.pcapng",
            "",
        ] {
            assert_eq!(all.matches(OsStr::new(other)), None, "{other}");
        }
        assert_eq!(names("a{member}").matches(OsStr::new("a4")), None);
        assert_eq!(names("{number}").matches(OsStr::new("00042")), None);
        assert_eq!(names("{number}").matches(OsStr::new("1000042")), Some(1_000_042));
    }
}
