//! Refuses files and links that another user can have put at the path of an output.
//!
//! The kernel does so with `fs.protected_symlinks`, `fs.protected_regular` and `fs.protected_fifos`
//! (Linux, Documentation/admin-guide/sysctl/fs.rst), in sticky directories and if they are on. The
//! rules here hold always, and in every directory that others may write to.

use std::ffi::OsString;
use std::io;
use std::os::unix::ffi::OsStringExt;
use std::path::{Path, PathBuf};

use rustix::fs::{
    CWD, FileType, Mode, OFlags, PROC_SUPER_MAGIC, Stat, fstat, fstatfs, openat, readlinkat, stat,
};

/// Returns the path that a symbolic link leads to if the link belongs to this process's user or to
/// root; `None` for a link of procfs, which leads to an open file.
///
/// # Errors
///
/// A sentence that says that the link belongs to another user.
pub(super) fn followed_link(path: &Path) -> io::Result<Option<PathBuf>> {
    let link = openat(CWD, path, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    if fstatfs(&link)?.f_type == PROC_SUPER_MAGIC {
        return Ok(None);
    }
    check_link(&fstat(&link)?)?;
    // Read through the descriptor, so that it is the link that was checked.
    let target = OsString::from_vec(readlinkat(&link, "", Vec::new())?.into_bytes());
    Ok(Some(directory_of(path).join(target)))
}

fn check_link(link: &Stat) -> io::Result<()> {
    if is_trusted(link.st_uid) {
        return Ok(());
    }
    let user = link.st_uid;
    Err(io::Error::other(format!(
        "it is a symbolic link of another user (ID {user}), which is not followed: name the file that it leads to"
    )))
}

/// Returns an error if another user can have put the file at `path` into a directory that others
/// may write to.
pub(super) fn check(path: &Path, file: &Stat) -> io::Result<()> {
    if FileType::from_raw_mode(file.st_mode) == FileType::CharacterDevice {
        return Ok(());
    }
    let directory = stat(directory_of(path))?;
    let is_open = Mode::from_raw_mode(directory.st_mode).intersects(Mode::WOTH | Mode::WGRP);
    let is_regular = FileType::from_raw_mode(file.st_mode) == FileType::RegularFile;
    let is_owned = is_trusted(file.st_uid) || file.st_uid == directory.st_uid;
    if !is_open || (is_owned && !(is_regular && file.st_nlink > 1)) {
        return Ok(());
    }
    let what = if is_owned { "has several names" } else { "belongs to another user" };
    Err(io::Error::other(format!("it {what}, in a directory that others may write to: remove it")))
}

/// Returns whether files of this user are as good as our own.
fn is_trusted(user: u32) -> bool {
    [0, rustix::process::geteuid().as_raw()].contains(&user)
}

fn directory_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    #[test]
    fn what_another_user_can_have_put_there_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let [file, link] = ["file", "link"].map(|name| directory.path().join(name));
        fs::write(&file, "precious").unwrap();
        symlink("file", &link).unwrap();
        assert_eq!(followed_link(&link).unwrap().as_ref(), Some(&file));
        assert_eq!(followed_link(Path::new("/proc/self/fd/0")).unwrap(), None);
        let own = stat(&file).unwrap();
        let mut theirs = own;
        theirs.st_uid = 4_242;
        let mut linked = own;
        linked.st_nlink = 2;
        let error = check_link(&theirs).unwrap_err().to_string();
        assert!(error.starts_with("it is a symbolic link of another user (ID 4242)"), "{error}");
        check(&file, &theirs).unwrap();
        for mode in [0o1777, 0o777, 0o770] {
            fs::set_permissions(directory.path(), Permissions::from_mode(mode)).unwrap();
            check(&file, &own).unwrap();
            let error = check(&file, &theirs).unwrap_err().to_string();
            assert!(error.starts_with("it belongs to another user, in a directory"), "{error}");
            let error = check(&file, &linked).unwrap_err().to_string();
            assert!(error.starts_with("it has several names, in a directory"), "{error}");
        }
    }
}
