//! Memory that other processes can be given: files in memory whose size is fixed for good
//! (`memfd_create(2)`).
//!
//! `F_SEAL_SHRINK` keeps us from a `SIGBUS`, whatever the other process does to the file.
//! `F_SEAL_FUTURE_WRITE` means that nobody, we included, can map the file writable a second time,
//! or write to it or punch holes into it (fcntl(2)).

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{SealFlags, fcntl_get_seals};

use super::mapping::Mapping;
use super::syscall;

/// What another process may do with the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    Write,
}

const SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Makes memory of `len` bytes, zeroed, mapped here for writing.
pub(crate) fn create(name: &CStr, len: usize, access: Access) -> io::Result<(OwnedFd, Mapping)> {
    let file = syscall::memfd(name, 0)?;
    syscall::truncate(file.as_fd(), len)?;
    let mapping = Mapping::of_file(file.as_fd(), len, 0)?;
    seal(file.as_fd(), access)?;
    Ok((file, mapping))
}

/// Makes a file with these bytes, which never change.
pub(crate) fn text(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(syscall::memfd(name, 0)?);
    file.write_all(bytes)?;
    seal(file.as_fd(), Access::Read)?;
    Ok(file.into())
}

/// Seals a file that is mapped here.
pub(crate) fn seal(file: BorrowedFd<'_>, access: Access) -> io::Result<()> {
    let writing = match access {
        Access::Read => libc::F_SEAL_FUTURE_WRITE,
        Access::Write => 0,
    };
    syscall::add_seals(file, writing | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL)
}

/// Maps all of the memory that another process has made.
///
/// # Errors
///
/// If it could still change its size, so that reading it could end this process; or if the kernel
/// refuses.
pub(crate) fn open(file: BorrowedFd<'_>, access: Access) -> io::Result<Mapping> {
    if !fcntl_get_seals(file)?.contains(SIZE) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "memory of another process is not sealed",
        ));
    }
    let len = File::from(file.try_clone_to_owned()?).metadata()?.len();
    let len = usize::try_from(len).map_err(io::Error::other)?;
    match access {
        Access::Read => Mapping::of_file_for_reading(file, len),
        Access::Write => Mapping::of_file(file, len, 0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_for_reading_cannot_be_mapped_for_writing_or_written_to_or_resized() {
        let (file, _ours) = create(c"vxtap-test", 4096, Access::Read).unwrap();
        let error = open(file.as_fd(), Access::Write).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        assert_eq!(open(file.as_fd(), Access::Read).unwrap().len(), 4096);
        let file = File::from(file);
        assert!(std::os::unix::fs::FileExt::write_at(&file, b"x", 0).is_err());
        assert!(file.set_len(0).is_err());
        assert!(
            rustix::fs::fallocate(
                &file,
                rustix::fs::FallocateFlags::PUNCH_HOLE | rustix::fs::FallocateFlags::KEEP_SIZE,
                0,
                4096
            )
            .is_err()
        );
    }

    #[test]
    fn memory_for_writing_is_shared_and_cannot_be_resized() {
        let (file, ours) = create(c"vxtap-test", 4096, Access::Write).unwrap();
        let theirs = open(file.as_fd(), Access::Write).unwrap();
        // SAFETY: inside of the mapping, which is alive; the test alone has the memory.
        unsafe { theirs.at::<u8>(5, 1).write(7) };
        // SAFETY: as above.
        assert_eq!(unsafe { ours.at::<u8>(5, 1).read() }, 7);
        assert!(File::from(file).set_len(0).is_err());
    }

    #[test]
    fn memory_that_is_not_sealed_is_refused() {
        let file = syscall::memfd(c"vxtap-test", 0).unwrap();
        assert_eq!(
            open(file.as_fd(), Access::Read).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
