//! Paths of the files, named pipes and sockets of outputs.

use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use super::error::Problem;
use super::file_name::{FileName, NamePart};

/// Longest path of a Unix socket in bytes: `sun_path` of unix(7) has 108 with the final zero byte.
const SOCKET_PATH_BYTES_MAX: usize = 107;
/// Longest path in bytes: `PATH_MAX` of `include/uapi/linux/limits.h` less the final zero byte.
const PATH_BYTES_MAX: usize = 4095;
/// Longest name of a file or directory in bytes: `NAME_MAX` of `include/uapi/linux/limits.h`.
const NAME_BYTES_MAX: usize = 255;

/// Kind of the file that a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PathKind {
    /// pcapng files, with fields in their name.
    Files,
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// Checks that a path can lead to a file of that kind.
///
/// # Errors
///
/// [`Problem::Refused`] if it leads to a directory, is too long, or needs a shell to be expanded.
pub(super) fn check(path: &Path, kind: PathKind) -> Result<(), Problem> {
    let shown = path.to_string_lossy();
    let bytes = path.as_os_str().as_bytes();
    let is_directory =
        path.file_name().is_none() || bytes.ends_with(b"/") || bytes.ends_with(b"/.");
    if is_directory || bytes.contains(&0) {
        return Err(Problem::refused(format_args!("{shown:?}"), "the path of a file"));
    }
    if matches!(bytes, [b'~' | b'$', ..]) {
        let allowed = format!(
            "a path as it is, since no shell expands it; \"./{shown}\" if it is called that"
        );
        return Err(Problem::refused(format_args!("{shown:?}"), allowed));
    }
    check_lengths(path, kind)
}

fn check_lengths(path: &Path, kind: PathKind) -> Result<(), Problem> {
    let len = path.as_os_str().len();
    let max = if kind == PathKind::Socket { SOCKET_PATH_BYTES_MAX } else { PATH_BYTES_MAX };
    if len > max {
        let whose = if kind == PathKind::Socket { " for a Unix socket" } else { "" };
        let allowed = format!("at most {max} bytes{whose}");
        return Err(Problem::refused(format_args!("a path of {len} bytes"), allowed));
    }
    let directories = path.parent().into_iter().flat_map(Path::components);
    let directories = directories.map(|component| component.as_os_str().len());
    let name = path.file_name().map_or(0, |name| match kind {
        PathKind::Files => literal_len(path),
        PathKind::Fifo | PathKind::Socket => name.len(),
    });
    match directories.chain([name]).find(|len| *len > NAME_BYTES_MAX) {
        Some(len) => {
            let allowed = format!("at most {NAME_BYTES_MAX} bytes between two slashes");
            Err(Problem::refused(format_args!("a name of {len} bytes in the path"), allowed))
        }
        None => Ok(()),
    }
}

/// Returns the number of bytes that every file has in its name, whatever its fields become.
fn literal_len(path: &Path) -> usize {
    let len = |part: &NamePart| if let NamePart::Text(text) = part { text.len() } else { 0 };
    // A name that cannot be parsed is refused with another sentence.
    FileName::of(path).map_or(0, |name| name.parts().iter().map(len).sum())
}

/// Returns the path without `.` components, so that `./a` and `a` are the same.
pub(super) fn without_dots(path: &Path) -> PathBuf {
    path.components().filter(|component| !matches!(component, Component::CurDir)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(path: &str, kind: PathKind) -> Option<String> {
        check(Path::new(path), kind).err().map(|problem| problem.to_string())
    }

    #[test]
    fn a_socket_has_a_shorter_path_than_a_file() {
        let path = format!("/run/{}/s", "d".repeat(100));
        assert_eq!(path.len(), 107);
        assert_eq!(refusal(&path, PathKind::Socket), None);
        let longer = format!("{path}x");
        assert_eq!(
            refusal(&longer, PathKind::Socket).as_deref(),
            Some("found a path of 108 bytes, allowed is at most 107 bytes for a Unix socket")
        );
        assert_eq!(refusal(&longer, PathKind::Fifo), None);
        assert_eq!(refusal(&longer, PathKind::Files), None);
    }

    #[test]
    fn a_path_that_no_file_can_have_is_refused() {
        let name = "n".repeat(256);
        let too_long = "found a name of 256 bytes in the path, allowed is at most 255 bytes between two slashes";
        for path in [name.clone(), format!("/{name}/a")] {
            assert_eq!(refusal(&path, PathKind::Files).as_deref(), Some(too_long));
            assert_eq!(refusal(&path, PathKind::Fifo).as_deref(), Some(too_long));
        }
        assert_eq!(refusal(&"%%".repeat(255), PathKind::Files), None, "%% is one byte");
        assert_eq!(
            refusal(&"/d".repeat(2048), PathKind::Files).as_deref(),
            Some("found a path of 4096 bytes, allowed is at most 4095 bytes")
        );
    }

    #[test]
    fn a_path_that_only_a_shell_expands_is_refused() {
        for path in ["~/a", "~", "~me/a", "$HOME/a", "${HOME}/a"] {
            let expected = format!(
                "found {path:?}, allowed is a path as it is, since no shell expands it; \"./{path}\" if it is called that"
            );
            assert_eq!(refusal(path, PathKind::Files), Some(expected));
        }
        for path in ["./~/a", "a~", "/srv/~a/$b", "a$b"] {
            assert_eq!(refusal(path, PathKind::Files), None, "{path}");
        }
    }
}
