//! TAP interfaces: what is written to the device arrives at the interface
//! ([`Documentation/networking/tuntap.rst`](https://github.com/torvalds/linux/blob/v6.12/Documentation/networking/tuntap.rst)).

use std::fs::{File, OpenOptions};
use std::io;
use std::os::fd::AsFd;

use super::ioctl::{interface_ioctl, interface_name};

/// Number of the ioctl
/// ([`include/uapi/linux/if_tun.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/if_tun.h)).
const TUNSETIFF: libc::c_ulong = 0x4004_54ca;

/// Opens a TAP interface without packet information, in the calling thread's network namespace. An
/// existing one is used if it was made for this user; else it is made, and the kernel removes it
/// when the file is closed, also if the process is killed.
///
/// # Errors
///
/// EPERM without `CAP_NET_ADMIN`; EBUSY if another process has it open; EINVAL if an interface of
/// that name is no TAP interface; ENOENT without `/dev/net/tun`.
pub(crate) fn open_tap(name: &str) -> io::Result<File> {
    let device = OpenOptions::new().read(true).write(true).open("/dev/net/tun")?;
    let flags =
        libc::c_short::try_from(libc::IFF_TAP | libc::IFF_NO_PI).map_err(io::Error::other)?;
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_flags: flags };
    let mut request = libc::ifreq { ifr_name: interface_name(name)?, ifr_ifru };
    // SAFETY: TUNSETIFF reads and writes one ifreq and follows no pointer in it.
    unsafe { interface_ioctl(device.as_fd(), TUNSETIFF, &mut request) }?;
    Ok(device)
}
