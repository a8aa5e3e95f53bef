//! What an interface's driver is asked: how many RX queues there are right now, its name, and to
//! leave frames as they are.

use std::ffi::c_char;
use std::io;
use std::os::fd::AsFd;
use std::ptr;

use super::syscall;

/// `include/uapi/linux/sockios.h`.
const SIOCETHTOOL: libc::c_ulong = 0x8946;
/// `include/uapi/linux/ethtool.h`.
const ETHTOOL_GCHANNELS: u32 = 0x3c;
const ETHTOOL_GDRVINFO: u32 = 0x03;
/// Receive and transmit checksums, scatter-gather, segmentation by the interface, by the kernel,
/// and putting frames together: `ETHTOOL_SRXCSUM` and so on.
const ETHTOOL_OFFLOADS: [u32; 6] = [0x15, 0x17, 0x19, 0x1f, 0x24, 0x2c];

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

/// `struct ethtool_drvinfo` of `include/uapi/linux/ethtool.h`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct DriverInfo {
    command: u32,
    driver: [u8; 32],
    /// Versions, bus address, and numbers of other things.
    rest: [u8; 160],
}

const _: () = assert!(size_of::<DriverInfo>() == 196);

/// `struct ethtool_value` of `include/uapi/linux/ethtool.h`.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Value {
    command: u32,
    data: u32,
}

/// Number of RX queues of `interface` that are in use, in the calling thread's network namespace. 1
/// for a driver that has no notion of channels.
///
/// # Errors
///
/// The errno of the ioctl, ENODEV if the interface does not exist.
pub(crate) fn rx_queue_count(interface: &str) -> io::Result<u32> {
    let mut channels = Channels { command: ETHTOOL_GCHANNELS, ..Channels::default() };
    let mut request = request(interface, ptr::from_mut(&mut channels).cast())?;
    let control = syscall::udp_socket(libc::AF_INET)?;
    // SAFETY: ETHTOOL_GCHANNELS reads and writes one `struct ethtool_channels`, which `channels`
    // is.
    match unsafe { syscall::interface_ioctl(control.as_fd(), SIOCETHTOOL, &mut request) } {
        Ok(()) => Ok((channels.rx + channels.combined).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        Err(error) => Err(error),
    }
}

/// Name of the driver of `interface`, in the calling thread's network namespace; `None` if it tells
/// none.
pub(crate) fn driver_of(interface: &str) -> Option<String> {
    let mut info = DriverInfo { command: ETHTOOL_GDRVINFO, driver: [0; 32], rest: [0; 160] };
    let mut request = request(interface, ptr::from_mut(&mut info).cast()).ok()?;
    let control = syscall::udp_socket(libc::AF_INET).ok()?;
    // SAFETY: ETHTOOL_GDRVINFO reads and writes one `struct ethtool_drvinfo`, which `info` is.
    unsafe { syscall::interface_ioctl(control.as_fd(), SIOCETHTOOL, &mut request) }.ok()?;
    let name = info.driver.split(|&byte| byte == 0).next()?;
    std::str::from_utf8(name).ok().map(str::to_owned)
}

/// Switches off what makes other frames of those that pass `interface`, in the calling thread's
/// network namespace, as far as its driver has it and lets it be switched.
///
/// # Errors
///
/// The errno of the ioctl: EPERM without `CAP_NET_ADMIN`, ENODEV if the interface does not exist.
pub(crate) fn switch_offloads_off(interface: &str) -> io::Result<()> {
    let control = syscall::udp_socket(libc::AF_INET)?;
    for command in ETHTOOL_OFFLOADS {
        let mut value = Value { command, data: 0 };
        let mut request = request(interface, ptr::from_mut(&mut value).cast())?;
        // SAFETY: the commands read one `struct ethtool_value`, which `value` is.
        match unsafe { syscall::interface_ioctl(control.as_fd(), SIOCETHTOOL, &mut request) } {
            Err(error) if error.raw_os_error() != Some(libc::EOPNOTSUPP) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// A request about `interface` whose argument is at `data`.
fn request(interface: &str, data: *mut c_char) -> io::Result<libc::ifreq> {
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_data: data };
    Ok(libc::ifreq { ifr_name: interface_name(interface)?, ifr_ifru })
}

/// The name as `ifreq` wants it: padded with NUL, at most 15 bytes.
pub(crate) fn interface_name(name: &str) -> io::Result<[c_char; libc::IFNAMSIZ]> {
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
        assert_eq!(driver_of("nosuchif0"), None);
        assert_eq!(
            switch_offloads_off("nosuchif0").unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
        assert_eq!(rx_queue_count("nosuchif0").unwrap_err().raw_os_error(), Some(libc::ENODEV));
        assert_eq!(
            rx_queue_count("a-name-beyond-15-bytes").unwrap_err().raw_os_error(),
            Some(libc::ENODEV)
        );
    }
}
