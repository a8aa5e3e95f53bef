//! Receiving many datagrams with one call (`recvmmsg(2)`), with their sources and control messages.

use std::io::{self, IoSliceMut};
use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr;

/// Most datagrams that one call receives.
pub(crate) const BATCH: usize = 32;

/// Bytes for the control messages of a datagram: a time (16 bytes) and an address with an interface
/// (20 bytes at most), each behind its header, and some to spare.
const CONTROL_LEN: usize = 128;

/// A datagram that has been received.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Datagram {
    /// Bytes of payload, also those that did not fit into the buffers.
    pub(crate) len: usize,
    /// Source address and port; `None` if it is of another family.
    pub(crate) from: Option<(IpAddr, u16)>,
    /// Destination address.
    pub(crate) to: Option<IpAddr>,
    /// Arrival, in nanoseconds since 1970-01-01 UTC.
    pub(crate) time_ns: Option<u64>,
}

/// Sources, control messages and lengths of the datagrams of a call.
#[derive(Debug)]
pub(crate) struct Datagrams {
    names: [Name; BATCH],
    controls: [Control; BATCH],
    /// Of each datagram: its length, and the length of its control messages, in bytes.
    lens: [(usize, usize); BATCH],
}

const NO_HEADER: libc::mmsghdr = libc::mmsghdr {
    msg_hdr: libc::msghdr {
        msg_name: ptr::null_mut(),
        msg_namelen: 0,
        msg_iov: ptr::null_mut(),
        msg_iovlen: 0,
        msg_control: ptr::null_mut(),
        msg_controllen: 0,
        msg_flags: 0,
    },
    msg_len: 0,
};

impl Datagrams {
    pub(crate) const fn new() -> Self {
        Self {
            names: [Name::EMPTY; BATCH],
            controls: [Control::EMPTY; BATCH],
            lens: [(0, 0); BATCH],
        }
    }

    /// Receives datagrams without waiting: the `nth` into the buffers of the `nth` list, one after
    /// the other, at most [`BATCH`] and as many as there are lists. Returns their number.
    ///
    /// # Errors
    ///
    /// The errno of the system call, EAGAIN if there is no datagram.
    pub(crate) fn receive<const BUFFERS: usize>(
        &mut self,
        fd: BorrowedFd<'_>,
        buffers: &mut [[IoSliceMut<'_>; BUFFERS]],
    ) -> io::Result<usize> {
        let Self { names, controls, lens } = self;
        let mut headers = [NO_HEADER; BATCH];
        let count = buffers.len().min(BATCH);
        let about = names.iter_mut().zip(controls.iter_mut());
        for ((header, buffers), (name, control)) in headers.iter_mut().zip(buffers).zip(about) {
            let header = &mut header.msg_hdr;
            header.msg_name = ptr::from_mut(name).cast();
            header.msg_namelen = u32::try_from(size_of::<Name>()).unwrap_or_default();
            header.msg_iov = buffers.as_mut_ptr().cast();
            header.msg_iovlen = BUFFERS as _;
            header.msg_control = ptr::from_mut(control).cast();
            header.msg_controllen = CONTROL_LEN as _;
        }
        let entries = headers.as_mut_ptr();
        let vlen = libc::c_uint::try_from(count).map_err(io::Error::other)?;
        let flags = libc::MSG_DONTWAIT | libc::MSG_TRUNC;
        // SAFETY: `headers` has at least `count` entries. Each of these points to a name, a control
        // buffer and a list of buffers of its own, with their lengths, all of them mutably borrowed
        // for the call; `IoSliceMut` has the layout of an iovec. Any bytes are valid in names,
        // control buffers and buffers. A null timeout is none.
        let received =
            unsafe { libc::recvmmsg(fd.as_raw_fd(), entries, vlen, flags as _, ptr::null_mut()) };
        // Only -1 is negative.
        let Ok(received) = usize::try_from(received) else {
            return Err(io::Error::last_os_error());
        };
        for (len, header) in lens.iter_mut().zip(&headers[..received]) {
            *len = (header.msg_len as usize, header.msg_hdr.msg_controllen);
        }
        Ok(received)
    }

    /// Returns the `nth` datagram of the last call.
    pub(crate) fn datagram(&self, nth: usize) -> Datagram {
        let (len, control_len) = self.lens[nth];
        let ControlInfo { time_ns, destination } =
            control_info(self.controls[nth].bytes(control_len));
        Datagram { len, from: self.names[nth].address(), to: destination, time_ns }
    }
}

/// The source of a datagram: a `sockaddr_in` or a `sockaddr_in6`
/// ([`include/uapi/linux/in6.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/in6.h)),
/// as it lies in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Name([u8; 32]);

impl Name {
    const EMPTY: Self = Self([0; 32]);

    /// Returns address and port; `None` if it is of another family.
    fn address(&self) -> Option<(IpAddr, u16)> {
        let [f0, f1, p0, p1, ..] = self.0;
        let port = u16::from_be_bytes([p0, p1]);
        let address = match i32::from(u16::from_ne_bytes([f0, f1])) {
            libc::AF_INET => IpAddr::V4(Ipv4Addr::from(*self.0[4..].first_chunk::<4>()?)),
            libc::AF_INET6 => IpAddr::V6(Ipv6Addr::from(*self.0[8..].first_chunk::<16>()?)),
            _ => return None,
        };
        Some((address.to_canonical(), port))
    }
}

/// The control messages of a datagram (cmsg(3)), as they lie in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
struct Control([u8; CONTROL_LEN]);

impl Control {
    const EMPTY: Self = Self([0; CONTROL_LEN]);

    /// Returns the first `len` bytes, or all if they are fewer.
    fn bytes(&self, len: usize) -> &[u8] {
        &self.0[..len.min(CONTROL_LEN)]
    }
}

/// Time and destination of a datagram, from its control messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct ControlInfo {
    /// Arrival, in nanoseconds since 1970-01-01 UTC.
    time_ns: Option<u64>,
    destination: Option<IpAddr>,
}

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// Reads control messages: `struct cmsghdr` (length, level, type) and data, each padded to the size
/// of a `long`.
fn control_info(mut control: &[u8]) -> ControlInfo {
    let mut info = ControlInfo::default();
    while let Some((len, level, kind)) = header(control) {
        let Some(data) = control.get(HEADER_LEN..len) else { break };
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => info.time_ns = time_ns(data),
            // `struct in_pktinfo`: interface, local address, address in the header.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let address = data.get(8..).and_then(|data| data.first_chunk::<4>());
                info.destination = address.map(|&address| Ipv4Addr::from(address).into());
            }
            // `struct in6_pktinfo`: address in the header, interface.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let address = data.first_chunk::<16>();
                info.destination =
                    address.map(|&address| IpAddr::from(Ipv6Addr::from(address)).to_canonical());
            }
            _ => {}
        }
        control = control.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    }
    info
}

/// Returns length (header included), level and type.
fn header(control: &[u8]) -> Option<(usize, i32, i32)> {
    let len = usize::from_ne_bytes(*control.first_chunk()?);
    let level = i32::from_ne_bytes(*control.get(size_of::<usize>()..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*control.get(size_of::<usize>() + 4..)?.first_chunk()?);
    (len >= HEADER_LEN).then_some((len, level, kind))
}

fn time_ns(data: &[u8]) -> Option<u64> {
    let seconds = i64::from_ne_bytes(*data.first_chunk()?);
    let nanoseconds = i64::from_ne_bytes(*data.get(8..)?.first_chunk()?);
    u64::try_from(seconds * 1_000_000_000 + nanoseconds).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let len = HEADER_LEN + data.len();
        let mut bytes =
            [&len.to_ne_bytes()[..], &level.to_ne_bytes(), &kind.to_ne_bytes(), data].concat();
        bytes.resize(bytes.len().next_multiple_of(size_of::<usize>()), 0);
        bytes
    }

    #[test]
    fn time_and_destination_are_found_among_others() {
        let time = [&7_i64.to_ne_bytes()[..], &9_i64.to_ne_bytes()].concat();
        let v4 =
            message(libc::IPPROTO_IP, libc::IP_PKTINFO, &[0, 0, 0, 2, 1, 1, 1, 1, 10, 0, 0, 9]);
        let mapped = [&[0; 10][..], &[0xff, 0xff, 10, 0, 0, 8], &[0; 4]].concat();
        let v6 = message(libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, &mapped);
        let time = message(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &time);
        let other = message(99, 1, &[1, 2, 3]);
        let found = control_info(&[&other[..], &time, &v4].concat());
        let destination = |last| Some(IpAddr::from([10, 0, 0, last]));
        assert_eq!(
            found,
            ControlInfo { time_ns: Some(7_000_000_009), destination: destination(9) }
        );
        assert_eq!(control_info(&v6).destination, destination(8));
        for end in 0..v6.len() {
            control_info(&v6[..end]);
        }
        assert_eq!(control_info(&[0; 64]), ControlInfo::default());
    }

    #[test]
    fn an_ipv4_source_is_one_whatever_the_family_of_the_socket() {
        let mut name = Name::EMPTY;
        assert_eq!(name.address(), None);
        name.0[..8].copy_from_slice(&[2, 0, 0x12, 0xb5, 10, 0, 0, 7]);
        assert_eq!(name.address(), Some(([10, 0, 0, 7].into(), 4789)));
        let mut name = Name::EMPTY;
        name.0[..4].copy_from_slice(&[10, 0, 0x12, 0xb5]);
        name.0[18..24].copy_from_slice(&[0xff, 0xff, 10, 0, 0, 7]);
        assert_eq!(name.address(), Some(([10, 0, 0, 7].into(), 4789)));
    }
}
