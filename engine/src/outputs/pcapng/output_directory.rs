//! The directory of an output's files: creates it, lists and renames files, and recovers those that
//! an earlier run left unfinished.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, RenameFlags, renameat_with};
use rustix::io::Errno;

use super::file_names::{FileNames, NameMatch, PART_SUFFIX, ZST_SUFFIX, repeated};
use super::loss_report::LogFn;
use super::secure_open::{self, Owner, lock, open_no_follow};
use crate::config::Fsync;
use crate::outputs::parent_directory::create_all;
use crate::plural::counted;

/// Mode of a directory created for files: only its owner has access.
const DIRECTORY_MODE: u32 = 0o700;
/// Mode of the directories created above it if files have an owner. They stay this process's, since
/// the owner of a parent directory could replace the directory of the files; other users may only
/// pass through.
const PARENT_MODE: u32 = 0o711;

/// State of a directory before files are written to it.
#[derive(Debug, Default)]
pub(super) struct DirectoryState {
    /// Number of the next file.
    pub(super) next_number: u64,
    /// Names of files that an earlier run had not finished.
    pub(super) recovered: Vec<OsString>,
}

/// Creates the directory and recovers the unfinished files in it.
pub(super) fn prepare(
    names: &FileNames,
    owner: Option<Owner>,
    log: &LogFn,
) -> io::Result<DirectoryState> {
    create_directory(names.directory(), owner)?;
    let files = list_files(names)?;
    let recovered = recover_files(&files, log);
    if !recovered.is_empty() {
        let (files, directory) = (counted(recovered.len(), "file"), names.directory().display());
        log(format!(
            "{directory} has {files} that an earlier run did not finish; last frames may be missing"
        ));
    }
    let next_number = files.iter().map(|file| file.number).max().unwrap_or(0) + 1;
    Ok(DirectoryState { next_number, recovered })
}

/// Creates a directory for files and its missing parents. Only the directory itself is given to
/// `owner`.
pub(super) fn create_directory(path: &Path, owner: Option<Owner>) -> io::Result<()> {
    if path.as_os_str().is_empty() || path.is_dir() {
        return Ok(());
    }
    let mode = if owner.is_some() { PARENT_MODE } else { DIRECTORY_MODE };
    path.parent().map_or(Ok(()), |parent| create_all(parent, mode))?;
    create_all(path, DIRECTORY_MODE)?;
    secure_open::set_owner(&secure_open::open_directory(path)?, owner)
}

/// Syncs the entries of a directory to disk, unless `fsync` is off.
pub(super) fn sync_directory(path: &Path, fsync: Fsync) -> io::Result<()> {
    if fsync == Fsync::Never { Ok(()) } else { File::open(path)?.sync_all() }
}

/// A file of an output.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct OutputFile {
    pub(super) path: PathBuf,
    /// Number in its name; 0 if the name has none.
    pub(super) number: u64,
    /// `true` if undeclared senders have caused it.
    pub(super) is_undeclared: bool,
    /// `true` if it is complete, compressed or not.
    pub(super) is_complete: bool,
    /// Final name, without the suffix of incomplete files.
    pub(super) name: OsString,
}

impl OutputFile {
    /// Returns whether it is compressed or being compressed.
    pub(super) fn is_compressed(&self) -> bool {
        self.name.as_bytes().ends_with(ZST_SUFFIX)
    }
}

/// Returns the files of an output in its directory, in no order.
pub(super) fn list_files(names: &FileNames) -> io::Result<Vec<OutputFile>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(names.directory())? {
        let entry = entry?;
        let name = entry.file_name();
        let bytes = name.as_bytes();
        let complete = bytes.strip_suffix(PART_SUFFIX).unwrap_or(bytes);
        let plain = complete.strip_suffix(ZST_SUFFIX).unwrap_or(complete);
        let Some(found) = names.matches(OsStr::from_bytes(plain)) else { continue };
        if !entry.file_type()?.is_file() {
            continue;
        }
        let (is_complete, name) =
            (complete.len() == bytes.len(), OsString::from_vec(complete.to_owned()));
        let (path, NameMatch { number, is_undeclared }) = (entry.path(), found);
        files.push(OutputFile { path, number, is_undeclared, is_complete, name });
    }
    Ok(files)
}

/// Renames the unfinished files of an earlier run to their final names and removes its incomplete
/// compressed files. Files that another process writes to stay as they are. Returns the names of
/// the renamed files.
pub(super) fn recover_files(files: &[OutputFile], log: &LogFn) -> Vec<OsString> {
    let recover = |file: &OutputFile| {
        recover_file(file).unwrap_or_else(|error| {
            log(format!("cannot finish {} of an earlier run: {error}", file.path.display()));
            None
        })
    };
    files.iter().filter(|file| !file.is_complete).filter_map(recover).collect()
}

fn recover_file(file: &OutputFile) -> io::Result<Option<OsString>> {
    let Some(left) = open_no_follow(&file.path)? else { return Ok(None) };
    if !lock(&left)? {
        return Ok(None);
    }
    if file.is_compressed() {
        // The original still exists.
        return fs::remove_file(&file.path).map(|()| None);
    }
    match rename(&file.path, &file.path.with_file_name(&file.name)) {
        // Another process has renamed it since.
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        renamed => Ok(renamed?.file_name().map(OsStr::to_owned)),
    }
}

/// Renames a file without overwriting another one: if the name is taken, a number is added to it.
/// Returns the final path.
pub(super) fn rename(from: &Path, to: &Path) -> io::Result<PathBuf> {
    let name = to.file_name().unwrap_or_default();
    let mut target = to.to_owned();
    for times in 2.. {
        match renameat_with(CWD, from, CWD, &target, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(target),
            // The file system does not support NOREPLACE. Another program could create the target
            // between the check and the rename; no process of vxtap does.
            Err(Errno::INVAL) if !target.try_exists()? => {
                return fs::rename(from, &target).map(|()| target);
            }
            Err(Errno::EXIST | Errno::INVAL) => target = to.with_file_name(repeated(name, times)),
            Err(error) => return Err(error.into()),
        }
    }
    unreachable!("there are fewer files than numbers")
}

/// Returns a path with a suffix added to its name.
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
        create_directory(&inner, Some(owner)).unwrap();
        create_directory(&inner, Some(owner)).unwrap();
        let mode = |path: &Path| fs::metadata(path).unwrap().mode() & 0o777;
        assert_eq!([inner.parent().unwrap(), &inner].map(mode), [0o711, 0o700]);
        let ours = dir.path().join("c/d");
        create_directory(&ours, None).unwrap();
        assert_eq!([ours.parent().unwrap(), &ours].map(mode), [0o700; 2]);
        fs::write(inner.join("file"), "").unwrap();
        assert!(create_directory(&inner.join("file/x"), None).is_err());
    }

    #[test]
    fn what_an_earlier_run_left_gets_its_name_and_overwrites_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x-{number}.pcapng");
        let names = FileNames::new(&path, FileName::of(&path).unwrap(), 0);
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
        let files = list_files(&names).unwrap();
        assert_eq!(files.iter().map(|file| file.number).max(), Some(3));
        let silent: LogFn = Arc::new(|message: String| assert_eq!(message, ""));
        assert_eq!(recover_files(&files, &silent), ["x-000001-2.pcapng"]);
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
