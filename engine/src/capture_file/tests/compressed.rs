//! Files that are compressed with gzip or zstd.

use std::io::Write as _;

use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::*;

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    compress_to_vec(bytes, CompressionLevel::Fastest)
}

/// Compresses the halves of a file on their own, as `cat one.gz two.gz` and vxtap itself do.
fn in_two_parts(bytes: &[u8], compress: fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let (first, second) = bytes.split_at(bytes.len() / 2);
    [compress(first), compress(second)].concat()
}

#[test]
fn compressed_files_are_read_also_in_several_parts() {
    for (file, frames) in small_files() {
        for compress in [gzip, zstd] {
            assert_eq!(read_whole(&compress(&file.bytes)), frames);
            assert_eq!(read_whole(&in_two_parts(&file.bytes, compress)), frames);
        }
    }
}

#[test]
fn frames_of_zstd_that_are_to_be_skipped_are_skipped() {
    let (file, frames) = small_files().swap_remove(0);
    let skipped = [0x5d, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3];
    let bytes = [&skipped[..], &in_two_parts(&file.bytes, zstd), &skipped].concat();
    assert_eq!(read_whole(&bytes), frames);
    let cut = &bytes[..bytes.len() - 1];
    assert_eq!(read(cut).0, frames);
    assert!(read(cut).1.is_some(), "an end in the middle is said");
}

#[test]
fn damage_has_its_place_in_the_decompressed_content() {
    let (file, _) = small_files().swap_remove(0);
    let cut = &file.bytes[..file.ends[2] + 5];
    for compress in [gzip, zstd] {
        assert_eq!(
            error_text(&compress(cut)),
            format!(
                "capture.pcap: ends in the middle of a record at byte {} of the decompressed content, \
                 after 3 frames",
                file.ends[2]
            )
        );
    }
}

#[test]
fn what_cannot_be_decompressed_is_said_after_the_frames_before_it() {
    let frames = samples::frames(20_000);
    let file = samples::classic(Order::Little, 0xa1b2_3c4d, &frames);
    for (whole, checksum_len) in [(gzip(&file.bytes), 8), (zstd(&file.bytes), 4)] {
        let mut wrong = whole.clone();
        let len = wrong.len();
        // Both formats have a checksum of the content at the end, gzip the length behind it.
        wrong[len - checksum_len] ^= 1;
        for bytes in [&wrong[..], &whole[..len - 1], &whole[..len / 2]] {
            let (read, error) = read(bytes);
            assert_eq!(read, frames[..read.len()]);
            let text = error.expect("an error").to_string();
            let place = " of the decompressed content, after ";
            assert!(text.starts_with("capture.pcap: ") && text.contains(place), "{text}");
        }
    }
}

#[test]
fn a_compressed_file_that_is_no_capture_is_named() {
    for compress in [gzip, zstd] {
        assert_eq!(
            error_text(&compress(b"<html>")),
            "capture.pcap: neither a pcap nor a pcapng file"
        );
        assert_eq!(error_text(&compress(b"")), "capture.pcap: the file is empty");
    }
    assert!(error_text(b"\x1f\x8b\x08\x00").starts_with("capture.pcap: cannot read on at byte 0"));
}
