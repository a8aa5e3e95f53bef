//! A UDP socket for one port.

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV4, SocketAddrV6};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipnet::IpNet;
use rustix::io::Errno;
use rustix::net::sockopt::{
    set_ipv6_v6only, set_socket_recv_buffer_size, set_socket_recv_buffer_size_force,
    set_socket_reuseport, socket_recv_buffer_size,
};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};

use crate::sys::sockopt;

impl UdpSettings<'_> {
    /// Receive buffer that is asked for, in bytes; twice as much is granted.
    pub(crate) const BUFFER: u32 = BUFFER;
}

/// Receive buffer asked for, in bytes: 20 ms of 1400-byte datagrams at 5 Gbit/s. Shorter: bursts
/// are lost while the worker is away; longer costs kernel memory for each worker and port. The
/// kernel grants twice what is asked for, for its own bookkeeping, and without `CAP_NET_ADMIN` at
/// most twice `net.core.rmem_max`.
const BUFFER: u32 = 16 << 20;

/// An option that the libc crate does not name
/// ([`include/uapi/linux/udp.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/udp.h)).
const UDP_NO_CHECK6_RX: i32 = 102;

/// Settings that the sockets are opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpSettings<'a> {
    /// Interface at which datagrams have to arrive.
    pub(crate) interface: &'a str,
    /// Their destination ports.
    pub(crate) ports: &'a [u16],
    /// Sources that may send. Empty: all.
    pub(crate) allowed_sources: &'a [IpNet],
    /// Length of the longest datagram, with its headers, that is to fit into the chunks without
    /// copying, in bytes.
    pub(crate) frame_len_max: usize,
}

/// Error of opening a UDP socket.
#[derive(Debug, thiserror::Error)]
pub enum UdpError {
    /// Another socket has the port.
    #[error(
        "UDP port {port} is taken by another program (`ss -ulpn sport = :{port}` names it): a kernel VXLAN or GENEVE interface \
         takes it too (`ip -d link show type vxlan`)"
    )]
    Busy {
        /// The port.
        port: u16,
    },
    /// The port is a privileged one.
    #[error(
        "no permission to receive on UDP port {port}: run as root, or give the process CAP_NET_BIND_SERVICE"
    )]
    NotPermitted {
        /// The port.
        port: u16,
    },
    /// Another system call failed.
    #[error("cannot set up a UDP socket for port {port} ({call}): {source}")]
    Call {
        /// The port; 0 if it is about no port.
        port: u16,
        /// The system call and its option.
        call: &'static str,
        /// Error of the system call.
        source: io::Error,
    },
}

/// A socket, its port, and the number of datagrams that the kernel has lost for it.
#[derive(Debug)]
pub(super) struct PortSocket {
    fd: OwnedFd,
    port: u16,
    /// The kernel's number at the last reading, which wraps, and the sum.
    last_dropped: u32,
    dropped: u64,
}

impl PortSocket {
    /// Opens a socket; several of them share a port, and the kernel spreads the senders over them.
    /// Returns also the size of its receive buffer in bytes, as the kernel counts.
    pub(super) fn open(port: u16, settings: &UdpSettings<'_>) -> Result<(Self, u32), UdpError> {
        let failed = |call| move |source| UdpError::Call { port, call, source };
        let failed_with = |call| move |errno: Errno| failed(call)(errno.into());
        let (fd, is_v6) = match udp_socket(AddressFamily::INET6) {
            Ok(fd) => (fd, true),
            // Switched off at boot.
            Err(Errno::AFNOSUPPORT) => {
                (udp_socket(AddressFamily::INET).map_err(failed_with("socket"))?, false)
            }
            Err(errno) => return Err(failed_with("socket")(errno)),
        };
        let set =
            |level, name, call| sockopt::set_int(fd.as_fd(), level, name, 1).map_err(failed(call));
        set_socket_reuseport(&fd, true).map_err(failed_with("SO_REUSEPORT"))?;
        set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS")?;
        if is_v6 {
            set_ipv6_v6only(&fd, false).map_err(failed_with("IPV6_V6ONLY"))?;
            set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO")?;
            // Mirrors leave the checksum out, over IPv6 too (RFC 6935, section 5).
            set(libc::IPPROTO_UDP, UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX")?;
        } else {
            set(libc::IPPROTO_IP, libc::IP_PKTINFO, "IP_PKTINFO")?;
        }
        if set_socket_recv_buffer_size_force(&fd, BUFFER as usize).is_err() {
            set_socket_recv_buffer_size(&fd, BUFFER as usize).map_err(failed_with("SO_RCVBUF"))?;
        }
        sockopt::bind_to_device(fd.as_fd(), settings.interface)
            .map_err(failed("SO_BINDTODEVICE"))?;
        let bound = if is_v6 {
            bind(&fd, &SocketAddrV6::new(Ipv6Addr::UNSPECIFIED, port, 0, 0))
        } else {
            bind(&fd, &SocketAddrV4::new(Ipv4Addr::UNSPECIFIED, port))
        };
        bound.map_err(|errno| match errno {
            Errno::ADDRINUSE => UdpError::Busy { port },
            Errno::ACCESS => UdpError::NotPermitted { port },
            _ => failed_with("bind")(errno),
        })?;
        let granted = socket_recv_buffer_size(&fd).map_err(failed_with("SO_RCVBUF"))?;
        let granted = u32::try_from(granted).unwrap_or(u32::MAX);
        Ok((Self { fd, port, last_dropped: 0, dropped: 0 }, granted))
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Returns the number of datagrams that the kernel has lost for this socket, because the
    /// receive buffer was full or the checksum wrong.
    pub(super) fn dropped(&mut self) -> io::Result<u64> {
        let now = sockopt::dropped(self.fd.as_fd())?;
        self.dropped += u64::from(now.wrapping_sub(std::mem::replace(&mut self.last_dropped, now)));
        Ok(self.dropped)
    }
}

fn udp_socket(family: AddressFamily) -> rustix::io::Result<OwnedFd> {
    socket_with(family, SocketType::DGRAM, SocketFlags::CLOEXEC, None)
}

impl AsFd for PortSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
