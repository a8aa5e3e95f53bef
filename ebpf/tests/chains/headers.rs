//! Headers by hand, each a vector of bytes. Lengths that depend on what follows are set by
//! [`concat`].

const PAYLOAD_LEN: usize = 16;
const ETHERNET_LEN: usize = 14;

/// Joins headers to a frame and sets the IP header's length, unless it was made with another one
/// than 0xffff.
pub(super) fn concat(parts: &[Vec<u8>]) -> Vec<u8> {
    let mut frame = parts.concat();
    let mut offset = 0;
    for part in parts {
        let behind = frame.len() - offset;
        if part.len() >= 20 && part[0] >> 4 == 4 && part[2..4] == [0xff, 0xff] {
            frame[offset + 2..offset + 4].copy_from_slice(&to_u16(behind).to_be_bytes());
        }
        if part.len() == 40 && part[0] >> 4 == 6 && part[4..6] == [0xff, 0xff] {
            frame[offset + 4..offset + 6].copy_from_slice(&to_u16(behind - 40).to_be_bytes());
        }
        offset += part.len();
    }
    frame
}

fn to_u16(len: usize) -> u16 {
    u16::try_from(len).expect("frames here are short")
}

pub(super) fn ethernet(ether_type: u16) -> Vec<u8> {
    let mut header = vec![0x02; ETHERNET_LEN - 2];
    header.extend(ether_type.to_be_bytes());
    header
}

/// Returns the part behind the outer `EtherType` of a VLAN: the tag's content and the inner
/// `EtherType`.
pub(super) fn vlan(ether_type: u16) -> Vec<u8> {
    [[0x00, 0x64], ether_type.to_be_bytes()].concat()
}

pub(super) fn ipv4(protocol: u8) -> Vec<u8> {
    ipv4_with(protocol, 0, &|_| {})
}

pub(super) fn ipv4_with(protocol: u8, options_len: u8, change: &dyn Fn(&mut Vec<u8>)) -> Vec<u8> {
    let words = 5 + options_len / 4;
    let mut header = vec![
        0x40 | words,
        0,
        0xff,
        0xff,
        0,
        0,
        0,
        0,
        64,
        protocol,
        0,
        0,
        192,
        0,
        2,
        7,
        198,
        51,
        100,
        1,
    ];
    // No operation: RFC 791.
    header.extend(vec![1; usize::from(options_len)]);
    change(&mut header);
    header
}

pub(super) fn ipv6(next_header: u8) -> Vec<u8> {
    let mut header = vec![0x60, 0, 0, 0, 0xff, 0xff, next_header, 64];
    header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    header.extend([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    header
}

/// Header of options, `len` in units of 8 bytes beyond the first; the options are padding.
fn options(next_header: u8, len: u8) -> Vec<u8> {
    let mut header = vec![next_header, len];
    header.resize(usize::from(len) * 8 + 8, 0);
    header
}

pub(super) fn hop_by_hop(next_header: u8, len: u8) -> Vec<u8> {
    options(next_header, len)
}

pub(super) fn destination(next_header: u8, len: u8) -> Vec<u8> {
    options(next_header, len)
}

pub(super) fn routing(next_header: u8, len: u8) -> Vec<u8> {
    options(next_header, len)
}

/// `offset` in units of 8 bytes.
pub(super) fn fragment_header(next_header: u8, offset: u16, more: bool) -> Vec<u8> {
    let field = (offset << 3) | u16::from(more);
    [&[next_header, 0], &field.to_be_bytes()[..], &[0; 4]].concat()
}

/// `len` in units of 4 bytes minus 2.
pub(super) fn ah(next_header: u8, len: u8) -> Vec<u8> {
    let mut header = vec![next_header, len];
    header.resize(usize::from(len) * 4 + 8, 0);
    header
}

pub(super) fn esp() -> Vec<u8> {
    vec![0; 24]
}

pub(super) fn tcp() -> Vec<u8> {
    let mut header = vec![0; 20];
    header[12] = 0x50;
    header
}

/// UDP header with a payload.
pub(super) fn udp(destination_port: u16) -> Vec<u8> {
    let len = to_u16(8 + PAYLOAD_LEN);
    let fields = [65_408, destination_port, len, 0];
    let mut datagram: Vec<u8> = fields.iter().flat_map(|field: &u16| field.to_be_bytes()).collect();
    datagram.resize(usize::from(len), 0xa5);
    datagram
}
