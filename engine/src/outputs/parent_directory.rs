//! Creates the missing directories of a path.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

/// Mode of the directories of sockets and named pipes: their group may look for them. Sockets and
/// named pipes themselves are private.
const MODE: u32 = 0o750;

/// Creates a directory and its missing parents with a mode.
pub(super) fn create_all(path: &Path, mode: u32) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), |parent| create_all(parent, mode))?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    }
}

/// Creates the missing directories of a socket or named pipe, with mode 0750.
///
/// # Errors
///
/// A sentence that names the directory.
pub(super) fn create_parent(path: &Path) -> io::Result<()> {
    let Some(parent) = path.parent() else { return Ok(()) };
    create_all(parent, MODE).map_err(|error| {
        let sentence = format!("cannot make the directory {}: {error}", parent.display());
        io::Error::new(error.kind(), sentence)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn missing_directories_are_made_and_one_that_cannot_be_is_named() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("run/vxtap/socket");
        create_parent(&path).unwrap();
        create_parent(&path).unwrap();
        for directory in [path.parent().unwrap(), &directory.path().join("run")] {
            assert_eq!(fs::metadata(directory).unwrap().permissions().mode() & 0o777, 0o750);
        }
        create_parent(Path::new("socket")).unwrap();
        fs::write(&path, "a file").unwrap();
        let error = create_parent(&path.join("socket")).unwrap_err().to_string();
        assert!(
            error.starts_with(&format!("cannot make the directory {}: ", path.display())),
            "{error}"
        );
    }
}
