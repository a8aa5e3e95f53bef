//! Link types, and the place of the packet behind the link header of each.

use std::fmt;

use vxtap_ebpf::wire::{ethernet, ip_ether_type};

/// Link-layer type of the interface that frames were captured from: a LINKTYPE_ value of
/// <https://www.tcpdump.org/linktypes.html>.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LinkType(pub u32);

/// The packet in a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Packet {
    /// `EtherType`; 0 if it is neither IP nor anything else that has one.
    pub(super) ether_type: u16,
    /// Start in the frame.
    pub(super) offset: usize,
}

impl LinkType {
    /// `LINKTYPE_ETHERNET`.
    pub const ETHERNET: Self = Self(1);

    /// `LINKTYPE_NULL`, of BSD's and macOS's loopback: an address family in the byte order of the
    /// capturing host.
    const NULL: Self = Self(0);
    /// `LINKTYPE_LOOP`, of OpenBSD's loopback: the same in network byte order.
    const LOOP: Self = Self(108);
    /// `LINKTYPE_RAW`, of tunnels.
    const RAW: Self = Self(101);
    /// `DLT_RAW` of Linux, which some programs write into files.
    const DLT_RAW: Self = Self(12);
    const DLT_RAW_OPENBSD: Self = Self(14);
    const IPV4: Self = Self(228);
    const IPV6: Self = Self(229);
    /// `LINKTYPE_LINUX_SLL`, of the interface `any`.
    const LINUX_SLL: Self = Self(113);
    const LINUX_SLL2: Self = Self(276);

    /// Returns whether IP packets are found in frames of this type.
    pub(super) fn has_packets(self) -> bool {
        self == Self::ETHERNET || self.packet(&[0; 20]).is_some()
    }

    /// Finds the packet in a frame of another type than Ethernet; `None` if the type is not known,
    /// or the frame ends within its link header.
    pub(super) fn packet(self, frame: &[u8]) -> Option<Packet> {
        let behind =
            |offset, ether_type| (frame.len() >= offset).then_some(Packet { ether_type, offset });
        match self {
            Self::RAW | Self::IPV4 | Self::IPV6 | Self::DLT_RAW | Self::DLT_RAW_OPENBSD => {
                behind(0, ip_ether_type(frame, 0).unwrap_or(0))
            }
            Self::NULL | Self::LOOP => behind(4, ether_type_of_family(*frame.first_chunk()?)),
            Self::LINUX_SLL => behind(16, be16(frame, 14)?),
            Self::LINUX_SLL2 => behind(20, be16(frame, 0)?),
            _ => None,
        }
    }
}

/// Returns the `EtherType` of an address family, in either byte order: that of IPv6 differs by
/// system (Linux 10, NetBSD and OpenBSD 24, FreeBSD 28, macOS 30).
const fn ether_type_of_family(family: [u8; 4]) -> u16 {
    match family {
        [family, 0, 0, 0] | [0, 0, 0, family] => match family {
            2 => ethernet::IPV4,
            10 | 24 | 28 | 30 => ethernet::IPV6,
            _ => 0,
        },
        _ => 0,
    }
}

fn be16(frame: &[u8], at: usize) -> Option<u16> {
    frame.get(at..)?.first_chunk().map(|field| u16::from_be_bytes(*field))
}

impl fmt::Display for LinkType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.0 {
            0 => "BSD loopback",
            1 => "Ethernet",
            9 => "PPP",
            12 | 14 | 101 => "raw IP",
            104 => "Cisco HDLC",
            105 => "IEEE 802.11",
            108 => "OpenBSD loopback",
            113 => "Linux cooked v1",
            127 => "IEEE 802.11 with radiotap",
            189 | 220 => "USB",
            228 => "raw IPv4",
            229 => "raw IPv6",
            276 => "Linux cooked v2",
            _ => return write!(f, "link type {}", self.0),
        };
        write!(f, "{name} (link type {})", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_packet_is_behind_the_link_header_of_each_type() {
        let found = |link_type, frame: &[u8]| {
            LinkType(link_type).packet(frame).map(|it| (it.ether_type, it.offset))
        };
        for raw in [12, 14, 101, 228, 229] {
            assert_eq!(found(raw, &[0x45, 0]), Some((0x0800, 0)));
            assert_eq!(found(raw, &[0x60]), Some((0x86dd, 0)));
            assert_eq!(found(raw, &[0x10]), Some((0, 0)), "no IP");
            assert_eq!(found(raw, &[]), Some((0, 0)));
        }
        for loopback in [0, 108] {
            assert_eq!(found(loopback, &[2, 0, 0, 0, 0x45]), Some((0x0800, 4)));
            assert_eq!(found(loopback, &[0, 0, 0, 2, 0x45]), Some((0x0800, 4)));
            for family in [10, 24, 28, 30] {
                assert_eq!(found(loopback, &[family, 0, 0, 0]), Some((0x86dd, 4)));
            }
            assert_eq!(found(loopback, &[7, 0, 0, 0]), Some((0, 4)));
            assert_eq!(found(loopback, &[2, 0, 0]), None, "cut");
        }
        let mut cooked = [0; 21];
        (cooked[0], cooked[1], cooked[14], cooked[15]) = (0x86, 0xdd, 0x81, 0x00);
        assert_eq!(found(113, &cooked), Some((0x8100, 16)));
        assert_eq!(found(113, &cooked[..15]), None, "cut");
        assert_eq!(found(276, &cooked), Some((0x86dd, 20)));
        assert_eq!(found(276, &cooked[..19]), None, "cut");
        assert_eq!(found(105, &cooked), None);
    }

    #[test]
    fn types_with_packets_are_told_from_others() {
        let known = (0..400).filter(|&link_type| LinkType(link_type).has_packets());
        assert_eq!(known.collect::<Vec<_>>(), [0, 1, 12, 14, 101, 108, 113, 228, 229, 276]);
    }
}
