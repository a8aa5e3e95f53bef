use std::io::Write;
use std::os::unix::fs::{FileTypeExt, symlink};

use super::*;

#[test]
fn with_an_owner_nobody_leads_us_to_other_files_and_without_one_links_are_followed() {
    let directory = tempfile::tempdir().unwrap();
    let [link, other] = ["link", "other"].map(|name| directory.path().join(name));
    fs::write(&other, "precious").unwrap();
    symlink(&other, &link).unwrap();
    let owner = fs::metadata(&other).map(|it| Owner { user: it.uid(), group: it.gid() }).unwrap();
    let error = create(&link, Some(owner), true).unwrap_err().to_string();
    assert_eq!(error, "it is a symbolic link, which is not followed if `owner` is set");
    assert!(open_no_follow(&link).unwrap().is_none());
    assert_eq!(fs::read(&other).unwrap(), b"precious");
    let another = owner.user + 1;
    let error =
        create(&other, Some(Owner { user: another, ..owner }), true).unwrap_err().to_string();
    assert_eq!(error, "it is not a regular file of `owner` with a single name");
    fs::hard_link(&other, directory.path().join("another name")).unwrap();
    assert!(create(&other, Some(owner), true).is_err());
    assert_eq!(fs::read(&other).unwrap(), b"precious");
    create(&link, None, true).unwrap();
    assert_eq!(fs::read(&other).unwrap(), b"");
    let dangling = directory.path().join("dangling");
    symlink(directory.path().join("new"), &dangling).unwrap();
    create(&dangling, None, true).unwrap();
    assert!(directory.path().join("new").exists());
}

#[test]
fn a_file_that_somebody_writes_is_not_emptied() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("a");
    let mut first = create(&path, None, true).unwrap();
    first.write_all(b"precious").unwrap();
    let error = create(&path, None, true).unwrap_err().to_string();
    // The file system of the test may not be one that /proc/locks names.
    let named = format!("process {} writes or compresses it", std::process::id());
    assert!([&named[..], "another process writes or compresses it"].contains(&&error[..]));
    assert_eq!(fs::read(&path).unwrap(), b"precious");
    drop(first);
    create(&path, None, true).unwrap();
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
    let error = create(&path, None, true).unwrap_err().to_string();
    assert!(error.starts_with("this pipe has no reader: start the reader first"), "{error}");
    let _reader = open_options(OFlags::empty()).unwrap().read(true).open(&path).unwrap();
    let file = create(&path, None, true).unwrap();
    assert!(file.metadata().unwrap().file_type().is_fifo());
    assert!(!fcntl_getfl(&file).unwrap().contains(OFlags::NONBLOCK));
}
