//! Files that their owner alone may read, and that are what they seem: who may write to a directory can have put something else there.

use std::fs::{File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock};
use rustix::io::Errno;

/// Only the user that captures may read what was captured.
pub(super) const MODE: u32 = 0o600;

/// User and group that files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Number of the user.
    pub(crate) user: u32,
    /// Number of the group.
    pub(crate) group: u32,
}

/// Creates the file at a path, or empties the one that is there. What is no regular file is written to as it is. Where files belong to somebody
/// else, that is refused to be led elsewhere by a symbolic link, and to take what belongs to others.
pub(super) fn create(path: &Path, owner: Option<Owner>) -> io::Result<File> {
    let flags = if owner.is_some() { OFlags::NOFOLLOW } else { OFlags::empty() };
    // Private before empty, so that nothing is in the file that somebody else may read.
    let opened = options(flags)?.write(true).create(true).truncate(false).mode(MODE).open(path);
    let file = opened.map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link, and with an owner that is not followed"),
        Some(Errno::NXIO) => io::Error::other(
            "nobody reads this pipe: begin with the program that does, or take `type = \"stream\"`, `to = \"fifo\"`",
        ),
        _ => error,
    })?;
    // What is there may make the writing wait.
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    if file.metadata()?.is_file() {
        if owner.is_some() && !is_own(&file, owner)? {
            return Err(io::Error::other("it belongs to somebody else"));
        }
        file.set_permissions(Permissions::from_mode(MODE))?;
        file.set_len(0)?;
    }
    Ok(file)
}

/// Creates a file at a path where nothing may be.
pub(super) fn create_new(path: &Path) -> io::Result<File> {
    OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)
}

/// How to open what is at a path, without waiting.
fn options(flags: OFlags) -> io::Result<OpenOptions> {
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.custom_flags(flags);
    Ok(options)
}

/// Opens a file for reading, not what it leads to; `None` if there is none any more.
pub(super) fn open_own(path: &Path) -> io::Result<Option<File>> {
    match options(OFlags::NOFOLLOW)?.read(true).open(path) {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::NOENT | Errno::LOOP) => Ok(None),
            _ => Err(error),
        },
    }
}

/// Opens a directory, not what it leads to.
pub(super) fn open_directory(path: &Path) -> io::Result<File> {
    options(OFlags::NOFOLLOW | OFlags::DIRECTORY)?.read(true).open(path)
}

/// Whether a file belongs to us, or to whom our files belong.
pub(super) fn is_own(file: &File, owner: Option<Owner>) -> io::Result<bool> {
    let user = file.metadata()?.uid();
    Ok(user == rustix::process::geteuid().as_raw() || owner.is_some_and(|owner| owner.user == user))
}

/// Gives a file or a directory to its owner.
pub(super) fn give(file: &File, owner: Option<Owner>) -> io::Result<()> {
    owner.map_or(Ok(()), |Owner { user, group }| fchown(file, Some(user), Some(group)))
}

/// Marks a file as one that somebody writes, until it is closed; says whether nobody else had. Where a file system has no locks nobody has, and
/// an engine that starts beside another one takes its files for some that were left behind.
pub(super) fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::{FileTypeExt, symlink};

    use super::*;

    #[test]
    fn with_an_owner_nobody_leads_us_to_other_files_and_without_one_links_are_followed() {
        let directory = tempfile::tempdir().unwrap();
        let [link, other] = ["link", "other"].map(|name| directory.path().join(name));
        fs::write(&other, "precious").unwrap();
        symlink(&other, &link).unwrap();
        let owner = fs::metadata(&other).map(|it| Owner { user: it.uid(), group: it.gid() }).unwrap();
        let error = create(&link, Some(owner)).unwrap_err().to_string();
        assert_eq!(error, "it is a symbolic link, and with an owner that is not followed");
        assert!(open_own(&link).unwrap().is_none());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        create(&link, None).unwrap();
        assert_eq!(fs::read(&other).unwrap(), b"");
        assert!(open_own(&other).unwrap().is_some_and(|file| is_own(&file, None).unwrap()));
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
        assert!(error.starts_with("nobody reads this pipe: begin with the program that does"), "{error}");
        let _reader = options(OFlags::empty()).unwrap().read(true).open(&path).unwrap();
        let file = create(&path, None).unwrap();
        assert!(file.metadata().unwrap().file_type().is_fifo());
        assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
    }
}
