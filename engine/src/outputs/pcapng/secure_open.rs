//! Opens private files safely in directories that other users can write to: the path may lead to
//! another file, a link or a pipe.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock};
use rustix::io::Errno;

/// Mode of files: only the owner may read captured data.
const MODE: u32 = 0o600;
/// Largest number of attempts to open a file that is replaced before it is locked.
const ATTEMPTS_MAX: usize = 3;

/// User and group that files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// User ID.
    pub(crate) user: u32,
    /// Group ID.
    pub(crate) group: u32,
}

/// Creates the file at `path` for its owner, or truncates the existing one. A pipe or device is
/// opened as it is. With an owner, a symbolic link and a file that does not belong to the owner are
/// refused. A file that another process writes to is refused.
pub(super) fn create(path: &Path, owner: Option<Owner>) -> io::Result<File> {
    for _ in 0..ATTEMPTS_MAX {
        match create_new(path, owner) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        if let Some(file) = truncate_existing(path, owner)? {
            return Ok(file);
        }
    }
    Err(io::Error::other("another program keeps replacing the file"))
}

/// Truncates the file at `path`. Returns `None` if the path leads to another file by the time the
/// file is locked.
fn truncate_existing(path: &Path, owner: Option<Owner>) -> io::Result<Option<File>> {
    let flags = if owner.is_some() { OFlags::NOFOLLOW } else { OFlags::empty() };
    let mut options = open_options(flags)?;
    // The path may be a symbolic link to a file that does not exist.
    options.write(true).create(owner.is_none()).truncate(false).mode(MODE);
    let file = options.open(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => {
            io::Error::other("it is a symbolic link, which is not followed if `owner` is set")
        }
        Some(Errno::NXIO) => io::Error::other(
            "this pipe has no reader: start the reader first, or use `type = \"stream\"`, `to = \"fifo\"`",
        ),
        _ => error,
    })?;
    // Writes to a pipe have to block.
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    let is_file = file.metadata()?.is_file();
    if owner.is_some() && !(is_file && is_owned(&file, owner)?) {
        return Err(io::Error::other("it is not a regular file of `owner` with a single name"));
    }
    if !is_file {
        return Ok(Some(file));
    }
    // On a file system without locks no process holds one.
    if !lock(&file).unwrap_or(true) {
        return Err(io::Error::other("another process writes or compresses it"));
    }
    if !is_at(&file, path)? {
        return Ok(None);
    }
    set_owner(&file, owner)?;
    // The mode is set before the file is truncated: no other user may read the new data.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.set_len(0)?;
    Ok(Some(file))
}

/// Creates a file for its owner at a path that must not exist, and locks it.
pub(super) fn create_new(path: &Path, owner: Option<Owner>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // Before it is locked, another process may take it for an unfinished file and rename it.
    if !lock(&file).unwrap_or(true) || !is_at(&file, path)? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    set_owner(&file, owner).inspect_err(|_| {
        // The file is empty; a failure to remove it adds nothing to the error.
        let _ = fs::remove_file(path);
    })?;
    Ok(file)
}

/// Returns whether `path` leads to `file`.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// Returns options that open a path without blocking.
fn open_options(flags: OFlags) -> io::Result<OpenOptions> {
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.custom_flags(flags);
    Ok(options)
}

/// Opens a regular file without following a symbolic link; `None` if there is none. It is opened
/// for writing, too: over NFS an exclusive lock requires that (flock(2)).
pub(super) fn open_no_follow(path: &Path) -> io::Result<Option<File>> {
    match open_options(OFlags::NOFOLLOW)?.read(true).write(true).open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Opens a directory without following a symbolic link.
pub(super) fn open_directory(path: &Path) -> io::Result<File> {
    open_options(OFlags::NOFOLLOW | OFlags::DIRECTORY)?.read(true).open(path)
}

/// Returns whether a file belongs to `owner`, or to this process's user without one, and has a
/// single hard link.
pub(super) fn is_owned(file: &File, owner: Option<Owner>) -> io::Result<bool> {
    let it = file.metadata()?;
    let own_user = || rustix::process::geteuid().as_raw();
    Ok(it.uid() == owner.map_or_else(own_user, |owner| owner.user) && it.nlink() == 1)
}

/// Changes the owner of a file or directory if there is one.
pub(super) fn set_owner(file: &File, owner: Option<Owner>) -> io::Result<()> {
    owner.map_or(Ok(()), |Owner { user, group }| fchown(file, Some(user), Some(group)))
}

/// Locks a file for writing until it is closed (flock(2)). Returns `false` if another process holds
/// the lock.
///
/// # Errors
///
/// An error of flock(2), for example on a file system without locks.
pub(super) fn lock(file: &File) -> io::Result<bool> {
    match flock(file, FlockOperation::NonBlockingLockExclusive) {
        Err(Errno::WOULDBLOCK) => Ok(false),
        locked => locked.map(|()| true).map_err(io::Error::from),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    #[test]
    fn with_an_owner_nobody_leads_us_to_other_files_and_without_one_links_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [link, other] = ["link", "other"].map(|name| directory.path().join(name));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &link).unwrap();
        let owner =
            fs::metadata(&other).map(|it| Owner { user: it.uid(), group: it.gid() }).unwrap();
        let error = create(&link, Some(owner)).unwrap_err().to_string();
        assert_eq!(error, "it is a symbolic link, which is not followed if `owner` is set");
        assert!(open_no_follow(&link).unwrap().is_none());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        let another = owner.user + 1;
        let error = create(&other, Some(Owner { user: another, ..owner })).unwrap_err().to_string();
        assert_eq!(error, "it is not a regular file of `owner` with a single name");
        fs::hard_link(&other, directory.path().join("another name")).unwrap();
        assert!(create(&other, Some(owner)).is_err());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        create(&link, None).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"");
        let dangling = directory.path().join("dangling");
        symlink(directory.path().join("new"), &dangling).unwrap();
        create(&dangling, None).unwrap();
        assert!(directory.path().join("new").exists());
    }

    #[test]
    fn a_file_that_somebody_writes_is_not_emptied() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a");
        let mut first = create(&path, None).unwrap();
        first.write_all(b"precious").unwrap();
        let error = create(&path, None).unwrap_err().to_string();
        assert_eq!(error, "another process writes or compresses it");
        assert_eq!(fs::read(&path).unwrap(), b"precious");
        drop(first);
        create(&path, None).unwrap();
        assert_eq!(fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn a_pipe_that_nobody_reads_is_refused_and_one_with_a_reader_is_written_to() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(MODE),
            0,
        )
        .unwrap();
        let error = create(&path, None).unwrap_err().to_string();
        assert!(error.starts_with("this pipe has no reader: start the reader first"), "{error}");
        let _reader = open_options(OFlags::empty()).unwrap().read(true).open(&path).unwrap();
        let file = create(&path, None).unwrap();
        assert!(file.metadata().unwrap().file_type().is_fifo());
        assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
    }
}
