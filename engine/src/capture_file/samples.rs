//! Small capture files, made byte by byte.

/// Byte order of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        if self == Self::Big { value.to_be_bytes() } else { value.to_le_bytes() }
    }
}

/// A frame as the samples hold it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) timestamp_ns: u64,
    pub(super) bytes: Vec<u8>,
    pub(super) original_len: u32,
}

/// Returns `count` frames of different lengths, some cut.
pub(super) fn frames(count: u64) -> Vec<Sample> {
    let frame = |number: u64| {
        let len = 14 + u32::try_from(number % 7).unwrap();
        let bytes =
            (0..len).map(|at| u8::try_from((u64::from(at) + 31 * number) % 251).unwrap()).collect();
        let timestamp_ns = 1_700_000_000_000_000_000 + number * 1_001_000;
        Sample { timestamp_ns, bytes, original_len: len + u32::try_from(number % 3).unwrap() }
    };
    (0..count).map(frame).collect()
}

/// Returns the offset at which each frame's record ends, and the file.
pub(super) struct File {
    pub(super) bytes: Vec<u8>,
    pub(super) ends: Vec<usize>,
}

/// Makes a classic file; `magic` tells the resolution and the variant.
pub(super) fn classic(order: Order, magic: u32, frames: &[Sample]) -> File {
    let mut bytes = Vec::new();
    bytes.extend(order.u32(magic));
    bytes.extend(order.u16(2));
    bytes.extend(order.u16(4));
    for field in [0, 0, 65_535, 1] {
        bytes.extend(order.u32(field));
    }
    let unit_ns = if magic == 0xa1b2_3c4d { 1 } else { 1000 };
    let mut ends = Vec::new();
    for frame in frames {
        let (seconds, fraction) =
            (frame.timestamp_ns / 1_000_000_000, frame.timestamp_ns % 1_000_000_000 / unit_ns);
        for field in [seconds, fraction, frame.bytes.len() as u64, u64::from(frame.original_len)] {
            bytes.extend(order.u32(u32::try_from(field).unwrap()));
        }
        if magic == 0xa1b2_cd34 {
            bytes.extend([0xEE; 8]);
        }
        bytes.extend(&frame.bytes);
        ends.push(bytes.len());
    }
    File { bytes, ends }
}

/// Makes a block: type, body padded to 32 bits, both lengths.
pub(super) fn block(order: Order, block_type: u32, body: &[u8]) -> Vec<u8> {
    let padding = body.len().next_multiple_of(4) - body.len();
    let len = order.u32(u32::try_from(12 + body.len() + padding).unwrap());
    [&order.u32(block_type)[..], &len, body, &[0, 0, 0][..padding], &len].concat()
}

pub(super) fn section(order: Order) -> Vec<u8> {
    let body = [&order.u32(0x1A2B_3C4D)[..], &order.u16(1), &order.u16(0), &[0xFF; 8]].concat();
    block(order, 0x0A0D_0D0A, &body)
}

/// `options`: code and value.
pub(super) fn interface(
    order: Order,
    link_type: u16,
    snaplen: u32,
    options: &[(u16, &[u8])],
) -> Vec<u8> {
    let mut body = [&order.u16(link_type)[..], &[0, 0], &order.u32(snaplen)].concat();
    for (code, value) in options {
        body.extend(order.u16(*code));
        body.extend(order.u16(u16::try_from(value.len()).unwrap()));
        body.extend(*value);
        body.resize(body.len().next_multiple_of(4), 0);
    }
    if !options.is_empty() {
        body.extend([0; 4]);
    }
    block(order, 1, &body)
}

/// Makes an enhanced packet block; `units` is the time in the interface's resolution.
pub(super) fn enhanced(order: Order, interface: u32, units: u64, frame: &Sample) -> Vec<u8> {
    let body = packet_body(order, order.u32(interface), units, frame);
    block(order, 6, &body)
}

/// Makes an obsolete packet block with a drop count of 7.
pub(super) fn obsolete(order: Order, interface: u16, units: u64, frame: &Sample) -> Vec<u8> {
    let [a, b] = order.u16(interface);
    let [c, d] = order.u16(7);
    let body = packet_body(order, [a, b, c, d], units, frame);
    block(order, 2, &body)
}

fn packet_body(order: Order, interface: [u8; 4], units: u64, frame: &Sample) -> Vec<u8> {
    let mut body = interface.to_vec();
    let low = u32::try_from(units & 0xFFFF_FFFF).unwrap();
    let captured = u32::try_from(frame.bytes.len()).unwrap();
    for field in [u32::try_from(units >> 32).unwrap(), low, captured, frame.original_len] {
        body.extend(order.u32(field));
    }
    body.extend(&frame.bytes);
    body
}

pub(super) fn simple(order: Order, original_len: u32, bytes: &[u8]) -> Vec<u8> {
    block(order, 3, &[&order.u32(original_len)[..], bytes].concat())
}

/// Makes a file of one section with one nanosecond interface, a name resolution block in the
/// middle.
pub(super) fn ng(order: Order, frames: &[Sample]) -> File {
    let mut bytes = [section(order), interface(order, 1, 0, &[(9, &[9])])].concat();
    let mut ends = Vec::new();
    for (number, frame) in frames.iter().enumerate() {
        if number == frames.len() / 2 {
            bytes.extend(block(order, 4, &[0x55; 16]));
        }
        bytes.extend(enhanced(order, 0, frame.timestamp_ns, frame));
        ends.push(bytes.len());
    }
    File { bytes, ends }
}
