//! Forms of classic files that other tools read.

use super::*;

/// A microsecond file of two frames, with another version and with both lengths in an order of the
/// test's choice.
fn with_version(major: u16, minor: u16, is_original_first: bool) -> (Vec<u8>, Vec<Sample>) {
    let frames = samples::frames(3)[1..].to_vec();
    let mut file = samples::classic(Order::Little, 0xa1b2_c3d4, &frames);
    file.bytes[4..6].copy_from_slice(&major.to_le_bytes());
    file.bytes[6..8].copy_from_slice(&minor.to_le_bytes());
    if is_original_first {
        for record in [24, file.ends[0]] {
            file.bytes[record + 8..record + 16].rotate_left(4);
        }
    }
    (file.bytes, frames)
}

#[test]
fn old_versions_have_their_lengths_the_other_way_round() {
    for (version, is_original_first) in [
        ((2, 0), true),
        ((2, 1), true),
        ((2, 2), true),
        ((543, 0), true),
        ((2, 3), true),
        ((2, 3), false),
        ((2, 4), false),
    ] {
        let (bytes, frames) = with_version(version.0, version.1, is_original_first);
        assert_eq!(read_whole(&bytes), frames, "{version:?}");
    }
}

#[test]
fn a_fraction_of_a_second_or_more_is_carried_over() {
    for (magic, order, ns) in [
        (0xa1b2_c3d4, Order::Little, 1_700_000_000_999_999_000),
        (0xa1b2_3c4d, Order::Big, 1_699_999_999_999_999_999),
    ] {
        let frames = samples::frames(2);
        let mut file = samples::classic(order, magic, &frames);
        let fraction = if magic == 0xa1b2_c3d4 { 1_999_999_000 / 1000 } else { 1_999_999_999 };
        file.bytes[24..28]
            .copy_from_slice(&order.u32(1_699_999_999 - u32::from(magic != 0xa1b2_c3d4)));
        file.bytes[28..32].copy_from_slice(&order.u32(fraction));
        let read = read_whole(&file.bytes);
        assert_eq!(read[0].timestamp_ns, ns);
        assert_eq!(read[1], frames[1]);
    }
}

#[test]
fn record_headers_of_zeros_between_others_are_empty_frames() {
    for (magic, header_len) in [(0xa1b2_c3d4, 16), (0xa1b2_cd34, 24)] {
        let frames = samples::frames(3);
        let mut file = samples::classic(Order::Little, magic, &frames);
        let zeros = vec![0; 2 * header_len];
        let second = file.ends[0];
        file.bytes.splice(second..second, zeros);
        let empty = Sample { timestamp_ns: 0, bytes: Vec::new(), original_len: 0 };
        let expected = [&frames[..1], &[empty.clone(), empty], &frames[1..]].concat();
        assert_eq!(read_whole(&file.bytes), expected);

        file.bytes.extend(vec![0; header_len + 3]);
        let (read, error) = read(&file.bytes);
        assert_eq!(read, expected);
        let at = file.ends[2] + 2 * header_len;
        assert_eq!(
            error.unwrap().to_string(),
            format!(
                "capture.pcap: damaged at byte {at}, after 5 frames: nothing but zeros up to the end"
            )
        );
    }
}
