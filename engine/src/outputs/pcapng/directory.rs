//! The directory that files go to: made if need be, and tidied of what an earlier run has left
//! unfinished.

use std::ffi::{OsStr, OsString};
use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::loss_report::Tell;
use super::name::{Names, PART, ZST, repeated};
use super::secure_open::{self, Owner, lock, open_own};
use crate::config::Fsync;

/// Only the owner may look into a directory that we make for files.
const DIRECTORY_MODE: u32 = 0o700;
/// Others may pass through those above it, which stay ours: who owns the directory above could put
/// another one in the place of the one that we write to.
const ABOVE_MODE: u32 = 0o711;

/// What is known of a directory before anything is written there.
#[derive(Debug, Default)]
pub(super) struct Prepared {
    /// Number of the next file.
    pub(super) number: u64,
    /// Names of files that an earlier run had not finished.
    pub(super) finished: Vec<OsString>,
}

/// Makes the directory, and tidies up what is in it.
pub(super) fn prepare(names: &Names, owner: Option<Owner>, tell: &Tell) -> io::Result<Prepared> {
    make_directory(names.directory(), owner)?;
    let own = own_files(names)?;
    let finished = finish_leftovers(&own, tell);
    if !finished.is_empty() {
        let (count, directory) = (finished.len(), names.directory().display());
        tell(format!(
            "{count} files of an earlier run in {directory} were not finished, their ends may be missing"
        ));
    }
    let number = own.iter().map(|file| file.number).max().unwrap_or(0) + 1;
    Ok(Prepared { number, finished })
}

/// Makes a directory for files, and those above it, as far as they are not there. The owner gets
/// the directory alone.
pub(super) fn make_directory(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let mode = if owner.is_some() { ABOVE_MODE } else { DIRECTORY_MODE };
    path.parent().map_or(Ok(()), |parent| make_all(parent, mode))?;
    make_all(path, DIRECTORY_MODE)?;
    secure_open::give(&secure_open::open_directory(path)?, owner)
}

fn make_all(path: &Path, mode: u32) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    path.parent().map_or(Ok(()), |parent| make_all(parent, mode))?;
    match DirBuilder::new().mode(mode).create(path) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => Ok(()),
        created => created,
    }
}

/// Brings onto the disk which files are in a directory, if that is asked for.
pub(super) fn sync_directory(path: &Path, fsync: Fsync) -> io::Result<()> {
    if fsync == Fsync::Never { Ok(()) } else { File::open(path)?.sync_all() }
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

impl Own {
    /// Whether it is compressed, or being so.
    pub(super) fn is_compressed(&self) -> bool {
        self.name.as_bytes().ends_with(ZST)
    }
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

/// Gives the files that an earlier run has left unfinished their names, and removes what it had
/// begun to compress; those that somebody writes stay as they are. Returns the names of those that
/// got theirs.
pub(super) fn finish_leftovers(own: &[Own], tell: &Tell) -> Vec<OsString> {
    let finish = |file: &Own| {
        finish_leftover(file).unwrap_or_else(|error| {
            tell(format!("cannot finish {} of an earlier run: {error}", file.path.display()));
            None
        })
    };
    own.iter().filter(|file| !file.is_whole).filter_map(finish).collect()
}

fn finish_leftover(file: &Own) -> io::Result<Option<OsString>> {
    let Some(left) = open_own(&file.path)? else { return Ok(None) };
    if !lock(&left)? {
        return Ok(None);
    }
    if file.is_compressed() {
        // What it was made of is still there.
        return fs::remove_file(&file.path).map(|()| None);
    }
    match rename(&file.path, &file.path.with_file_name(&file.name)) {
        // Somebody else was quicker.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => Ok(renamed?.file_name().map(OsStr::to_owned)),
    }
}

/// Renames a file without overwriting another one: that it would be the same name, it gets a number
/// behind it. Returns the name.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<PathBuf> {
    let name = to.file_name().unwrap_or_default();
    let mut target = to.to_owned();
    for times in 2.. {
        match renameat_with(CWD, from, CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(target),
            // A file system that does not know how: between question and answer somebody might
            // come, though not of ours.
            Err(Errno::INVAL) if !target.try_exists()? => {
                return fs::rename(from, &target).map(|()| target);
            }
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
    use std::sync::Arc;

    use super::*;
    use crate::config::FileName;

    #[test]
    fn directories_are_made_for_their_owner_and_those_that_are_there_stay() {
        let dir = tempfile::tempdir().unwrap();
        let inner = dir.path().join("a/b");
        let owner =
            fs::metadata(dir.path()).map(|it| Owner { user: it.uid(), group: it.gid() }).unwrap();
        make_directory(&inner, Some(owner)).unwrap();
        make_directory(&inner, Some(owner)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([inner.parent().unwrap(), &inner].map(mode), [0o711, 0o700]);
        let ours = dir.path().join("c/d");
        make_directory(&ours, None).unwrap();
        assert_eq!([ours.parent().unwrap(), &ours].map(mode), [0o700; 2]);
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
        assert!(lock(&busy).unwrap());
        let own = own_files(&names).unwrap();
        assert_eq!(own.iter().map(|file| file.number).max(), Some(3));
        let silent: Tell = Arc::new(|said: String| assert_eq!(said, ""));
        assert_eq!(finish_leftovers(&own, &silent), ["x-000001-2.pcapng"]);
        let mut left: Vec<_> =
            fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        left.sort();
        assert_eq!(
            left,
            [
                "x-000001-2.pcapng",
                "x-000001.pcapng",
                "x-000003.pcapng.part",
                "y-000004.pcapng.part"
            ]
        );
        assert_eq!(fs::read(dir.path().join("x-000001.pcapng")).unwrap(), b"x-000001.pcapng");
    }
}
