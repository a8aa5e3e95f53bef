//! Socket options that rustix does not have.

use std::io;
use std::mem::size_of_val;
use std::os::fd::{AsRawFd, BorrowedFd};

use libc::{c_int, socklen_t};

/// Options that the libc crate does not name
/// ([`include/uapi/asm-generic/socket.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/asm-generic/socket.h)).
const SO_MEMINFO: c_int = 55;

/// Words of `SO_MEMINFO`, and the one that counts drops
/// ([`include/uapi/linux/sock_diag.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/sock_diag.h)).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// Sets a socket option whose value is an `int`.
///
/// # Errors
///
/// The errno of the system call.
pub(crate) fn set_int(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: c_int,
) -> io::Result<()> {
    set_bytes(fd, level, name, &value.to_ne_bytes())
}

/// Lets a socket receive from one interface only (`SO_BINDTODEVICE`, socket(7)).
///
/// # Errors
///
/// The errno of the system call.
pub(crate) fn bind_to_device(fd: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    set_bytes(fd, libc::SOL_SOCKET, libc::SO_BINDTODEVICE, interface.as_bytes())
}

/// Makes an `AF_PACKET` socket ask for frames of an interface (`PACKET_ADD_MEMBERSHIP`, packet(7)),
/// without an address.
///
/// # Errors
///
/// The errno of the system call.
pub(crate) fn add_packet_membership(
    fd: BorrowedFd<'_>,
    if_index: u32,
    kind: u16,
) -> io::Result<()> {
    // struct packet_mreq: index, type, length of the address, 8 bytes for it.
    let mut request = [0; 16];
    request[..4].copy_from_slice(&if_index.to_ne_bytes());
    request[4..6].copy_from_slice(&kind.to_ne_bytes());
    set_bytes(fd, libc::SOL_PACKET, libc::PACKET_ADD_MEMBERSHIP, &request)
}

/// Sets a socket option whose value is these bytes. Only for options whose value holds no address
/// of this process.
fn set_bytes(fd: BorrowedFd<'_>, level: c_int, name: c_int, value: &[u8]) -> io::Result<()> {
    let len = socklen_t::try_from(value.len()).map_err(io::Error::other)?;
    // SAFETY: the kernel reads `len` bytes from `value`, which has as many, for the length of the
    // call; the callers' values hold no address for it to follow.
    let result =
        unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast(), len) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// Returns the number of datagrams that the kernel has lost for a socket since it was opened
/// (`SO_MEMINFO`, `SK_MEMINFO_DROPS`); it wraps.
///
/// # Errors
///
/// The errno of the system call.
pub(crate) fn dropped(fd: BorrowedFd<'_>) -> io::Result<u32> {
    let mut words = [0_u32; MEMINFO_WORDS];
    let mut len = socklen_t::try_from(size_of_val(&words)).map_err(io::Error::other)?;
    let value = words.as_mut_ptr().cast();
    // SAFETY: the kernel writes at most `len` bytes to `value`, which has as many for the length of
    // the call, and any bytes are valid words.
    let result = unsafe {
        libc::getsockopt(fd.as_raw_fd(), libc::SOL_SOCKET, SO_MEMINFO, value, &raw mut len)
    };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(words[MEMINFO_DROPS]) }
}
