//! How many RX queues an interface has right now.

use std::ffi::c_char;
use std::io;
use std::os::fd::AsFd;
use std::ptr;

use super::syscall;

/// `include/uapi/linux/sockios.h`.
const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// `include/uapi/linux/ethtool.h`.
const ETHTOOL_GCHANNELS: u32 = 0x3c;

/// `struct ethtool_channels` of `include/uapi/linux/ethtool.h`.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
struct Channels {
    command: u32,
    max_rx: u32,
    max_tx: u32,
    max_other: u32,
    max_combined: u32,
    rx: u32,
    tx: u32,
    other: u32,
    combined: u32,
}

/// Number of RX queues of `interface` that are in use, in the calling thread's network namespace. 1 for a driver
/// that has no notion of channels.
///
/// # Errors
///
/// The errno of the ioctl, ENODEV if the interface does not exist.
pub(crate) fn rx_queue_count(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    let mut request = libc::ifreq {
        ifr_name: interface_name(interface)?,
        ifr_ifru: libc::__c_anonymous_ifr_ifru { ifru_data: ptr::from_mut(&mut channels).cast() },
    };
    let control = syscall::control_socket()?;
    // SAFETY: ETHTOOL_GCHANNELS reads and writes one `struct ethtool_channels`, which `channels` is.
    match unsafe { syscall::interface_ioctl(control.as_fd(), SIOCETHTOOL, &mut request) } {
        Ok(()) => Ok((channels.rx + channels.combined).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        Err(error) => Err(error),
    }
}

/// The name as `ifreq` wants it: padded with NUL, at most 15 bytes.
fn interface_name(name: &str) -> io::Result<[c_char; libc::IFNAMSIZ]> {
    if name.len() >= libc::IFNAMSIZ {
        return Err(io::Error::from_raw_os_error(libc::ENODEV));
    }
    let mut padded = [0; libc::IFNAMSIZ];
    for (to, from) in padded.iter_mut().zip(name.bytes()) {
        *to = c_char::from_ne_bytes([from]);
    }
    Ok(padded)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_without_channels_has_one_queue_and_a_missing_one_is_an_error() {
        assert_eq!(rx_queue_count("lo").unwrap(), 1);
        assert_eq!(rx_queue_count("nosuchif0").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(rx_queue_count("a-name-beyond-15-bytes").unwrap_err().raw_os_error(), Some(libc::ENODEV));
    }
}
