//! Classic pcap: one file header, then records.

use super::error::{Damage, Stop};
use super::window::Window;
use super::{LinkType, Located, MAX_CAPTURED_BYTES};

const FILE_HEADER_LEN: usize = 24;
const RECORD_HEADER_LEN: usize = 16;
/// The "modified" variant adds interface index, protocol and packet type to each record.
const MODIFIED_RECORD_HEADER_LEN: usize = 24;
/// The link type's part of its 32-bit field; the other bits describe a checksum at the end of
/// frames (draft-ietf-opsawg-pcap, section 4; libpcap `LT_LINKTYPE`).
const LINK_TYPE_MASK: u32 = 0x03FF_FFFF;

const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Order of the two lengths in a record header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LengthOrder {
    /// The captured length, then the original one.
    CapturedFirst,
    OriginalFirst,
    /// Either; the captured length is not the larger one.
    SmallerIsCaptured,
}

impl LengthOrder {
    /// Returns the order in a version, as libpcap has it (sf-pcap.c): 2.4 since 1998, 543.0 of
    /// DG/UX.
    const fn of_version(major: u16, minor: u16) -> Option<Self> {
        match (major, minor) {
            (2, 0..=2) | (543, 0) => Some(Self::OriginalFirst),
            (2, 3) => Some(Self::SmallerIsCaptured),
            (2, 4..) => Some(Self::CapturedFirst),
            _ => None,
        }
    }
}

/// Format of the records, from the file header.
#[derive(Debug)]
pub(super) struct Classic {
    is_big_endian: bool,
    header_len: usize,
    lengths: LengthOrder,
    units_per_second: u32,
    pub(super) link_type: LinkType,
    /// Records without time and bytes that have been read and not returned.
    empty_records: u64,
}

/// The fields of a record header.
struct RecordHeader {
    seconds: u32,
    fraction: u32,
    captured_len: u32,
    original_len: u32,
}

impl Classic {
    /// Returns whether a file that starts with `start` has this format.
    pub(super) fn recognises(start: &[u8]) -> bool {
        let Ok(magic) = <[u8; 4]>::try_from(start) else { return false };
        is_magic(u32::from_le_bytes(magic)) || is_magic(u32::from_be_bytes(magic))
    }

    /// Reads the file header.
    pub(super) fn new(window: &mut Window) -> Result<Self, Stop> {
        if window.fill(FILE_HEADER_LEN)? < FILE_HEADER_LEN {
            return Err(Stop::EndsInRecord);
        }
        let header = window.peek(FILE_HEADER_LEN);
        let is_big_endian = !is_magic(u32_at(header, 0, false));
        let magic = u32_at(header, 0, is_big_endian);
        let (major, minor) = (u16_at(header, 4, is_big_endian), u16_at(header, 6, is_big_endian));
        let lengths =
            LengthOrder::of_version(major, minor).ok_or(Damage::Version { major, minor })?;
        let link_type = LinkType(u32_at(header, 20, is_big_endian) & LINK_TYPE_MASK);
        window.consume(FILE_HEADER_LEN);
        Ok(Self {
            is_big_endian,
            header_len: if magic == MODIFIED {
                MODIFIED_RECORD_HEADER_LEN
            } else {
                RECORD_HEADER_LEN
            },
            lengths,
            units_per_second: if magic == NANOSECONDS { 1_000_000_000 } else { 1_000_000 },
            link_type,
            empty_records: 0,
        })
    }

    /// Finds the next record; `None` at the end of the file.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Option<Located>, Stop> {
        if self.empty_records > 0 {
            return Ok(Some(self.empty_record()));
        }
        window.set_mark();
        let available = window.fill(self.header_len)?;
        if available == 0 {
            return Ok(None);
        }
        if available < self.header_len {
            return Err(Stop::EndsInRecord);
        }
        if is_zero(window.peek(self.header_len)) {
            self.empty_records = count_zero_headers(window, self.header_len)?;
            return Ok(Some(self.empty_record()));
        }
        let header = self.header(window.peek(RECORD_HEADER_LEN));
        if header.captured_len > MAX_CAPTURED_BYTES {
            let captured = header.captured_len;
            return Err(Damage::CapturedLength { captured, limit: MAX_CAPTURED_BYTES }.into());
        }
        let record_len = self.header_len + header.captured_len as usize;
        if window.fill(record_len)? < record_len {
            return Err(Stop::EndsInRecord);
        }
        let place = window.consume(record_len);
        Ok(Some(Located {
            timestamp_ns: self.timestamp_ns(&header),
            captured: place.start + self.header_len..place.end,
            original_len: header.original_len,
            link_type: self.link_type,
        }))
    }

    fn header(&self, bytes: &[u8]) -> RecordHeader {
        let field = |at| u32_at(bytes, at, self.is_big_endian);
        let (first, second) = (field(8), field(12));
        let is_swapped = match self.lengths {
            LengthOrder::CapturedFirst => false,
            LengthOrder::OriginalFirst => true,
            LengthOrder::SmallerIsCaptured => first > second,
        };
        let (captured_len, original_len) =
            if is_swapped { (second, first) } else { (first, second) };
        RecordHeader { seconds: field(0), fraction: field(4), captured_len, original_len }
    }

    /// Returns the time of a record. A fraction of a second or more is carried over, as other
    /// readers do.
    fn timestamp_ns(&self, header: &RecordHeader) -> u64 {
        u64::from(header.seconds) * NS_PER_SECOND
            + u64::from(header.fraction) * (NS_PER_SECOND / u64::from(self.units_per_second))
    }

    /// Takes one of the records without time and bytes.
    const fn empty_record(&mut self) -> Located {
        self.empty_records -= 1;
        Located { timestamp_ns: 0, captured: 0..0, original_len: 0, link_type: self.link_type }
    }
}

/// Consumes record headers of zeros, and returns their number.
///
/// In the middle of a file each is an empty frame, as other readers have it. Up to the end of the
/// file they are what a crash leaves behind.
fn count_zero_headers(window: &mut Window, header_len: usize) -> Result<u64, Stop> {
    let mut count = 0;
    loop {
        let available = window.fill(header_len)?;
        if !is_zero(window.peek(available)) {
            return Ok(count);
        }
        if available < header_len {
            return Err(Damage::Zeros.into());
        }
        window.consume(header_len);
        count += 1;
    }
}

fn is_zero(bytes: &[u8]) -> bool {
    bytes.iter().all(|&byte| byte == 0)
}

const fn is_magic(value: u32) -> bool {
    matches!(value, MICROSECONDS | NANOSECONDS | MODIFIED)
}

fn u16_at(bytes: &[u8], at: usize, is_big_endian: bool) -> u16 {
    let field = [bytes[at], bytes[at + 1]];
    if is_big_endian { u16::from_be_bytes(field) } else { u16::from_le_bytes(field) }
}

fn u32_at(bytes: &[u8], at: usize, is_big_endian: bool) -> u32 {
    let field = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    if is_big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }
}
