//! Encodes pcap: a header, then record after record (draft-ietf-opsawg-pcap; pcap-savefile(5)).
//! Little-endian.

use super::pcapng::MAX_CAPTURED_BYTES;

/// Magic number of files with nanosecond timestamps. Its byte order is that of all fields.
const MAGIC_NANOSECONDS: u32 = 0xA1B2_3C4D;
const VERSION: [u16; 2] = [2, 4];
const LINKTYPE_ETHERNET: u32 = 1;
const NS_PER_S: u64 = 1_000_000_000;

/// Bytes of a record before the frame.
const RECORD_HEADER_LEN: usize = 16;

/// Appends the header of a capture of Ethernet frames, with times in nanoseconds.
pub fn header(bytes: &mut Vec<u8>) {
    bytes.extend(MAGIC_NANOSECONDS.to_le_bytes());
    bytes.extend(VERSION.map(u16::to_le_bytes).concat());
    // Two reserved fields.
    bytes.extend([0; 8]);
    let snap_len = u32::try_from(MAX_CAPTURED_BYTES).unwrap_or(u32::MAX);
    bytes.extend(snap_len.to_le_bytes());
    bytes.extend(LINKTYPE_ETHERNET.to_le_bytes());
}

/// Appends a frame: its arrival time (nanoseconds since 1970-01-01 UTC), its length on the wire in
/// bytes, and the captured bytes, of which the first [`MAX_CAPTURED_BYTES`] are written.
pub fn record<'a>(
    bytes: &mut Vec<u8>,
    timestamp_ns: u64,
    original_len: u32,
    segments: impl Iterator<Item = &'a [u8]>,
) {
    let start = bytes.len();
    // 32 bits of seconds are enough until 2106.
    let seconds = u32::try_from(timestamp_ns / NS_PER_S).unwrap_or(u32::MAX);
    let nanoseconds = u32::try_from(timestamp_ns % NS_PER_S).unwrap_or(0);
    for field in [seconds, nanoseconds, 0, original_len] {
        bytes.extend(field.to_le_bytes());
    }
    segments.for_each(|segment| bytes.extend_from_slice(segment));
    bytes.truncate(start + RECORD_HEADER_LEN + MAX_CAPTURED_BYTES);
    let captured = u32::try_from(bytes.len() - start - RECORD_HEADER_LEN).unwrap_or(u32::MAX);
    bytes[start + 8..start + 12].copy_from_slice(&captured.to_le_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::capture_file::CaptureFile;

    #[test]
    fn what_is_written_is_read_again_to_the_nanosecond_and_a_frame_that_is_too_long_is_cut() {
        let mut bytes = Vec::new();
        header(&mut bytes);
        record(&mut bytes, 1_700_000_000_123_456_789, 99, [&b"first"[..], b"-piece"].into_iter());
        let long = vec![7; MAX_CAPTURED_BYTES + 1];
        record(&mut bytes, 0, 300_000, std::iter::once(&long[..]));
        record(&mut bytes, 1, 0, std::iter::empty());
        let mut file = CaptureFile::from_reader("a stream", std::io::Cursor::new(bytes)).unwrap();
        let mut frames = Vec::new();
        while let Some(frame) = file.next().unwrap() {
            frames.push((frame.timestamp_ns, frame.original_len, frame.captured.to_vec()));
        }
        assert_eq!(frames[0], (1_700_000_000_123_456_789, 99, b"first-piece".to_vec()));
        assert_eq!((frames[1].1, frames[1].2.len()), (300_000, MAX_CAPTURED_BYTES));
        assert_eq!(frames[2], (1, 0, vec![]));
    }
}
