//! DNS messages of inner frames: a query for an address and its answer.
//!
//! The payload tag and its filler are the data of an EDNS option, so that the message is valid at
//! any length.

use super::FrameId;
use crate::direction::Direction;

/// Bytes of the name `fNNNN.sNNNN.vxtap.test` (flow and session in hexadecimal; RFC 2606 keeps
/// `.test` free).
const NAME_LEN: u16 = 24;
const HEADER_LEN: u16 = 12;
const QUESTION_LEN: u16 = NAME_LEN + 4;
const ANSWER_LEN: u16 = 16;
/// OPT record with the head of one option (RFC 6891 section 6.1.2).
const OPT_LEN: u16 = 15;

/// Bytes of a query before the payload tag.
pub(super) const QUERY_LEN: u16 = HEADER_LEN + QUESTION_LEN + OPT_LEN;
/// Bytes of a response before the payload tag.
pub(super) const RESPONSE_LEN: u16 = QUERY_LEN + ANSWER_LEN;

/// First of the option codes for local and experimental use (RFC 6891 section 9).
const LOCAL_OPTION: u16 = 65_001;

/// Appends a message up to the data of its option, which is `data_len` bytes long: a query in
/// egress direction, a response in ingress direction.
pub(super) fn write(id: FrameId<'_>, data_len: u16, frame: &mut Vec<u8>) {
    let is_response = id.direction == Direction::Ingress;
    frame.extend_from_slice(&header(id, is_response));
    frame.extend_from_slice(&name(id));
    // Type A, class IN.
    frame.extend_from_slice(&[0, 1, 0, 1]);
    if is_response {
        // The question's name, type A, class IN, a TTL of 60 s, and 198.18.0.1.
        frame.extend_from_slice(&[0xC0, 0x0C, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 198, 18, 0, 1]);
    }
    frame.extend_from_slice(&opt(data_len));
}

/// Header (RFC 1035 section 4.1.1) with one question, perhaps one answer, and the OPT record.
fn header(id: FrameId<'_>, is_response: bool) -> [u8; 12] {
    let [high, low] = id.number16().to_be_bytes();
    // Recursion desired; in a response also: response, recursion available.
    let flags = if is_response { [0x81, 0x80] } else { [0x01, 0x00] };
    [high, low, flags[0], flags[1], 0, 1, 0, u8::from(is_response), 0, 0, 0, 1]
}

fn name(id: FrameId<'_>) -> [u8; NAME_LEN as usize] {
    let mut name = *b"\x05f0000\x05s0000\x05vxtap\x04test\x00";
    hexadecimal(id.flow.number, &mut name[2..6]);
    hexadecimal(id.flow.session, &mut name[8..12]);
    name
}

fn hexadecimal(number: u16, digits: &mut [u8]) {
    for (i, digit) in digits.iter_mut().rev().enumerate() {
        *digit = b"0123456789abcdef"[usize::from(number >> (4 * i) & 0xF)];
    }
}

fn opt(data_len: u16) -> [u8; OPT_LEN as usize] {
    let mut bytes = [0; OPT_LEN as usize];
    // The root's name, type OPT, the largest datagram as class; then extended RCODE, version and
    // flags of 0.
    bytes[1..3].copy_from_slice(&41_u16.to_be_bytes());
    bytes[3..5].copy_from_slice(&crate::profile::MAX_INNER_LEN.to_be_bytes());
    bytes[9..11].copy_from_slice(&(data_len + 4).to_be_bytes());
    bytes[11..13].copy_from_slice(&LOCAL_OPTION.to_be_bytes());
    bytes[13..15].copy_from_slice(&data_len.to_be_bytes());
    bytes
}
