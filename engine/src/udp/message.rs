//! What recvmmsg(2) says about a datagram.

use std::mem::size_of;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Room for a time (16 bytes) and for an address with an interface (20 bytes at most), each behind
/// its header, and some to spare.
pub(super) const CONTROL_LEN: usize = 128;

/// The source of a datagram: a `sockaddr_in` or a `sockaddr_in6` (`include/uapi/linux/in6.h`), as
/// it lies in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Name([u8; 32]);

impl Name {
    pub(super) const EMPTY: Self = Self([0; 32]);

    /// Address and port; `None` if it is of another family.
    pub(super) fn address(&self) -> Option<(IpAddr, u16)> {
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

/// What else the kernel says about a datagram (cmsg(3)), as it lies in memory.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(8))]
pub(super) struct Control([u8; CONTROL_LEN]);

impl Control {
    pub(super) const EMPTY: Self = Self([0; CONTROL_LEN]);

    /// As many bytes as the kernel has written.
    pub(super) fn bytes(&self, len: usize) -> &[u8] {
        &self.0[..len.min(CONTROL_LEN)]
    }
}

/// What the kernel says besides the source.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Facts {
    /// When the datagram arrived, in nanoseconds since 1970-01-01 UTC.
    pub(super) time_ns: Option<u64>,
    /// Whom it was sent to.
    pub(super) destination: Option<IpAddr>,
}

const HEADER_LEN: usize = size_of::<libc::cmsghdr>();

/// Reads control messages: `struct cmsghdr` (length, level, type) and data, each padded to the size
/// of a `long`.
pub(super) fn facts(mut control: &[u8]) -> Facts {
    let mut facts = Facts::default();
    while let Some((len, level, kind)) = header(control) {
        let Some(data) = control.get(HEADER_LEN..len) else { break };
        match (level, kind) {
            (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => facts.time_ns = time_ns(data),
            // `struct in_pktinfo`: interface, local address, address in the header.
            (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                let address = data.get(8..).and_then(|data| data.first_chunk::<4>());
                facts.destination = address.map(|&address| Ipv4Addr::from(address).into());
            }
            // `struct in6_pktinfo`: address in the header, interface.
            (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                let address = data.first_chunk::<16>();
                facts.destination =
                    address.map(|&address| IpAddr::from(Ipv6Addr::from(address)).to_canonical());
            }
            _ => {}
        }
        control = control.get(len.next_multiple_of(size_of::<usize>())..).unwrap_or_default();
    }
    facts
}

/// Length (header included), level and type.
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
        let found = facts(&[&other[..], &time, &v4].concat());
        let destination = |last| Some(IpAddr::from([10, 0, 0, last]));
        assert_eq!(found, Facts { time_ns: Some(7_000_000_009), destination: destination(9) });
        assert_eq!(facts(&v6).destination, destination(8));
        for end in 0..v6.len() {
            facts(&v6[..end]);
        }
        assert_eq!(facts(&[0; 64]), Facts::default());
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
