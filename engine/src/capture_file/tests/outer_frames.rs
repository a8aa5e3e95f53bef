//! Frames of several link types as outer Ethernet frames.

use super::*;

/// An IPv4 header and 8 bytes.
const PACKET: [u8; 28] = {
    let mut packet = [0; 28];
    (packet[0], packet[3], packet[9]) = (0x45, 28, 6);
    packet
};

/// A link type and a frame of it that holds [`PACKET`].
fn in_link_header(link_type: u16) -> Vec<u8> {
    let header = match link_type {
        0 => vec![2, 0, 0, 0],
        1 => [&[0; 12][..], &[8, 0]].concat(),
        108 => vec![0, 0, 0, 2],
        113 => [&[0; 14][..], &[8, 0]].concat(),
        276 => [&[8, 0][..], &[0; 18]].concat(),
        _ => Vec::new(),
    };
    [&header[..], &PACKET].concat()
}

/// [`PACKET`] behind an Ethernet header.
fn ethernet() -> Vec<u8> {
    in_link_header(1)
}

fn sample(bytes: Vec<u8>) -> Sample {
    let original_len = u32::try_from(bytes.len()).unwrap() + 100;
    Sample { timestamp_ns: 5_000_000_000, bytes, original_len }
}

fn classic_of(link_type: u16, frames: &[Sample]) -> Vec<u8> {
    let mut bytes = samples::classic(Order::Little, 0xa1b2_c3d4, frames).bytes;
    bytes[20..22].copy_from_slice(&link_type.to_le_bytes());
    bytes
}

/// A pcapng file with a frame of each of these link types.
fn ng_of(link_types: &[u16]) -> Vec<u8> {
    let order = Order::Little;
    let mut bytes = samples::section(order);
    for link_type in link_types {
        bytes.extend(samples::interface(order, *link_type, 0, &[(9, &[9])]));
    }
    for (interface, link_type) in (0..).zip(link_types) {
        let frame = sample(in_link_header(*link_type));
        bytes.extend(samples::enhanced(order, interface, 5_000_000_000, &frame));
    }
    bytes
}

/// A file of each link type, and one of several.
pub(super) fn files() -> Vec<Vec<u8>> {
    let mut files: Vec<_> = [0, 1, 101, 108, 113, 276, 105]
        .map(|link_type| classic_of(link_type, &[sample(in_link_header(link_type))]))
        .into();
    files.push(ng_of(&[1, 105, 113, 276, 101, 220, 0]));
    files
}

pub(super) fn read_outer(bytes: &[u8]) -> (Vec<(u64, u64, Vec<u8>)>, OuterFrames) {
    let mut frames = OuterFrames::from_reader("capture.pcap", Cursor::new(bytes.to_vec())).unwrap();
    let mut read = Vec::new();
    while let Some(frame) = frames.next().unwrap() {
        read.push((frame.number, frame.timestamp_ns, frame.bytes.to_vec()));
    }
    assert!(frames.next().unwrap().is_none());
    (read, frames)
}

#[test]
fn a_packet_of_another_link_type_gets_an_ethernet_header() {
    for link_type in [0, 1, 12, 14, 101, 108, 113, 228, 276] {
        let bytes = classic_of(link_type, &[sample(in_link_header(link_type))]);
        let (read, frames) = read_outer(&bytes);
        assert_eq!(read, [(1, 5_000_000_000, ethernet())], "link type {link_type}");
        assert_eq!(frames.counts(), OuterFrameCounts::default());
    }
}

#[test]
fn a_frame_that_ends_in_its_link_header_is_empty() {
    for link_type in [0, 113, 276] {
        let bytes = classic_of(link_type, &[sample(vec![0; 3])]);
        assert_eq!(read_outer(&bytes).0, [(1, 5_000_000_000, vec![])]);
    }
}

#[test]
fn frames_of_other_link_types_are_passed_over_and_counted() {
    let (read, frames) = read_outer(&ng_of(&[105, 1, 220, 276, 105, 101]));
    let expected: Vec<_> = [2, 4, 6].map(|number| (number, 5_000_000_000, ethernet())).into();
    assert_eq!(read, expected);
    let passed_over = [(LinkType(105), 2), (LinkType(220), 1)];
    assert_eq!(frames.counts().passed_over, passed_over);
}

#[test]
fn a_file_without_any_frame_that_can_be_read_is_refused() {
    let classic = classic_of(105, &[]);
    let error = OuterFrames::from_reader("wlan.pcap", Cursor::new(classic)).unwrap_err();
    let reason = "captured from IEEE 802.11 (link type 105), of which no IP packets are read; those \
                  of Ethernet, raw IP, Linux cooked and BSD loopback are";
    assert_eq!(error.to_string(), format!("wlan.pcap: {reason}"));
    let ng = ng_of(&[220, 105, 105]);
    let mut frames = OuterFrames::from_reader("wlan.pcap", Cursor::new(ng)).unwrap();
    assert_eq!(frames.next().unwrap_err().to_string(), format!("wlan.pcap: {reason}"));
    assert!(frames.next().unwrap().is_none(), "said once");
    let nothing = samples::section(Order::Little);
    assert!(read_outer(&nothing).0.is_empty(), "no frame is no error");
}

#[test]
fn lengths_of_zero_are_filled_in_and_counted() {
    let mut datagram = vec![0; 60];
    (datagram[0], datagram[9]) = (0x45, 17);
    let bytes = classic_of(101, &[sample(datagram)]);
    let (read, frames) = read_outer(&bytes);
    let (ip_len, udp_len) = (160_u16.to_be_bytes(), 140_u16.to_be_bytes());
    assert_eq!((&read[0].2[16..18], &read[0].2[38..40]), (&ip_len[..], &udp_len[..]));
    assert_eq!(frames.counts().lengths_filled_in, 1);
}

#[test]
fn an_error_comes_after_the_frames_before_it() {
    let mut bytes = classic_of(1, &[sample(ethernet()), sample(ethernet())]);
    bytes.pop();
    let mut frames = OuterFrames::from_reader("capture.pcap", Cursor::new(bytes)).unwrap();
    assert_eq!(frames.next().unwrap().unwrap().number, 1);
    assert!(matches!(frames.next(), Err(CaptureFileError::EndsInRecord { .. })));
    assert!(frames.next().unwrap().is_none());
}
