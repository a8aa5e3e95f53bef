//! A UDP socket for one port.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use ipnet::IpNet;

use crate::sys::syscall;

impl UdpSettings<'_> {
    /// Receive buffer that is asked for and, twice, granted, in bytes.
    pub(crate) const BUFFER: u32 = BUFFER;
}

/// Receive buffer asked for, in bytes: 20 ms of 1400-byte datagrams at 5 Gbit/s. Shorter: bursts
/// are lost while the worker is away; longer costs kernel memory for each worker and port. The
/// kernel grants twice what is asked for, for its own bookkeeping, and without `CAP_NET_ADMIN` at
/// most twice `net.core.rmem_max`.
const BUFFER: u32 = 16 << 20;

/// Options that the libc crate does not name: `include/uapi/asm-generic/socket.h`,
/// `include/uapi/linux/udp.h`.
const SO_MEMINFO: i32 = 55;
const UDP_NO_CHECK6_RX: i32 = 102;
/// Words of `SO_MEMINFO`, and the one that counts drops (`include/uapi/linux/sock_diag.h`).
const MEMINFO_WORDS: usize = 9;
const MEMINFO_DROPS: usize = 8;

/// What the sockets are opened with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct UdpSettings<'a> {
    /// Where datagrams have to arrive.
    pub(crate) interface: &'a str,
    /// Their destination ports.
    pub(crate) ports: &'a [u16],
    /// Who may send. Empty: everybody.
    pub(crate) allowed_sources: &'a [IpNet],
    /// Length of a datagram, with its headers, that is to fit into the chunks without copying, in
    /// bytes.
    pub(crate) frame_len_max: usize,
}

/// Why there is no UDP socket.
#[derive(Debug, thiserror::Error)]
pub enum UdpError {
    /// Somebody has the port.
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
        /// What the kernel said.
        source: io::Error,
    },
}

/// A socket, its port, and what it has lost.
#[derive(Debug)]
pub(super) struct PortSocket {
    fd: OwnedFd,
    port: u16,
    /// What the kernel said last, which wraps, and the sum.
    last_dropped: u32,
    dropped: u64,
}

impl PortSocket {
    /// Opens a socket; several of them share a port, and the kernel spreads the senders over them.
    /// Returns also the size of its receive buffer in bytes, as the kernel counts.
    pub(super) fn open(port: u16, settings: &UdpSettings<'_>) -> Result<(Self, u32), UdpError> {
        let failed = |call| move |source| UdpError::Call { port, call, source };
        let (fd, is_v6) = match syscall::udp_socket(libc::AF_INET6) {
            Ok(fd) => (fd, true),
            // Switched off at boot.
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {
                (syscall::udp_socket(libc::AF_INET).map_err(failed("socket"))?, false)
            }
            Err(source) => return Err(failed("socket")(source)),
        };
        let set = |level, name, call, value: i32| {
            syscall::set_option(fd.as_fd(), level, name, &value).map_err(failed(call))
        };
        set(libc::SOL_SOCKET, libc::SO_REUSEPORT, "SO_REUSEPORT", 1)?;
        set(libc::SOL_SOCKET, libc::SO_TIMESTAMPNS, "SO_TIMESTAMPNS", 1)?;
        if is_v6 {
            set(libc::IPPROTO_IPV6, libc::IPV6_V6ONLY, "IPV6_V6ONLY", 0)?;
            set(libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, "IPV6_RECVPKTINFO", 1)?;
            // Mirrors leave the checksum out, over IPv6 too (RFC 6935).
            set(libc::IPPROTO_UDP, UDP_NO_CHECK6_RX, "UDP_NO_CHECK6_RX", 1)?;
        } else {
            set(libc::IPPROTO_IP, libc::IP_PKTINFO, "IP_PKTINFO", 1)?;
        }
        let forced =
            syscall::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUFFORCE, &BUFFER);
        if forced.is_err() {
            syscall::set_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &BUFFER)
                .map_err(failed("SO_RCVBUF"))?;
        }
        syscall::bind_to_device(fd.as_fd(), settings.interface)
            .map_err(failed("SO_BINDTODEVICE"))?;
        syscall::bind_port(fd.as_fd(), is_v6, port).map_err(|source| {
            match source.raw_os_error() {
                Some(libc::EADDRINUSE) => UdpError::Busy { port },
                Some(libc::EACCES) => UdpError::NotPermitted { port },
                _ => failed("bind")(source),
            }
        })?;
        let mut granted = 0_u32;
        syscall::get_option(fd.as_fd(), libc::SOL_SOCKET, libc::SO_RCVBUF, &mut granted)
            .map_err(failed("SO_RCVBUF"))?;
        Ok((Self { fd, port, last_dropped: 0, dropped: 0 }, granted))
    }

    pub(super) const fn port(&self) -> u16 {
        self.port
    }

    /// Datagrams that the kernel has lost for this socket, because the receive buffer was full or
    /// the checksum wrong.
    pub(super) fn dropped(&mut self) -> io::Result<u64> {
        let mut words = [0_u32; MEMINFO_WORDS];
        syscall::get_option(self.fd.as_fd(), libc::SOL_SOCKET, SO_MEMINFO, &mut words)?;
        let now = words[MEMINFO_DROPS];
        self.dropped += u64::from(now.wrapping_sub(std::mem::replace(&mut self.last_dropped, now)));
        Ok(self.dropped)
    }
}

impl AsFd for PortSocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}
