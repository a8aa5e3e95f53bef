//! Where the frames go.

use std::path::{Component, Path, PathBuf};

use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::name::check_name;
use super::once::Seen;

/// Most outputs: a frame's count of the outputs that hold it is a byte.
pub const OUTPUTS_MAX: u32 = 255;

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
