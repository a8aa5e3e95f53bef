//! Sends frames to a network interface through a packet socket (packet(7)).

use std::fmt;
use std::io::{self, IoSlice};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{
    AddressFamily, LinkAddr, MsgFlags, MultiHeaders, SockFlag, SockType, bind, sendmmsg,
    setsockopt, socket, sockopt::SndBuf,
};

use super::OutgoingFrame;
use super::{FrameSink, Pushed, SinkError, Timing};

/// Most frames per system call.
const BATCH: usize = 32;
/// The socket's own address decides the destination. The type has no size because nix reads the
/// addresses when it counts the frames sent, although none were written.
const NO_ADDRESS: [Option<()>; BATCH] = [None; BATCH];
/// Requested send buffer, in bytes; the kernel grants at most `net.core.wmem_max`. It holds a few
/// batches of long frames for a driver that keeps them for a while.
const SEND_BUFFER: usize = 4 << 20;

/// A raw packet socket bound to one interface.
///
/// It belongs to the network namespace of the thread that opened it, and stays in that thread.
///
/// # Kernel
/// `CAP_NET_RAW` in the network namespace.
pub struct PacketSocket {
    interface: String,
    socket: OwnedFd,
    headers: MultiHeaders<()>,
}

impl fmt::Debug for PacketSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { interface, socket, headers: _ } = self;
        f.debug_struct("PacketSocket")
            .field("interface", interface)
            .field("socket", socket)
            .finish()
    }
}

impl PacketSocket {
    /// Opens a socket that sends on this interface and receives nothing.
    ///
    /// # Errors
    /// [`SinkError::NoInterface`], or [`SinkError::Open`] with the system call that was refused.
    pub fn open(interface: &str) -> Result<Self, SinkError> {
        let refused = |call, errno: Errno| SinkError::Open {
            interface: interface.to_owned(),
            call,
            source: errno.into(),
        };
        let address = link_address(interface)?;
        // Protocol 0, in the socket and in the address alike: the socket receives nothing
        // (packet(7)).
        let socket = socket(AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC, None)
            .map_err(|e| refused("socket", e))?;
        bind(socket.as_raw_fd(), &address).map_err(|e| refused("bind", e))?;
        setsockopt(&socket, SndBuf, &SEND_BUFFER)
            .map_err(|e| refused("setsockopt SO_SNDBUF", e))?;
        let headers = MultiHeaders::preallocate(BATCH, None);
        Ok(Self { interface: interface.to_owned(), socket, headers })
    }

    fn failed(&self, errno: Errno, frame_len: usize) -> SinkError {
        let interface = self.interface.clone();
        match errno {
            Errno::EMSGSIZE => SinkError::TooLong { interface, frame_len, mtu: frame_len - 14 },
            _ => SinkError::Send { interface, source: errno.into() },
        }
    }
}

/// Returns the interface's link-layer address, which holds its index and protocol 0, as `bind`
/// needs it.
fn link_address(interface: &str) -> Result<LinkAddr, SinkError> {
    let missing = || SinkError::NoInterface { interface: interface.to_owned() };
    let list = |e: Errno| SinkError::Open {
        interface: interface.to_owned(),
        call: "getifaddrs",
        source: io::Error::from(e),
    };
    let mut addresses =
        getifaddrs().map_err(list)?.filter(|entry| entry.interface_name == interface);
    addresses.find_map(|entry| entry.address?.as_link_addr().copied()).ok_or_else(missing)
}

impl FrameSink for PacketSocket {
    fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError> {
        let frames = &frames[..frames.len().min(BATCH)];
        let slices: [[IoSlice<'_>; 1]; BATCH] = std::array::from_fn(|i| {
            let bytes: &[u8] = frames.get(i).map_or(&[], |frame| &frame.bytes);
            [IoSlice::new(bytes)]
        });
        let sent = sendmmsg(
            self.socket.as_raw_fd(),
            &mut self.headers,
            &slices[..frames.len()],
            NO_ADDRESS,
            [],
            MsgFlags::empty(),
        )
        .map(Iterator::count);
        match sent {
            Ok(0) | Err(Errno::ENOBUFS | Errno::EAGAIN | Errno::EINTR) => Ok(Pushed::Full),
            Ok(count) => Ok(Pushed::Taken(count)),
            Err(errno) => Err(self.failed(errno, frames[0].bytes.len())),
        }
    }

    fn timing(&self) -> Timing {
        Timing::Live
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_that_does_not_exist_is_named() {
        let error = PacketSocket::open("no-such-if0").expect_err("refused");
        assert_eq!(
            error.to_string(),
            "there is no Ethernet-like interface no-such-if0 in this network namespace: `ip link` lists them"
        );
    }
}
