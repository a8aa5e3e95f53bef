//! Classic pcap: one file header, then records.

use pcap_parser::{
    LegacyPcapBlock, parse_pcap_frame, parse_pcap_frame_be, parse_pcap_frame_modified,
    parse_pcap_header,
};

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

const NS_PER_SECOND: u64 = 1_000_000_000;

/// Format of the records, from the file header.
#[derive(Debug)]
pub(super) struct Classic {
    is_big_endian: bool,
    is_modified: bool,
    units_per_second: u32,
    link_type: LinkType,
}

impl Classic {
    /// Returns whether a file that starts with `start` has this format.
    pub(super) fn recognises(start: &[u8]) -> bool {
        let Ok(magic) = <[u8; 4]>::try_from(start) else { return false };
        // Read as little-endian: microseconds, nanoseconds, modified; the same in the other byte
        // order.
        matches!(
            u32::from_le_bytes(magic),
            0xa1b2_c3d4 | 0xa1b2_3c4d | 0xa1b2_cd34 | 0xd4c3_b2a1 | 0x4d3c_b2a1
        )
    }

    /// Reads the file header.
    pub(super) fn new(window: &mut Window) -> Result<Self, Stop> {
        if window.fill(FILE_HEADER_LEN)? < FILE_HEADER_LEN {
            return Err(Stop::EndsInRecord);
        }
        let Ok((_, header)) = parse_pcap_header(window.peek(FILE_HEADER_LEN)) else {
            return Err(Damage::Unreadable.into());
        };
        // 2.4 since 1998; in older files the two lengths may be the other way round (libpcap,
        // sf-pcap.c).
        if header.version_major != 2 || header.version_minor < 4 {
            return Err(Damage::Version {
                major: header.version_major,
                minor: header.version_minor,
            }
            .into());
        }
        window.consume(FILE_HEADER_LEN);
        Ok(Self {
            is_big_endian: header.is_bigendian(),
            is_modified: header.is_modified_format(),
            units_per_second: if header.is_nanosecond_precision() {
                1_000_000_000
            } else {
                1_000_000
            },
            link_type: LinkType(header.network.0.cast_unsigned() & LINK_TYPE_MASK),
        })
    }

    /// Finds the next record; `None` at the end of the file.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Option<Located>, Stop> {
        window.set_mark();
        let header_len =
            if self.is_modified { MODIFIED_RECORD_HEADER_LEN } else { RECORD_HEADER_LEN };
        let available = window.fill(header_len)?;
        if available == 0 {
            return Ok(None);
        }
        if available < header_len {
            return Err(Stop::EndsInRecord);
        }
        let record_len = header_len + self.check_header(window.peek(RECORD_HEADER_LEN))? as usize;
        if window.fill(record_len)? < record_len {
            return Err(Stop::EndsInRecord);
        }
        let record = self.parse(window.peek(record_len))?;
        let (timestamp_ns, original_len) = (self.timestamp_ns(&record)?, record.origlen);
        let place = window.consume(record_len);
        let captured = place.start + header_len..place.end;
        Ok(Some(Located { timestamp_ns, captured, original_len, link_type: self.link_type }))
    }

    /// Returns the captured length, in bytes, if a record can have it.
    fn check_header(&self, header: &[u8]) -> Result<u32, Damage> {
        if header.iter().all(|&byte| byte == 0) {
            return Err(Damage::Zeros);
        }
        let field = [header[8], header[9], header[10], header[11]];
        let captured =
            if self.is_big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) };
        if captured > MAX_CAPTURED_BYTES {
            return Err(Damage::CapturedLength { captured, limit: MAX_CAPTURED_BYTES });
        }
        Ok(captured)
    }

    fn parse<'a>(&self, record: &'a [u8]) -> Result<LegacyPcapBlock<'a>, Damage> {
        let parse = match (self.is_modified, self.is_big_endian) {
            (true, _) => parse_pcap_frame_modified,
            (false, true) => parse_pcap_frame_be,
            (false, false) => parse_pcap_frame,
        };
        parse(record).map(|(_, record)| record).or(Err(Damage::Unreadable))
    }

    fn timestamp_ns(&self, record: &LegacyPcapBlock<'_>) -> Result<u64, Damage> {
        let (fraction, units) = (record.ts_usec, self.units_per_second);
        if fraction >= units {
            return Err(Damage::Fraction { fraction, units });
        }
        Ok(u64::from(record.ts_sec) * NS_PER_SECOND
            + u64::from(fraction) * (NS_PER_SECOND / u64::from(units)))
    }
}
