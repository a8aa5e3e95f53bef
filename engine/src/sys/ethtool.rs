//! Requests to an interface's driver: the number of its RX queues, its name, and switching off the
//! offloads that change frames (`SIOCETHTOOL`,
//! [`include/uapi/linux/ethtool.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/ethtool.h)).

use std::io;
use std::os::fd::AsFd;

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::ioctl::{interface_ioctl, interface_name};

/// Number of the ioctl
/// ([`include/uapi/linux/sockios.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/sockios.h)).
const SIOCETHTOOL: libc::c_ulong = 0x8946;

/// A command whose argument, which begins with the command itself, is no longer than [`Argument`].
#[derive(Clone, Copy, Debug)]
#[repr(u32)]
enum EthtoolCommand {
    /// `ETHTOOL_GDRVINFO`: fills in a `struct ethtool_drvinfo`, 196 bytes.
    DriverInfo = 0x03,
    /// `ETHTOOL_GFLAGS`: reads a `struct ethtool_value`, 8 bytes.
    Flags = 0x25,
    /// `ETHTOOL_GGRO`, as above.
    GenericReceive = 0x2b,
    /// `ETHTOOL_GCHANNELS`: fills in a `struct ethtool_channels`, 36 bytes.
    Channels = 0x3c,
    /// `ETHTOOL_SRXCSUM`: reads a `struct ethtool_value`, 8 bytes, as those below.
    SetRxChecksum = 0x15,
    /// `ETHTOOL_STXCSUM`.
    SetTxChecksum = 0x17,
    /// `ETHTOOL_SSG`.
    SetScatterGather = 0x19,
    /// `ETHTOOL_STSO`.
    SetTcpSegmentation = 0x1f,
    /// `ETHTOOL_SGSO`.
    SetGenericSegmentation = 0x24,
    /// `ETHTOOL_SGRO`.
    SetGenericReceive = 0x2c,
}

/// Offloads that make other frames of those that pass an interface: checksums, scatter-gather,
/// segmentation by the interface and by the kernel, and merging of received segments.
const OFFLOADS: [EthtoolCommand; 6] = [
    EthtoolCommand::SetRxChecksum,
    EthtoolCommand::SetTxChecksum,
    EthtoolCommand::SetScatterGather,
    EthtoolCommand::SetTcpSegmentation,
    EthtoolCommand::SetGenericSegmentation,
    EthtoolCommand::SetGenericReceive,
];

/// Words of the longest argument, `struct ethtool_drvinfo`.
const WORDS: usize = 196 / 4;

/// The argument of an [`EthtoolCommand`], as words of 4 bytes; the first is the command. Words
/// behind the command's own struct are not used.
type Argument = [u32; WORDS];

/// Words of `struct ethtool_channels` with the numbers of RX channels and of combined ones.
const RX_COUNT: usize = 5;
const COMBINED_COUNT: usize = 8;
/// Word of `struct ethtool_value` with the value, and the bit of LRO in that of `ETHTOOL_GFLAGS`.
const VALUE: usize = 1;
const FLAG_LRO: u32 = 1 << 15;
/// Words of `struct ethtool_drvinfo` with the driver's name.
const DRIVER_NAME: std::ops::Range<usize> = 1..9;

/// Returns the number of RX queues of `interface` that are in use, in the calling thread's network
/// namespace; 1 for a driver that has no notion of channels.
///
/// # Errors
///
/// The errno of the ioctl, ENODEV if the interface does not exist.
pub(crate) fn rx_queue_count(interface: &str) -> io::Result<u32> {
    match request(interface, EthtoolCommand::Channels) {
        Ok(argument) => Ok((argument[RX_COUNT] + argument[COMBINED_COUNT]).max(1)),
        Err(error) if error.raw_os_error() == Some(libc::EOPNOTSUPP) => Ok(1),
        Err(error) => Err(error),
    }
}

/// Returns the name of the driver of `interface`, in the calling thread's network namespace; `None`
/// if it tells none.
pub(crate) fn driver_of(interface: &str) -> Option<String> {
    let argument = request(interface, EthtoolCommand::DriverInfo).ok()?;
    let name = argument[DRIVER_NAME].iter().flat_map(|word| word.to_ne_bytes());
    String::from_utf8(name.take_while(|&byte| byte != 0).collect()).ok()
}

/// Returns whether `interface` merges received frames, by itself (LRO) or in the kernel (GRO),
/// before the kernel stack gets them.
pub(crate) fn merges_received(interface: &str) -> bool {
    let value = |command| request(interface, command).map_or(0, |argument| argument[VALUE]);
    value(EthtoolCommand::GenericReceive) != 0 || value(EthtoolCommand::Flags) & FLAG_LRO != 0
}

/// Switches off what makes other frames of those that pass `interface`, in the calling thread's
/// network namespace, as far as its driver has it and lets it be switched.
///
/// # Errors
///
/// The errno of the ioctl: EPERM without `CAP_NET_ADMIN`, ENODEV if the interface does not exist.
pub(crate) fn switch_offloads_off(interface: &str) -> io::Result<()> {
    for command in OFFLOADS {
        match request(interface, command) {
            Err(error) if error.raw_os_error() != Some(libc::EOPNOTSUPP) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

/// Gives a driver a command whose argument is zero; returns the argument as the kernel leaves it.
fn request(interface: &str, command: EthtoolCommand) -> io::Result<Argument> {
    let mut argument = [0; WORDS];
    argument[0] = command as u32;
    let ifr_ifru = libc::__c_anonymous_ifr_ifru { ifru_data: argument.as_mut_ptr().cast() };
    let mut request = libc::ifreq { ifr_name: interface_name(interface)?, ifr_ifru };
    let control = socket_with(AddressFamily::INET, SocketType::DGRAM, SocketFlags::CLOEXEC, None)?;
    // SAFETY: the kernel reads and writes the struct that belongs to the command, at most 196 bytes
    // (`EthtoolCommand`), which `argument` has; any bytes are valid in it, and it outlives the
    // call.
    unsafe { interface_ioctl(control.as_fd(), SIOCETHTOOL, &mut request) }?;
    Ok(argument)
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
