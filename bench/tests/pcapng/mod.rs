//! The few pcapng blocks that the tests read.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcapng-02.html>, section 4.

use std::time::Duration;

/// Section header block, version 1.0, of unknown length.
pub(crate) fn section() -> Vec<u8> {
    let mut body = 0x1A2B_3C4D_u32.to_le_bytes().to_vec();
    body.extend_from_slice(&[1, 0, 0, 0]);
    body.extend_from_slice(&[0xFF; 8]);
    block(0x0A0D_0D0A, body)
}

/// Interface description block of Ethernet frames with times in nanoseconds.
pub(crate) fn interface(description: &str) -> Vec<u8> {
    // Link type 1, reserved, no limit on the length.
    let mut body = vec![1, 0, 0, 0, 0, 0, 0, 0];
    body.extend(option(3, description.as_bytes()));
    body.extend(option(9, &[9]));
    body.extend(option(0, &[]));
    block(1, body)
}

/// Enhanced packet block.
pub(crate) fn frame(interface: u32, at: Duration, bytes: &[u8]) -> Vec<u8> {
    let ticks = u64::try_from(at.as_nanos()).expect("before 2554");
    let len = u32::try_from(bytes.len()).expect("a short frame");
    let [high, low] =
        [ticks >> 32, ticks & 0xFFFF_FFFF].map(|half| u32::try_from(half).expect("32 bits"));
    let mut body = Vec::new();
    for field in [interface, high, low, len, len] {
        body.extend_from_slice(&field.to_le_bytes());
    }
    body.extend_from_slice(bytes);
    block(6, body)
}

fn option(code: u16, value: &[u8]) -> Vec<u8> {
    let len = u16::try_from(value.len()).expect("a short option");
    let mut bytes = [code.to_le_bytes(), len.to_le_bytes()].concat();
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn block(kind: u32, mut body: Vec<u8>) -> Vec<u8> {
    body.resize(body.len().next_multiple_of(4), 0);
    let len = u32::try_from(body.len() + 12).expect("a short block").to_le_bytes();
    [&kind.to_le_bytes()[..], &len, &body, &len].concat()
}
