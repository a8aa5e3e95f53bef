//! The directory that files go to: made if need be, and tidied of what an earlier run has left unfinished.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{DirBuilderExt, chown};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with};
use rustix::io::Errno;

use super::name::{Names, PART, ZST, repeated};

/// Only the owner may look into a directory that we make.
const DIRECTORY_MODE: u32 = 0o700;

/// User and group that files belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Owner {
    /// Number of the user.
    pub(crate) user: u32,
    /// Number of the group.
    pub(crate) group: u32,
}

/// Makes a directory and those above it, as far as they are not there.
pub(super) fn make_directory(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    if let Some(parent) = path.parent() {
        make_directory(parent, owner)?;
    }
    match DirBuilder::new().mode(DIRECTORY_MODE).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
        made => made?,
    }
    owner.map_or(Ok(()), |Owner { user, group }| chown(path, Some(user), Some(group)))
}

/// A file of an output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Own {
    pub(super) path: PathBuf,
    /// In its name; 0 if it has none.
    pub(super) number: u64,
    /// Whether it is whole, compressed or not.
    pub(super) is_whole: bool,
    /// What it is called, or to be called, without what says that it is not whole.
    pub(super) name: OsString,
}

/// The files of an output in its directory, in no order.
pub(super) fn own_files(names: &Names) -> io::Result<Vec<Own>> {
    let mut own = Vec::new();
    for entry in fs::read_dir(names.directory())? {
        let entry = entry?;
        let name = entry.file_name();
        let bytes = name.as_bytes();
        let whole = bytes.strip_suffix(PART).unwrap_or(bytes);
        let plain = whole.strip_suffix(ZST).unwrap_or(whole);
        let Some(number) = names.matches(OsStr::from_bytes(plain)) else { continue };
        if !entry.file_type()?.is_file() {
            continue;
        }
        let (is_whole, name) = (whole.len() == bytes.len(), OsString::from_vec(whole.to_owned()));
        own.push(Own { path: entry.path(), number, is_whole, name });
    }
    Ok(own)
}

/// Marks a file as one that somebody writes, until it is closed; says whether nobody else had. Where a file system has no locks nobody has, and
/// an engine that starts beside another one takes its files for some that were left behind.
pub(super) fn lock(file: &File) -> bool {
    flock(file, FlockOperation::NonBlockingLockExclusive) != Err(Errno::WOULDBLOCK)
}

/// Gives the files that an earlier run has left unfinished their names, and removes what it had begun to compress; those that somebody writes
/// stay as they are. Returns how many got their names.
pub(super) fn finish_leftovers(own: &[Own]) -> io::Result<usize> {
    let mut finished = 0;
    for file in own.iter().filter(|file| !file.is_whole) {
        if !lock(&File::open(&file.path)?) {
            continue;
        }
        if file.name.as_bytes().ends_with(ZST) {
            // What it was made of is still there.
            fs::remove_file(&file.path)?;
        } else {
            rename(&file.path, &file.path.with_file_name(&file.name))?;
            finished += 1;
        }
    }
    Ok(finished)
}

/// Renames a file without overwriting another one: that it would be the same name, it gets a number behind it. Returns the name.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<PathBuf> {
    let name = to.file_name().unwrap_or_default();
    let mut target = to.to_owned();
    for times in 2.. {
        match renameat_with(CWD, from, CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(target),
            // A file system that does not know how: between question and answer somebody might come, though not of ours.
            Err(Errno::INVAL) if !target.try_exists()? => return fs::rename(from, &target).map(|()| target),
            Err(Errno::EXIST | Errno::INVAL) => target = to.with_file_name(repeated(name, times)),
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("there are fewer files than numbers")
}

/// A path with more at its end.
pub(super) fn with_suffix(path: &Path, suffix: &[u8]) -> PathBuf {
    PathBuf::from(OsString::from_vec([path.as_os_str().as_bytes(), suffix].concat()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;
    use crate::config::FileName;

    #[test]
    fn directories_are_made_for_their_owner_and_those_that_are_there_stay() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let owner = fs::metadata(dir.path()).map(|it| Owner { user: it.uid(), group: it.gid() }).unwrap();
        make_directory(&inner, Some(owner)).unwrap();
        make_directory(&inner, Some(owner)).unwrap();
        assert_eq!(
            [inner.parent().unwrap(), &inner].map(|path| fs::metadata(path).unwrap().mode() & 0o777),
            [0o700; 2]
        );
        fs::write(inner.join("file"), "").unwrap();
        assert!(make_directory(&inner.join("file/x"), None).is_err());
    }

    #[test]
    fn what_an_earlier_run_left_gets_its_name_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-{number}.pcapng");
        let names = Names::new(&path, FileName::of(&path).unwrap(), 0);
        let write = |name: &str| fs::write(dir.path().join(name), name).unwrap();
        [
            "x-000001.pcapng",
            "x-000001.pcapng.part",
            "x-000002.pcapng.zst.part",
            "x-000003.pcapng.part",
            "y-000004.pcapng.part",
        ]
        .into_iter()
        .for_each(write);
        let busy = File::open(dir.path().join("x-000003.pcapng.part")).unwrap();
        assert!(lock(&busy));
        let own = own_files(&names).unwrap();
        assert_eq!(own.iter().map(|file| file.number).max(), Some(3));
        assert_eq!(finish_leftovers(&own).unwrap(), 1);
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            ["x-000001-2.pcapng", "x-000001.pcapng", "x-000003.pcapng.part", "y-000004.pcapng.part"]
        );
        assert_eq!(fs::read(dir.path().join("x-000001.pcapng")).unwrap(), b"x-000001.pcapng");
    }
}
