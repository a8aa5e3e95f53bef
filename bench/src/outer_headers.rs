//! The outer headers of an inner frame, as observed from a genuine AWS mirror.
//!
//! | field | value |
//! |---|---|
//! | IPv4 | TOS 0, ID 0, DF clear, fragment offset 0, TTL 255 |
//! | IPv6 | traffic class 0, flow label 0, hop limit 255 (not seen on AWS: the same choices) |
//! | UDP source port | 65408 + a 7-bit hash of the inner flow, the same for both directions |
//! | UDP checksum | absent over IPv4; over IPv6 see [`Ipv6Checksum`] |
//! | VXLAN | `08 00 00 00`, VNI, `00` |

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::checksum::{Sum, udp};
use crate::mirror_session::MirrorSession;

/// Bytes of the UDP and the VXLAN header.
const UDP_VXLAN_LEN: u16 = 16;
const TTL: u8 = 255;
const UDP: u8 = 17;

/// The tunnel's addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OuterHeaders {
    /// Destination MAC address: the receiving interface's if the kernel's stack is to receive the
    /// frames too.
    pub destination_mac: [u8; 6],
    /// Source MAC address.
    pub source_mac: [u8; 6],
    /// Destination of sessions whose source is an IPv4 address.
    pub ipv4_destination: Ipv4Addr,
    /// Destination of sessions whose source is an IPv6 address.
    pub ipv6_destination: Ipv6Addr,
    /// UDP destination port; 4789 is the one IANA gives VXLAN (RFC 7348 section 5).
    pub port: u16,
    /// UDP checksum over IPv6; over IPv4 it is always absent, as AWS sends it.
    pub ipv6_checksum: Ipv6Checksum,
}

impl Default for OuterHeaders {
    fn default() -> Self {
        Self {
            destination_mac: [0x02, 0, 0, 0, 0, 0x02],
            source_mac: [0x02, 0, 0, 0, 0, 0x01],
            ipv4_destination: Ipv4Addr::new(10, 0, 0, 2),
            ipv6_destination: Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2),
            port: 4789,
            ipv6_checksum: Ipv6Checksum::Computed,
        }
    }
}

/// The outer UDP checksum over IPv6.
///
/// RFC 6935 section 5 lets a tunnel send zero, but a receiver must discard such datagrams unless
/// zero was allowed for the port (RFC 8200 section 8.1). No mirror over IPv6 has been captured, so
/// the checksum that every receiver takes is the default.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Ipv6Checksum {
    /// The real checksum over the whole datagram.
    #[default]
    Computed,
    /// Zero.
    Zero,
}

/// Bytes before the inner frame.
pub(crate) const fn len(source: IpAddr) -> usize {
    let ip_len = if source.is_ipv6() { 40 } else { 20 };
    14 + ip_len + UDP_VXLAN_LEN as usize
}

/// Appends everything before the inner frame, whose length in bytes must be known.
pub(crate) fn write(
    outer: &OuterHeaders,
    session: &MirrorSession,
    port: u16,
    inner_len: u16,
    frame: &mut Vec<u8>,
) {
    frame.extend_from_slice(&outer.destination_mac);
    frame.extend_from_slice(&outer.source_mac);
    let udp_len = UDP_VXLAN_LEN + inner_len;
    match session.source {
        IpAddr::V4(source) => {
            frame.extend_from_slice(&ipv4(source, outer.ipv4_destination, udp_len));
        }
        IpAddr::V6(source) => {
            frame.extend_from_slice(&ipv6(source, outer.ipv6_destination, udp_len));
        }
    }
    frame.extend_from_slice(&udp_vxlan(port, outer.port, udp_len, session.vni));
}

/// Fills in the UDP checksum of a complete frame, if it has one.
pub(crate) fn finish(outer: &OuterHeaders, session: &MirrorSession, frame: &mut [u8]) {
    let IpAddr::V6(source) = session.source else { return };
    if outer.ipv6_checksum == Ipv6Checksum::Zero {
        return;
    }
    let datagram = &mut frame[14 + 40..];
    let udp_len = u16::from_be_bytes([datagram[4], datagram[5]]);
    let sum = Sum::default()
        .address(source.into())
        .address(outer.ipv6_destination.into())
        .field(UDP.into())
        .field(udp_len)
        .bytes(datagram);
    datagram[6..8].copy_from_slice(&udp(sum.finish()).to_be_bytes());
}

/// `EtherType` and IPv4 header.
fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, udp_len: u16) -> [u8; 22] {
    let mut bytes = [0; 22];
    bytes[0..2].copy_from_slice(&[0x08, 0x00]);
    bytes[2] = 0x45;
    bytes[4..6].copy_from_slice(&(20 + udp_len).to_be_bytes());
    bytes[10] = TTL;
    bytes[11] = UDP;
    bytes[14..18].copy_from_slice(&source.octets());
    bytes[18..22].copy_from_slice(&destination.octets());
    let checksum = Sum::default().bytes(&bytes[2..]).finish();
    bytes[12..14].copy_from_slice(&checksum.to_be_bytes());
    bytes
}

/// `EtherType` and IPv6 header.
fn ipv6(source: Ipv6Addr, destination: Ipv6Addr, udp_len: u16) -> [u8; 42] {
    let mut bytes = [0; 42];
    bytes[0..2].copy_from_slice(&[0x86, 0xDD]);
    bytes[2] = 0x60;
    bytes[6..8].copy_from_slice(&udp_len.to_be_bytes());
    bytes[8] = UDP;
    bytes[9] = TTL;
    bytes[10..26].copy_from_slice(&source.octets());
    bytes[26..42].copy_from_slice(&destination.octets());
    bytes
}

fn udp_vxlan(source: u16, destination: u16, udp_len: u16, vni: u32) -> [u8; 16] {
    let mut bytes = [0; 16];
    bytes[0..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..4].copy_from_slice(&destination.to_be_bytes());
    bytes[4..6].copy_from_slice(&udp_len.to_be_bytes());
    bytes[8] = 0x08;
    bytes[12..16].copy_from_slice(&(vni << 8).to_be_bytes());
    bytes
}
