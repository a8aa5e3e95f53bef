//! Opens private files safely in directories that other users can write to: the path may lead to
//! another file, a link or a pipe.

use std::borrow::Cow;
use std::fs::{self, File, OpenOptions, Permissions};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, OFlags, fcntl_getfl, fcntl_setfl, flock, fstat};
use rustix::io::Errno;

use crate::sys::lock_holder;

/// Mode of files: only the owner may read captured data.
const MODE: u32 = 0o600;
/// Largest number of attempts to open a file that is replaced before it is locked, links included.
const ATTEMPTS_MAX: usize = 8;

mod planted;

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
/// refused; without one, what another user can have put there is ([`planted`]). A file that another
/// process writes to is refused, and, without `may_truncate`, one that is not empty.
pub(super) fn create(path: &Path, owner: Option<Owner>, may_truncate: bool) -> io::Result<File> {
    let mut path = Cow::Borrowed(path);
    for _ in 0..ATTEMPTS_MAX {
        match create_new(&path, owner) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created,
        }
        match open_existing(&path, owner, may_truncate)? {
            Existing::Opened(file) => return Ok(file),
            Existing::Replaced => {}
            Existing::Link(target) => path = Cow::Owned(target),
        }
    }
    Err(io::Error::other(
        "another program keeps replacing the file, or it is a long chain of links",
    ))
}

/// Result of opening an existing file.
enum Existing {
    Opened(File),
    /// The path leads to another file by the time the file is locked.
    Replaced,
    /// It is a symbolic link to this path, which may be followed.
    Link(PathBuf),
}

/// Opens the file at `path` and truncates it.
fn open_existing(path: &Path, owner: Option<Owner>, may_truncate: bool) -> io::Result<Existing> {
    let file = match open_options(OFlags::NOFOLLOW)?.write(true).open(path) {
        Ok(file) => file,
        Err(error) => match Errno::from_io_error(&error) {
            Some(Errno::LOOP) if owner.is_some() => {
                return Err(io::Error::other(
                    "it is a symbolic link, which is not followed if `owner` is set",
                ));
            }
            Some(Errno::LOOP) => match planted::followed_link(path)? {
                Some(target) => return Ok(Existing::Link(target)),
                // A link to a descriptor, such as that of standard output, names nothing.
                None => open_options(OFlags::empty())?.write(true).open(path).map_err(opening)?,
            },
            Some(Errno::NOENT) => return Ok(Existing::Replaced),
            _ => return Err(opening(error)),
        },
    };
    // Writes to a pipe have to block.
    fcntl_setfl(&file, fcntl_getfl(&file)?.difference(OFlags::NONBLOCK))?;
    let is_file = file.metadata()?.is_file();
    if owner.is_some() && !(is_file && is_owned(&file, owner)?) {
        return Err(io::Error::other("it is not a regular file of `owner` with a single name"));
    }
    if owner.is_none() {
        planted::check(path, &fstat(&file)?)?;
    }
    if !is_file {
        return Ok(Existing::Opened(file));
    }
    // On a file system without locks no process holds one.
    if !lock(&file).unwrap_or(true) {
        let holder = lock_holder(&file)
            .map_or_else(|| "another process".to_owned(), |id| format!("process {id}"));
        return Err(io::Error::other(format!("{holder} writes or compresses it")));
    }
    if !is_at(&file, path)? {
        return Ok(Existing::Replaced);
    }
    if !may_truncate && file.metadata()?.len() > 0 {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "another file is there now"));
    }
    set_owner(&file, owner)?;
    // The mode is set before the file is truncated: no other user may read the new data.
    file.set_permissions(Permissions::from_mode(MODE))?;
    file.set_len(0)?;
    Ok(Existing::Opened(file))
}

/// Names the remedy for an error of opening an existing file.
fn opening(error: io::Error) -> io::Error {
    match Errno::from_io_error(&error) {
        Some(Errno::NXIO) => io::Error::other(
            "this pipe has no reader: start the reader first, or use `type = \"stream\"`, `to = \"fifo\"`",
        ),
        _ => error,
    }
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
mod tests;
