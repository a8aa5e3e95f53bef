//! Files that their owner alone may read, and that are what they seem: who may write to a directory
//! can have put something else there.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock};
use rustix::io::Errno;

/// Only the user that captures may read what was captured.
const MODE: u32 = 0o600;
/// How often a file is opened that is another one when it is locked.
const TRIES: usize = 3;

/// User and group that files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Number of the user.
    pub(crate) user: u32,
    /// Number of the group.
    pub(crate) group: u32,
}

/// Creates the file at a path for its owner, or empties the one that is there. What is no regular
/// file is written to as it is. Where files belong to somebody else, that is refused to be led
/// elsewhere, and to take what is not his. A file that somebody writes is refused.
pub(super) fn create(path: &Path, owner: Option<Owner>) -> io::Result<File> {
    for _ in 0..TRIES {
        match create_new(path, owner) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        if let Some(file) = take_over(path, owner)? {
            return Ok(file);
        }
    }
    Err(io::Error::other("somebody puts others in its place all the time"))
}

/// Empties the file at a path; `None` if another one has come to be there meanwhile.
fn take_over(path: &Path, owner: Option<Owner>) -> io::Result<Option<File>> {
    let flags = if owner.is_some() { OFlags::NOFOLLOW } else { OFlags::empty() };
    let mut options = options(flags)?;
    // It may be a link to a file that is not there.
    options.write(true).create(owner.is_none()).truncate(false).mode(MODE);
    let file = options.open(path).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::LOOP) => io::Error::other("it is a symbolic link, and with an owner that is not followed"),
        Some(Errno::NXIO) => io::Error::other(
            "nobody reads this pipe: begin with the program that does, or take `type = \"stream\"`, `to = \"fifo\"`",
        ),
        _ => error,
    })?;
    // What is there may make the writing wait.
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    let is_file = file.metadata()?.is_file();
    if owner.is_some() && !(is_file && is_own(&file, owner)?) {
        return Err(io::Error::other("it is no file of the owner alone"));
    }
    if !is_file {
        return Ok(Some(file));
    }
    // Where there are no locks, nobody has one.
    if !lock(&file).unwrap_or(true) {
        return Err(io::Error::other("somebody writes or compresses it"));
    }
    if !is_at(&file, path)? {
        return Ok(None);
    }
    give(&file, owner)?;
    // Private before empty, so that nothing is in the file that somebody else may read.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.set_len(0)?;
    Ok(Some(file))
}

/// Creates a file for its owner at a path where nothing may be, and marks it as one that somebody
/// writes.
pub(super) fn create_new(path: &Path, owner: Option<Owner>) -> io::Result<File> {
    let file = OpenOptions::new().write(true).create_new(true).mode(MODE).open(path)?;
    // Before that, somebody may have taken it for one that was left behind.
    if !lock(&file).unwrap_or(true) || !is_at(&file, path)? {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    give(&file, owner).inspect_err(|_| {
        // There is nothing in it, and whether it can be removed says nothing new.
        let _ = fs::remove_file(path);
    })?;
    Ok(file)
}

/// Whether a path leads to a file.
fn is_at(file: &File, path: &Path) -> io::Result<bool> {
    let here = file.metadata()?;
    match fs::metadata(path) {
        Ok(there) => Ok((here.dev(), here.ino()) == (there.dev(), there.ino())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(error),
    }
}

/// How to open what is at a path, without waiting.
fn options(flags: OFlags) -> io::Result<OpenOptions> {
    let flags = i32::try_from((flags | OFlags::NONBLOCK).bits()).map_err(io::Error::other)?;
    let mut options = OpenOptions::new();
    options.custom_flags(flags);
    Ok(options)
}

/// Opens a file for reading, not what it leads to; `None` if there is none any more. Over NFS, who
/// wants a lock has to be able to write.
pub(super) fn open_own(path: &Path) -> io::Result<Option<File>> {
    match options(OFlags::NOFOLLOW)?.read(true).write(true).open(path) {
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

/// Whether a file belongs to whom our files belong, and has no other name.
pub(super) fn is_own(file: &File, owner: Option<Owner>) -> io::Result<bool> {
    let it = file.metadata()?;
    let ours = || rustix::process::geteuid().as_raw();
    Ok(it.uid() == owner.map_or_else(ours, |owner| owner.user) && it.nlink() == 1)
}

/// Gives a file or a directory to its owner.
pub(super) fn give(file: &File, owner: Option<Owner>) -> io::Result<()> {
    owner.map_or(Ok(()), |Owner { user, group }| fchown(file, Some(user), Some(group)))
}

/// Marks a file as one that somebody writes, until it is closed; says whether nobody else had.
///
/// # Errors
///
/// Where a file system has no locks.
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
        assert_eq!(error, "it is a symbolic link, and with an owner that is not followed");
        assert!(open_own(&link).unwrap().is_none());
        assert_eq!(fs::read(&other).unwrap(), b"precious");
        let another = owner.user + 1;
        let error = create(&other, Some(Owner { user: another, ..owner })).unwrap_err().to_string();
        assert_eq!(error, "it is no file of the owner alone");
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
        assert_eq!(error, "somebody writes or compresses it");
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
        assert!(
            error.starts_with("nobody reads this pipe: begin with the program that does"),
            "{error}"
        );
        let _reader = options(OFlags::empty()).unwrap().read(true).open(&path).unwrap();
        let file = create(&path, None).unwrap();
        assert!(file.metadata().unwrap().file_type().is_fifo());
        assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
    }
}
