//! Memory that can be shared with other processes: files in memory (`memfd_create(2)`) whose size
//! is fixed for good.
//!
//! `F_SEAL_SHRINK` protects this process from a `SIGBUS`, whatever the other process does to the
//! file. With `F_SEAL_FUTURE_WRITE` no process, this one included, can map the file writable a
//! second time, or write to it or punch holes into it (fcntl(2)).

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{
    MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, ftruncate, memfd_create,
};

use rustix::io::Errno;

use super::mapping::Mapping;

/// Access of another process to the memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Access {
    /// Read it.
    Read,
    /// Read and write it.
    Write,
}

const SIZE: SealFlags = SealFlags::SHRINK.union(SealFlags::GROW);

/// Flags of every file: closed on exec, and not sealed yet.
const FLAGS: MemfdFlags = MemfdFlags::CLOEXEC.union(MemfdFlags::ALLOW_SEALING);

/// Makes an empty file in memory that can be sealed, with `flags` beside those that all have. No
/// process can execute it (`MFD_NOEXEC_SEAL`, Linux 6.3).
///
/// # Errors
///
/// The errno of the system call.
pub(crate) fn file(name: &CStr, flags: MemfdFlags) -> io::Result<OwnedFd> {
    match memfd_create(name, FLAGS | MemfdFlags::NOEXEC_SEAL | flags) {
        // Older kernels do not know the flag.
        Err(Errno::INVAL) => Ok(memfd_create(name, FLAGS | flags)?),
        created => Ok(created?),
    }
}

/// Makes sealed memory of `len` bytes, zeroed, mapped here for writing.
///
/// # Errors
///
/// The errno of the system call that failed.
pub(crate) fn create(name: &CStr, len: usize, access: Access) -> io::Result<(OwnedFd, Mapping)> {
    let file = file(name, MemfdFlags::empty())?;
    ftruncate(&file, len as u64)?;
    let mapping = Mapping::of_file(file.as_fd(), len, 0)?;
    seal(file.as_fd(), access)?;
    Ok((file, mapping))
}

/// Makes a file with these bytes, which never change.
///
/// # Errors
///
/// The errno of the system call that failed.
pub(crate) fn text(name: &CStr, bytes: &[u8]) -> io::Result<OwnedFd> {
    let mut file = File::from(file(name, MemfdFlags::empty())?);
    file.write_all(bytes)?;
    seal(file.as_fd(), Access::Read)?;
    Ok(file.into())
}

/// Seals a file that is mapped here.
///
/// # Errors
///
/// The errno of the system call.
pub(crate) fn seal(file: BorrowedFd<'_>, access: Access) -> io::Result<()> {
    let writing = match access {
        Access::Read => SealFlags::FUTURE_WRITE,
        Access::Write => SealFlags::empty(),
    };
    Ok(fcntl_add_seals(file, writing | SIZE | SealFlags::SEAL)?)
}

/// Maps all of the sealed memory that another process has made.
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
    fn nobody_can_make_the_memory_executable_if_the_kernel_has_a_seal_for_that() {
        use std::os::unix::fs::PermissionsExt;
        let (file, _ours) = create(c"vxtap-test", 4096, Access::Write).unwrap();
        let file = File::from(file);
        let sealed = memfd_create(c"vxtap-test", MemfdFlags::NOEXEC_SEAL);
        let has_seal = !matches!(sealed, Err(Errno::INVAL));
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o111 == 0, has_seal);
        let changed = file.set_permissions(std::fs::Permissions::from_mode(0o700));
        assert_eq!(changed.is_err(), has_seal);
    }

    #[test]
    fn memory_that_is_not_sealed_is_refused() {
        let file = file(c"vxtap-test", MemfdFlags::empty()).unwrap();
        assert_eq!(
            open(file.as_fd(), Access::Read).unwrap_err().kind(),
            io::ErrorKind::InvalidData
        );
    }
}
