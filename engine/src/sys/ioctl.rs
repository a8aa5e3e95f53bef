//! Interface ioctls (`netdevice(7)`).

use std::ffi::c_char;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Makes an interface ioctl whose argument is `request`.
///
/// # Errors
///
/// The errno of the system call.
///
/// # Safety
///
/// The memory that `request` points to, if `number` makes the kernel follow a pointer in it, must
/// be alive and writable for the call, and as large as the kernel takes it to be.
pub(super) unsafe fn interface_ioctl(
    fd: BorrowedFd<'_>,
    number: libc::c_ulong,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: interface ioctls read and write one ifreq, which `request` is; the memory that it
    // points to is the caller's promise.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), number as _, ptr::from_mut(request)) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns an interface's name in the form of `struct ifreq`: padded with NUL, at most 15 bytes.
///
/// # Errors
///
/// ENODEV if it is longer.
pub(super) fn interface_name(name: &str) -> io::Result<[c_char; libc::IFNAMSIZ]> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let mut padded = [0; libc::IFNAMSIZ];
    for (to, from) in padded.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(padded)
}
