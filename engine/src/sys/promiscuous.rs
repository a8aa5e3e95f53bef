//! Promiscuous mode of an interface (packet(7)).

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType, socket_with};

use super::sockopt;

/// `PACKET_MR_PROMISC` of
/// [`include/uapi/linux/if_packet.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/if_packet.h).
const PACKET_MR_PROMISC: u16 = 1;

/// Lets an interface, given by its index in the calling thread's network namespace, receive frames
/// to any MAC address for as long as the result is open. The kernel counts those who ask for it,
/// and takes the request back when the process ends, however it does. The socket itself receives
/// nothing, since it names no protocol.
///
/// # Errors
///
/// The errno of the system call: EPERM without `CAP_NET_RAW`, ENODEV if the interface does not
/// exist.
pub(crate) fn hold_promiscuous(if_index: u32) -> io::Result<OwnedFd> {
    let socket = socket_with(AddressFamily::PACKET, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
    sockopt::add_packet_membership(socket.as_fd(), if_index, PACKET_MR_PROMISC)?;
    Ok(socket)
}
