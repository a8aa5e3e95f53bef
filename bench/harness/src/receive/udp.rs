//! Receiver `recvmmsg`: a UDP socket, as unprivileged receivers use it.

use std::fs;
use std::io::IoSliceMut;
use std::net::{Ipv4Addr, UdpSocket};
use std::os::fd::AsRawFd;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use clap::Args;
use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{MsgFlags, MultiHeaders, recvmmsg, setsockopt};

use super::app::Application;
use super::background::{Receive, WAIT_MS};
use super::{decapsulation, interface_setup};

/// Datagrams taken at once.
const BATCH: usize = 64;
/// Takes every datagram of the largest MTU of EC2, 9001 bytes.
const BUFFER_LEN: usize = 9216;
/// Bytes asked for as `SO_RCVBUFFORCE`; the kernel doubles them (socket(7)) and counts its own
/// structures too.
const SOCKET_BUFFER: usize = 64 << 20;

/// A UDP socket on port 4789, recvmmsg(2) of 64 datagrams
#[derive(Debug, Clone, Args)]
pub struct UdpOptions {
    /// Interface that the traffic arrives at
    #[arg(long, short, default_value = "vxrx0")]
    pub interface: String,
    /// Outer destination address, added to the interface if missing
    #[arg(long, default_value = "10.0.0.2")]
    pub local: Ipv4Addr,
}

/// A UDP socket and the buffers of a batch.
pub(super) struct UdpReceiver {
    socket: UdpSocket,
    headers: MultiHeaders<()>,
    buffers: Vec<[u8; BUFFER_LEN]>,
}

impl UdpReceiver {
    pub(super) fn open(options: &UdpOptions) -> Result<Self> {
        interface_setup::turn_gro_on(&options.interface)?;
        interface_setup::take_datagrams(&options.interface, options.local)?;
        let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, decapsulation::PORT))
            .with_context(|| format!("cannot bind UDP port {}", decapsulation::PORT))?;
        setsockopt(&socket, RcvBufForce, &SOCKET_BUFFER).context("cannot set SO_RCVBUFFORCE")?;
        socket.set_read_timeout(Some(Duration::from_millis(WAIT_MS.into())))?;
        let headers = MultiHeaders::preallocate(BATCH, None);
        Ok(Self { socket, headers, buffers: vec![[0; BUFFER_LEN]; BATCH] })
    }
}

impl Receive for UdpReceiver {
    fn about(&self) -> String {
        format!(
            "UDP socket, blocking recvmmsg of up to {BATCH}, SO_RCVBUFFORCE {} MiB",
            SOCKET_BUFFER >> 20
        )
    }

    fn batch(&mut self, app: &mut Application) -> Result<()> {
        let Self { socket, headers, buffers } = self;
        let buffers: &mut [_; BATCH] =
            buffers.as_mut_slice().try_into().context("a batch of buffers")?;
        let mut slices = buffers.each_mut().map(|buffer| [IoSliceMut::new(buffer)]);
        // Waits for the first datagram only.
        let received = match recvmmsg(
            socket.as_raw_fd(),
            headers,
            &mut slices,
            MsgFlags::MSG_WAITFORONE,
            None,
        ) {
            Err(Errno::EAGAIN | Errno::EINTR) => return Ok(()),
            received => received.context("recvmmsg failed")?,
        };
        for message in received {
            match message.iovs().next().and_then(decapsulation::inner_of_datagram) {
                Some(inner) => app.frame(inner),
                None => app.foreign(),
            }
        }
        Ok(())
    }

    fn lost(&mut self) -> Result<Option<u64>> {
        let path = "/proc/thread-self/net/udp";
        let table = fs::read_to_string(path).with_context(|| format!("cannot read {path}"))?;
        drops(&table, decapsulation::PORT)
            .map(Some)
            .ok_or_else(|| anyhow!("{path} does not list the socket"))
    }
}

/// Datagrams dropped by the socket of a port for lack of space: the last column of `/proc/net/udp`
/// (`udp4_format_sock` of `net/ipv4/udp.c`).
fn drops(table: &str, port: u16) -> Option<u64> {
    let local = format!(":{port:04X}");
    let is_ours = |line: &&str| {
        line.split_whitespace().nth(1).is_some_and(|address| address.ends_with(&local))
    };
    table.lines().skip(1).find(is_ours)?.split_whitespace().last()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_drops_of_the_port_are_found_in_the_kernels_table() {
        let table = "   sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode ref pointer drops\n \
            2280: 00000000:0044 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 15 2 0 3\n \
            6821: 00000000:12B5 00000000:0000 07 00000000:00000000 00:00000000 00000000     0        0 16 2 0 4711\n";
        assert_eq!(drops(table, 4789), Some(4711));
        assert_eq!(drops(table, 4790), None);
    }
}
