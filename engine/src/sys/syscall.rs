//! Thin wrappers around the system calls of this layer, one function per call. Each returns the
//! kernel's errno as [`io::Error`]; none retries or interprets.

use std::ffi::CStr;
use std::io;
use std::mem::size_of;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::ptr;

use libc::{c_int, c_void, socklen_t};

/// Turns a return value of -1 into the calling thread's errno.
fn checked(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

/// Types that the kernel may fill in: plain integers without padding, for which every bit pattern
/// is valid.
///
/// # Safety
///
/// The type must be such a one.
pub(crate) unsafe trait Plain: Copy {}
// SAFETY: an integer.
unsafe impl Plain for i32 {}
// SAFETY: an integer.
unsafe impl Plain for u32 {}
// SAFETY: integers.
unsafe impl Plain for [u32; 9] {}
// SAFETY: structs of u64 and u32 fields that leave no padding (`include/uapi/linux/if_xdp.h`).
unsafe impl Plain for libc::xdp_umem_reg {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_mmap_offsets {}
// SAFETY: as above.
unsafe impl Plain for libc::xdp_statistics {}

/// Length of `T` as the socket option calls want it.
fn option_len<T>() -> socklen_t {
    socklen_t::try_from(size_of::<T>()).expect("socket options are a few dozen bytes")
}

/// Sets how much later than asked for the calling thread's sleeps may end, in nanoseconds; 50 µs
/// unless set (`PR_SET_TIMERSLACK(2const)`).
pub(crate) fn set_timer_slack(slack_ns: libc::c_ulong) -> io::Result<()> {
    // SAFETY: a call without pointers.
    checked(unsafe { libc::prctl(libc::PR_SET_TIMERSLACK, slack_ns, 0, 0, 0) }).map(drop)
}

/// An AF_XDP socket, closed on exec.
///
/// # Kernel
///
/// Needs `CAP_NET_RAW` (`net/xdp/xsk.c`, `xsk_create`).
pub(crate) fn xdp_socket() -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes plain integers.
    let fd = unsafe { libc::socket(libc::AF_XDP, libc::SOCK_RAW | libc::SOCK_CLOEXEC, 0) };
    checked(fd)?;
    // SAFETY: the kernel has created the descriptor for us an instant ago; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// An unconnected UDP socket. Of IPv4 it is also the handle that interface ioctls want.
pub(crate) fn udp_socket(family: c_int) -> io::Result<OwnedFd> {
    // SAFETY: socket(2) takes plain integers.
    let fd = unsafe { libc::socket(family, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) };
    checked(fd)?;
    // SAFETY: the kernel has created the descriptor for us an instant ago; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets a socket option whose value is the bytes of `value`.
pub(crate) fn set_option<T: Plain>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &T,
) -> io::Result<()> {
    let bytes: *const c_void = ptr::from_ref(value).cast();
    // SAFETY: `bytes` points to `option_len::<T>()` readable bytes for the length of the call.
    let result = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, bytes, option_len::<T>()) };
    checked(result).map(drop)
}

/// Reads a socket option into `value`; returns how many bytes the kernel filled in, which is less
/// than the size of `T` where the kernel is older than the fields at its end.
pub(crate) fn get_option<T: Plain>(
    fd: BorrowedFd<'_>,
    level: c_int,
    name: c_int,
    value: &mut T,
) -> io::Result<usize> {
    let mut len = option_len::<T>();
    let bytes: *mut c_void = ptr::from_mut(value).cast();
    // SAFETY: `bytes` points to `len` writable bytes for the length of the call and `T` is valid
    // whatever they are.
    let result = unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, bytes, &raw mut len) };
    checked(result).map(|_| len as usize)
}

/// Binds an AF_XDP socket.
pub(crate) fn bind(fd: BorrowedFd<'_>, address: &libc::sockaddr_xdp) -> io::Result<()> {
    let bytes: *const libc::sockaddr = ptr::from_ref(address).cast();
    // SAFETY: `bytes` points to a whole sockaddr_xdp, whose length goes with it.
    let result = unsafe { libc::bind(fd.as_raw_fd(), bytes, option_len::<libc::sockaddr_xdp>()) };
    checked(result).map(drop)
}

/// Lets a socket receive from an interface only (`SO_BINDTODEVICE`, socket(7)).
pub(crate) fn bind_to_device(fd: BorrowedFd<'_>, interface: &str) -> io::Result<()> {
    let len = socklen_t::try_from(interface.len()).map_err(io::Error::other)?;
    // SAFETY: the bytes of the name are readable for the length of the call, and `len` says how
    // many they are.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_BINDTODEVICE,
            interface.as_ptr().cast(),
            len,
        )
    };
    checked(result).map(drop)
}

/// Binds a UDP socket to a port on all addresses.
pub(crate) fn bind_port(fd: BorrowedFd<'_>, is_v6: bool, port: u16) -> io::Result<()> {
    let v4 = libc::sockaddr_in {
        sin_family: family(libc::AF_INET),
        sin_port: port.to_be(),
        sin_addr: libc::in_addr { s_addr: libc::INADDR_ANY },
        sin_zero: [0; 8],
    };
    let v6 = libc::sockaddr_in6 {
        sin6_family: family(libc::AF_INET6),
        sin6_port: port.to_be(),
        sin6_flowinfo: 0,
        sin6_addr: libc::in6_addr { s6_addr: [0; 16] },
        sin6_scope_id: 0,
    };
    let (address, len): (*const libc::sockaddr, _) = if is_v6 {
        (ptr::from_ref(&v6).cast(), option_len::<libc::sockaddr_in6>())
    } else {
        (ptr::from_ref(&v4).cast(), option_len::<libc::sockaddr_in>())
    };
    // SAFETY: `address` points to a whole address, whose length goes with it.
    let result = unsafe { libc::bind(fd.as_raw_fd(), address, len) };
    checked(result).map(drop)
}

fn family(number: c_int) -> libc::sa_family_t {
    libc::sa_family_t::try_from(number).expect("address families are small numbers")
}

/// Receives datagrams, as many as there are and headers, without waiting; returns their number. The
/// lengths in the headers are those of the datagrams, also where they do not fit.
///
/// # Safety
///
/// What the headers point to must be alive and writable for the call, with the lengths that they
/// say.
pub(crate) unsafe fn receive_datagrams(
    fd: BorrowedFd<'_>,
    headers: &mut [libc::mmsghdr],
) -> io::Result<usize> {
    let count = libc::c_uint::try_from(headers.len()).map_err(io::Error::other)?;
    let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
    // SAFETY: `count` headers, with what they point to by the caller's promise; no timeout.
    let result = unsafe {
        libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count, flags as _, ptr::null_mut())
    };
    checked(result).map(|count| usize::try_from(count).unwrap_or(0))
}

/// Waits until one of the descriptors is ready or `timeout_ms` milliseconds have passed.
pub(crate) fn poll_all(entries: &mut [libc::pollfd], timeout_ms: c_int) -> io::Result<()> {
    let count = libc::nfds_t::try_from(entries.len()).map_err(io::Error::other)?;
    // SAFETY: `entries` are as many valid pollfds as `count` says.
    checked(unsafe { libc::poll(entries.as_mut_ptr(), count, timeout_ms) }).map(drop)
}

/// Waits until the socket is readable or `timeout_ms` milliseconds have passed (0: only looks). For
/// a socket that asked for wake-ups this also wakes the driver (`net/xdp/xsk.c`, `xsk_poll`).
pub(crate) fn poll_readable(fd: BorrowedFd<'_>, timeout_ms: c_int) -> io::Result<bool> {
    let mut entry = libc::pollfd { fd: fd.as_raw_fd(), events: libc::POLLIN, revents: 0 };
    // SAFETY: `entry` is one valid pollfd, and 1 says so.
    let result = unsafe { libc::poll(&raw mut entry, 1, timeout_ms) };
    checked(result).map(|ready| ready > 0)
}

/// Asks the kernel to drive the socket's queue from this thread: a receive of nothing that does not
/// wait.
pub(crate) fn drive_rx(fd: BorrowedFd<'_>) -> io::Result<()> {
    // SAFETY: recv(2) with a null buffer of length 0 writes nothing.
    let result = unsafe { libc::recv(fd.as_raw_fd(), ptr::null_mut(), 0, libc::MSG_DONTWAIT) };
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

/// An anonymous file in memory, closed on exec, that can be sealed.
pub(crate) fn memfd(name: &CStr, flags: libc::c_uint) -> io::Result<OwnedFd> {
    // SAFETY: `name` is a string that ends in NUL.
    let fd = unsafe {
        libc::memfd_create(name.as_ptr(), flags | libc::MFD_CLOEXEC | libc::MFD_ALLOW_SEALING)
    };
    checked(fd)?;
    // SAFETY: the kernel has created the descriptor for us an instant ago; nobody else owns it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Sets the size of a file in bytes.
pub(crate) fn truncate(fd: BorrowedFd<'_>, len: usize) -> io::Result<()> {
    let len = libc::off_t::try_from(len).map_err(io::Error::other)?;
    // SAFETY: ftruncate(2) takes plain integers.
    checked(unsafe { libc::ftruncate(fd.as_raw_fd(), len) }).map(drop)
}

/// Adds seals to a memfd (fcntl(2), `F_ADD_SEALS`).
pub(crate) fn add_seals(fd: BorrowedFd<'_>, seals: c_int) -> io::Result<()> {
    // SAFETY: F_ADD_SEALS takes an integer argument.
    checked(unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) }).map(drop)
}

/// An interface ioctl whose argument is `request`.
///
/// # Safety
///
/// What `request` points to, if `number` makes the kernel follow a pointer in it, must be alive and
/// writable for the call, and as large as the kernel takes it to be.
pub(crate) unsafe fn interface_ioctl(
    fd: BorrowedFd<'_>,
    number: libc::c_ulong,
    request: &mut libc::ifreq,
) -> io::Result<()> {
    // SAFETY: interface ioctls read and write one ifreq, which `request` is; what it points to is
    // the caller's promise.
    let result = unsafe { libc::ioctl(fd.as_raw_fd(), number as _, ptr::from_mut(request)) };
    checked(result).map(drop)
}

/// Nanoseconds of a kernel clock.
pub(crate) fn clock_ns(clock: libc::clockid_t) -> io::Result<i128> {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid timespec to write to.
    checked(unsafe { libc::clock_gettime(clock, &raw mut time) })?;
    Ok(i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec))
}
