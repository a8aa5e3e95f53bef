//! What is declared by name: sessions and outputs.

use std::fmt;
use std::net::IpAddr;
use std::path::{Component, Path, PathBuf};

use super::capture::check_source;
use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::limit::Limit;
use super::once::Seen;
use super::words::{Word, word_of};
use crate::vni::Vni;

/// Longest name of a session or an output, in bytes: names are written into fields of files.
pub const NAME_BYTES_MAX: usize = 255;

/// Name of the session of everything that nobody declared; no declared one may have it.
pub const DEFAULT_SESSION_NAME: &str = "default";

/// Most outputs: a frame's count of the outputs that hold it is a byte.
pub const OUTPUTS_MAX: u32 = 255;

pub(super) const VNI: Limit = Limit::Range(Vni::MIN.get() as u64, Vni::MAX.get() as u64);

/// What happens to traffic of a pair of source and VNI that no session declares. Key `sessions.unknown` of the file.
/// Either way each such pair is counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownSessions {
    /// It goes to the outputs as part of the default session.
    #[default]
    Pass,
    /// It is dropped; without any declared session that is everything.
    Drop,
}

/// A declared mirror session. Table `[[session]]` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Session {
    /// Name, 1 to 255 bytes without control characters, different from those of the other sessions and from
    /// [`DEFAULT_SESSION_NAME`].
    pub name: String,
    /// VXLAN network identifier, 0 to 16777215. A wrong one makes the mirror's traffic count as unknown.
    pub vni: u32,
    /// Outer source address that the mirror sends from; `None`: any source. The more exact session wins where one with and
    /// one without a source have the same VNI.
    pub source: Option<IpAddr>,
}

/// A declared output. Table `[[output]]` of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Output {
    /// Name, 1 to 255 bytes without control characters, different from those of the other outputs.
    pub name: String,
    /// What the output does with the frames.
    pub kind: OutputKind,
}

/// What an output does with the frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OutputKind {
    /// Writes them to a pcapng file.
    Pcapng {
        /// The file; two outputs never share one. Relative paths start at the working directory.
        path: PathBuf,
    },
    /// Leaves them to the program that embeds the engine. Not available in a file.
    Consumer,
}

impl Word for UnknownSessions {
    const WORDS: &'static [(&'static str, Self)] = &[("pass", Self::Pass), ("drop", Self::Drop)];
}

impl fmt::Display for UnknownSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(*self))
    }
}

pub(super) fn check_sessions(sessions: &[Session]) -> Result<(), Violation> {
    let mut names = Seen::default();
    let mut pairs = Seen::default();
    for (position, Session { name, vni, source }) in sessions.iter().enumerate() {
        let key = KeyPath::top("session").index(position);
        check_name(name, &mut names, key.key("name"))?;
        if name == DEFAULT_SESSION_NAME {
            let allowed = "another name, because this is the session of everything that is not declared";
            return Err(Problem::refused(format_args!("{name:?}"), allowed).at(key.key("name")));
        }
        VNI.check(*vni).map_err(|problem| problem.at(key.key("vni")))?;
        if let Some(source) = *source {
            check_source(source).map_err(|problem| problem.at(key.key("source")))?;
        }
        let from = source.map_or_else(|| "any source".to_owned(), |source| source.to_string());
        pairs
            .note((source, vni), key.clone(), format_args!("VNI {vni} from {from}"))
            .map_err(|problem| problem.between(vec![key.key("vni"), key.key("source")]))?;
    }
    Ok(())
}

pub(super) fn check_outputs(outputs: &[Output]) -> Result<(), Violation> {
    if outputs.len() > OUTPUTS_MAX as usize {
        let problem = Problem::TooMany { found: outputs.len(), things: "outputs", max: OUTPUTS_MAX };
        return Err(problem.at(KeyPath::top("output")));
    }
    let mut names = Seen::default();
    let mut paths = Seen::default();
    for (position, Output { name, kind }) in outputs.iter().enumerate() {
        let key = KeyPath::top("output").index(position);
        check_name(name, &mut names, key.key("name"))?;
        if let OutputKind::Pcapng { path } = kind {
            check_path(path, &mut paths, &key.key("path")).map_err(|problem| problem.at(key.key("path")))?;
        }
    }
    Ok(())
}

fn check_name<'c>(name: &'c str, names: &mut Seen<&'c str>, key: KeyPath) -> Result<(), Violation> {
    if !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.chars().any(char::is_control) {
        let allowed = format!("a name of 1 to {NAME_BYTES_MAX} bytes without control characters");
        return Err(Problem::refused(format_args!("{name:?}"), allowed).at(key));
    }
    let found = format_args!("the name {name:?}");
    names.note(name, key.clone(), found).map_err(|problem| problem.at(key))
}

/// Checks that the path can name a file, and one that no other output writes.
fn check_path(path: &Path, paths: &mut Seen<PathBuf>, key: &KeyPath) -> Result<(), Problem> {
    let shown = path.to_string_lossy();
    let bytes = path.as_os_str().as_encoded_bytes();
    let is_directory = path.file_name().is_none() || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    if is_directory || bytes.contains(&0) {
        return Err(Problem::refused(format_args!("{shown:?}"), "the path of a file"));
    }
    paths.note(without_dots(path), key.clone(), format_args!("the path {shown:?}"))
}

/// Returns the path without `.` components, so that `./a` and `a` are the same.
fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}
