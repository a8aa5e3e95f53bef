mod compressed;
mod damaged;
mod fragment_order;
mod outer_frames;
mod variants;

use std::io::Cursor;

use proptest::prelude::*;

use super::samples::{self, Order, Sample};
use super::*;

const ORDERS: [Order; 2] = [Order::Little, Order::Big];

/// Every frame up to the end or the error.
fn read(bytes: &[u8]) -> (Vec<Sample>, Option<CaptureFileError>) {
    let mut file = match CaptureFile::from_reader("capture.pcap", Cursor::new(bytes.to_vec())) {
        Ok(file) => file,
        Err(error) => return (Vec::new(), Some(error)),
    };
    let mut frames = Vec::new();
    loop {
        match file.next() {
            Ok(Some(record)) => frames.push(Sample {
                timestamp_ns: record.timestamp_ns,
                bytes: record.captured.to_vec(),
                original_len: record.original_len,
            }),
            Ok(None) => return (frames, None),
            Err(error) => {
                assert_eq!(file.frames(), frames.len() as u64);
                assert!(matches!(file.next(), Ok(None)), "an error is said once");
                return (frames, Some(error));
            }
        }
    }
}

fn read_whole(bytes: &[u8]) -> Vec<Sample> {
    let (frames, error) = read(bytes);
    assert!(error.is_none(), "{error:?}");
    frames
}

fn error_text(bytes: &[u8]) -> String {
    read(bytes).1.expect("an error").to_string()
}

/// One small file per format and byte order, with the frames in it.
fn small_files() -> Vec<(samples::File, Vec<Sample>)> {
    let frames = samples::frames(6);
    let mut files = Vec::new();
    for order in ORDERS {
        files.push(samples::classic(order, 0xa1b2_cd34, &frames));
        files.push(samples::classic(order, 0xa1b2_c3d4, &frames));
        files.push(samples::classic(order, 0xa1b2_3c4d, &frames));
        files.push(samples::ng(order, &frames));
    }
    files.into_iter().map(|file| (file, frames.clone())).collect()
}

#[test]
fn every_format_gives_the_frames_that_were_put_in() {
    for (file, frames) in small_files() {
        assert_eq!(read_whole(&file.bytes), frames);
    }
}

#[test]
fn a_file_of_several_windows_is_read_whole() {
    let frame = |number: u64| Sample {
        timestamp_ns: number,
        bytes: vec![number.to_le_bytes()[0]; 100_000],
        original_len: 100_000,
    };
    let frames: Vec<Sample> = (1..30).map(frame).collect();
    assert_eq!(read_whole(&samples::classic(Order::Little, 0xa1b2_3c4d, &frames).bytes), frames);
    assert_eq!(read_whole(&samples::ng(Order::Little, &frames).bytes), frames);
}

#[test]
fn a_file_is_opened_by_path() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("small.pcap");
    std::fs::write(&path, samples::classic(Order::Little, 0xa1b2_c3d4, &samples::frames(2)).bytes)
        .unwrap();
    let mut file = CaptureFile::open(&path).unwrap();
    assert_eq!(file.next().unwrap().unwrap().link_type, LinkType::ETHERNET);
    let missing = CaptureFile::open(directory.path().join("none.pcap")).unwrap_err().to_string();
    assert!(missing.ends_with("none.pcap: No such file or directory (os error 2)"), "{missing}");
    let folder = CaptureFile::open(directory.path()).unwrap_err().to_string();
    assert!(
        folder.contains("cannot read on at byte 0, after 0 frames: Is a directory"),
        "{folder}"
    );
}

#[test]
fn interfaces_have_their_own_clock_and_link_type() {
    for order in ORDERS {
        let frame = &samples::frames(1)[0];
        let offset = if order == Order::Big { 5_i64.to_be_bytes() } else { 5_i64.to_le_bytes() };
        let bytes = [
            samples::section(order),
            samples::interface(order, 1, 0, &[]),
            samples::interface(order, 113, 0, &[(2, b"any"), (9, &[0x8A]), (14, &offset)]),
            samples::enhanced(order, 1, 1536, frame),
            samples::enhanced(order, 0, 1_500_000, frame),
        ]
        .concat();
        let mut file = CaptureFile::from_reader("x", Cursor::new(bytes)).unwrap();
        let record = file.next().unwrap().unwrap();
        assert_eq!((record.timestamp_ns, record.link_type), (6_500_000_000, LinkType(113)));
        let record = file.next().unwrap().unwrap();
        assert_eq!((record.timestamp_ns, record.link_type), (1_500_000_000, LinkType::ETHERNET));
    }
}

#[test]
fn a_section_sets_byte_order_and_forgets_the_interfaces() {
    let frames = samples::frames(3);
    let both = [samples::ng(Order::Big, &frames).bytes, samples::ng(Order::Little, &frames).bytes]
        .concat();
    assert_eq!(read_whole(&both), [frames.clone(), frames.clone()].concat());

    let first = samples::ng(Order::Little, &frames).bytes;
    let orphan =
        [samples::section(Order::Big), samples::enhanced(Order::Big, 0, 1, &frames[0])].concat();
    let text = error_text(&[first.clone(), orphan].concat());
    let at = first.len() + 28;
    assert_eq!(
        text,
        format!(
            "capture.pcap: damaged at byte {at}, after 3 frames: \
             packet of interface 0, but 0 interfaces are described (counted from 0)"
        )
    );
}

#[test]
fn simple_packets_are_cut_at_the_first_interfaces_limit_and_have_no_time() {
    for order in ORDERS {
        let bytes = [
            samples::section(order),
            samples::interface(order, 1, 6, &[]),
            samples::simple(order, 5, &[1, 2, 3, 4, 5]),
            samples::simple(order, 9, &[1, 2, 3, 4, 5, 6]),
        ]
        .concat();
        let sample = |bytes: &[u8], original_len| Sample {
            timestamp_ns: 0,
            bytes: bytes.to_vec(),
            original_len,
        };
        assert_eq!(
            read_whole(&bytes),
            [sample(&[1, 2, 3, 4, 5], 5), sample(&[1, 2, 3, 4, 5, 6], 9)]
        );
    }
}

#[test]
fn the_obsolete_packet_block_is_read() {
    for order in ORDERS {
        let frame = samples::frames(3).remove(2);
        let bytes = [
            samples::section(order),
            samples::interface(order, 1, 0, &[]),
            samples::interface(order, 1, 0, &[(9, &[9])]),
            samples::obsolete(order, 1, frame.timestamp_ns, &frame),
        ]
        .concat();
        assert_eq!(read_whole(&bytes), [frame]);
    }
}

#[test]
fn a_checksum_length_in_the_link_type_field_does_not_hide_ethernet() {
    let mut bytes = samples::classic(Order::Little, 0xa1b2_c3d4, &samples::frames(1)).bytes;
    bytes[23] = 0x24;
    let mut file = CaptureFile::from_reader("x", Cursor::new(bytes)).unwrap();
    assert_eq!(file.next().unwrap().unwrap().link_type, LinkType::ETHERNET);
}

#[test]
fn what_is_no_capture_file_is_named() {
    for (bytes, text) in [
        (&b""[..], "capture.pcap: the file is empty"),
        (b"a", "capture.pcap: neither a pcap nor a pcapng file"),
        (b"<html>", "capture.pcap: neither a pcap nor a pcapng file"),
        (b"\xfd7zXZ", "capture.pcap: compressed with xz; decompress it first (unxz capture.pcap)"),
        (
            b"\x04\x22\x4d\x18",
            "capture.pcap: compressed with lz4; decompress it first (unlz4 capture.pcap)",
        ),
        (
            b"\xd4\xc3\xb2\xa1",
            "capture.pcap: ends in the middle of a record at byte 0, after 0 frames",
        ),
        (
            b"\x0a\x0d\x0d\x0a\x1c\x00\x00\x00bytes and more",
            "capture.pcap: damaged at byte 0, after 0 frames: section header without byte-order magic",
        ),
    ] {
        assert_eq!(error_text(bytes), text);
    }
}

/// Writes `value` over the file `frames(3)` makes, at `offset` from the start of its last record.
fn damaged_classic(offset: usize, value: &[u8]) -> String {
    let file = samples::classic(Order::Little, 0xa1b2_c3d4, &samples::frames(3));
    damage(file, offset, value)
}

fn damaged_ng(offset: usize, value: &[u8]) -> String {
    damage(samples::ng(Order::Little, &samples::frames(3)), offset, value)
}

fn damage(mut file: samples::File, offset: usize, value: &[u8]) -> String {
    let record = file.ends[1];
    file.bytes[record + offset..][..value.len()].copy_from_slice(value);
    let text = error_text(&file.bytes);
    let place = format!("capture.pcap: damaged at byte {record}, after 2 frames: ");
    text.strip_prefix(&place).unwrap_or_else(|| panic!("{text} is not at {place}")).to_owned()
}

#[test]
fn damage_in_a_classic_record_is_named_with_its_place() {
    assert_eq!(damaged_classic(8, &[0xFF; 4]), "record says 4294967295 bytes captured");
    assert_eq!(damaged_classic(8, &262_145_u32.to_le_bytes()), "record says 262145 bytes captured");
    assert_eq!(damaged_classic(0, &[0; 16 + 16]), "nothing but zeros up to the end");
    let mut old = samples::classic(Order::Little, 0xa1b2_c3d4, &[]).bytes;
    old[4] = 1;
    assert_eq!(
        error_text(&old),
        "capture.pcap: damaged at byte 0, after 0 frames: format version 1.4 is not known"
    );
}

#[test]
fn damage_in_a_block_is_named_with_its_place() {
    let frame_room = 16; // 16 bytes captured of the third frame, no padding
    assert_eq!(
        damaged_ng(20, &[0xFF; 4]),
        format!("record says 4294967295 bytes captured in a block that has room for {frame_room}")
    );
    assert_eq!(damaged_ng(4, &[7, 0, 0, 0]), "block of type 0x6 says it is 7 bytes long");
    assert_eq!(damaged_ng(4, &[50, 0, 0, 0]), "block of type 0x6 says it is 50 bytes long");
    assert_eq!(damaged_ng(4, &[0xFC; 4]), "block of type 0x6 says it is 4244438268 bytes long");
    assert_eq!(damaged_ng(0, &[0; 8]), "block of type 0x0 says it is 0 bytes long");
    assert_eq!(
        damaged_ng(44, &[0x31]),
        "block says it is 48 bytes long at its start and 49 at its end"
    );
    assert_eq!(
        damaged_ng(8, &[3]),
        "packet of interface 3, but 1 interfaces are described (counted from 0)"
    );
}

#[test]
fn a_block_of_another_kind_is_checked_while_it_is_skipped() {
    let mut file = samples::ng(Order::Little, &samples::frames(2));
    let block = file.ends[0];
    file.bytes[block + 24] = 0x20;
    assert_eq!(
        error_text(&file.bytes),
        format!(
            "capture.pcap: damaged at byte {block}, after 1 frame: \
             block says it is 28 bytes long at its start and 32 at its end"
        )
    );
}

#[test]
fn a_file_cut_anywhere_gives_the_whole_frames_before_and_one_error() {
    for (file, frames) in small_files() {
        for len in 1..file.bytes.len() {
            let whole = file.ends.iter().filter(|&&end| end <= len).count();
            let (read, error) = read(&file.bytes[..len]);
            assert_eq!(read, frames[..whole], "cut at {len}");
            let Some(error) = error else {
                assert!(ends_at_a_boundary(&file, len), "cut at {len} is not noticed");
                continue;
            };
            if let CaptureFileError::EndsInRecord { place, .. } = error {
                let Place { offset, frames, is_compressed } = place;
                assert!(!is_compressed);
                assert_eq!(frames, whole as u64);
                assert!(offset < len as u64);
                assert!(file.ends[..whole].last().is_none_or(|&end| end as u64 <= offset));
            } else {
                assert!(len < 4, "cut at {len}: {error}");
            }
        }
    }
}

/// Tells whether a file cut at `len` is a valid, shorter file.
fn ends_at_a_boundary(file: &samples::File, len: usize) -> bool {
    // Behind the headers, behind a frame, and (pcapng) between the name resolution block and the
    // next frame.
    let is_ng = file.bytes[0] == 0x0A;
    let headers: &[usize] = if is_ng { &[28, 60] } else { &[24] };
    headers.contains(&len) || file.ends.contains(&len) || is_ng && len == file.ends[2] + 28
}

proptest! {
    #[test]
    fn damage_never_reaches_the_frames_before_it(
        which in 0..8_usize,
        at in any::<prop::sample::Index>(),
        value in prop::collection::vec(any::<u8>(), 1..12),
        cut in prop::option::of(any::<prop::sample::Index>()),
    ) {
        let (mut file, frames) = small_files().swap_remove(which);
        let at = at.index(file.bytes.len());
        let end = (at + value.len()).min(file.bytes.len());
        file.bytes[at..end].copy_from_slice(&value[..end - at]);
        if let Some(cut) = cut {
            file.bytes.truncate(at + cut.index(file.bytes.len() - at));
        }
        let safe = file.ends.iter().filter(|&&end| end <= at).count();
        let (read, _) = read(&file.bytes);
        prop_assert!(read.len() >= safe);
        prop_assert_eq!(&read[..safe], &frames[..safe]);
    }

    #[test]
    fn bytes_behind_a_valid_header_never_panic(
        which in 0..8_usize,
        noise in prop::collection::vec(prop_oneof![Just(0_u8), any::<u8>()], 0..200),
    ) {
        let (file, _) = small_files().swap_remove(which);
        let header_len = if file.bytes[0] == 0x0A { 60 } else { 24 };
        let (read, _) = read(&[&file.bytes[..header_len], &noise].concat());
        prop_assert!(read.iter().map(|frame| frame.bytes.len()).sum::<usize>() <= noise.len());
    }

    #[test]
    fn any_block_bodies_are_read_without_panic(
        blocks in prop::collection::vec(
            (prop::sample::select(vec![1_u32, 2, 3, 4, 5, 6, 0x0A0D_0D0A]),
             prop::collection::vec(prop_oneof![Just(0_u8), Just(0xFF), any::<u8>()], 0..80)),
            0..6,
        ),
        is_big_endian in any::<bool>(),
    ) {
        let order = ORDERS[usize::from(is_big_endian)];
        let mut bytes = [samples::section(order), samples::interface(order, 1, 0, &[])].concat();
        for (block_type, body) in blocks {
            bytes.extend(samples::block(order, block_type, &body));
        }
        read(&bytes);
    }
}
