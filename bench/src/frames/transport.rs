//! TCP, UDP and ICMP headers of inner frames, and their checksums.

use super::FrameId;
use super::frame_layout::protocol_number;
use crate::checksum::{Sum, udp};
use crate::inner_flow::Protocol;

/// Appends a TCP header (RFC 9293 section 3.1); `numbers` are sequence and acknowledgement number.
pub(super) fn write_tcp(id: FrameId<'_>, numbers: [u32; 2], frame: &mut Vec<u8>) {
    let [(_, source), (_, destination)] = id.flow.ends(id.direction);
    let mut bytes = [0; 20];
    bytes[0..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..4].copy_from_slice(&destination.to_be_bytes());
    bytes[4..8].copy_from_slice(&numbers[0].to_be_bytes());
    bytes[8..12].copy_from_slice(&numbers[1].to_be_bytes());
    // Five words of header; ACK and PSH.
    bytes[12] = 5 << 4;
    bytes[13] = 0x18;
    bytes[14..16].copy_from_slice(&0xFFFF_u16.to_be_bytes());
    frame.extend_from_slice(&bytes);
}

/// Appends a UDP header; `udp_len` counts it and what follows.
pub(super) fn write_udp(id: FrameId<'_>, udp_len: u16, frame: &mut Vec<u8>) {
    let [(_, source), (_, destination)] = id.flow.ends(id.direction);
    let mut bytes = [0; 8];
    bytes[0..2].copy_from_slice(&source.to_be_bytes());
    bytes[2..4].copy_from_slice(&destination.to_be_bytes());
    bytes[4..6].copy_from_slice(&udp_len.to_be_bytes());
    frame.extend_from_slice(&bytes);
}

/// Appends an ICMP or `ICMPv6` echo header: a request in the flow's first direction, a reply in the
/// other.
pub(super) fn write_icmp(id: FrameId<'_>, frame: &mut Vec<u8>) {
    let is_request = id.direction == id.flow.first;
    let kind = match (id.flow.is_ipv6(), is_request) {
        (false, true) => 8,
        (false, false) => 0,
        (true, true) => 128,
        (true, false) => 129,
    };
    let mut bytes = [kind, 0, 0, 0, 0, 0, 0, 0];
    bytes[4..6].copy_from_slice(&id.flow.local_port.to_be_bytes());
    bytes[6..8].copy_from_slice(&id.number16().to_be_bytes());
    frame.extend_from_slice(&bytes);
}

/// Fills in the checksum of a complete segment, datagram or message, which has zero in its place.
pub(super) fn finish(id: FrameId<'_>, packet: &mut [u8]) {
    let has_pseudo_header = id.flow.protocol != Protocol::Icmp || id.flow.is_ipv6();
    let sum = if has_pseudo_header { pseudo_header(id, packet.len()) } else { Sum::default() };
    let checksum = sum.bytes(packet).finish();
    let (at, checksum) = match id.flow.protocol {
        Protocol::Tcp => (16, checksum),
        Protocol::Udp | Protocol::Dns => (6, udp(checksum)),
        Protocol::Icmp => (2, checksum),
    };
    packet[at..at + 2].copy_from_slice(&checksum.to_be_bytes());
}

#[expect(clippy::cast_possible_truncation, reason = "an inner frame has at most 8965 bytes")]
fn pseudo_header(id: FrameId<'_>, len: usize) -> Sum {
    let FrameId { flow, .. } = id;
    Sum::default()
        .address(flow.local)
        .address(flow.remote)
        .field(protocol_number(id).into())
        .field(len as u16)
}
