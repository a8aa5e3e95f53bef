//! Encodes pcapng blocks in memory, in little-endian byte order (draft-ietf-opsawg-pcapng).
//!
//! ```text
//! +------+-----+------ ... ------+---------+-----+
//! | type | len | body            | padding | len |   len: of the whole block, a multiple of 4
//! +------+-----+------ ... ------+---------+-----+
//!   u32    u32                     0..=3     u32
//! ```

use crate::config::Direction;
use options::pad;

mod options;
mod scan;

/// Largest captured length of one frame, in bytes; further bytes are cut off.
///
/// libpcap's `MAXIMUM_SNAPLEN` (pcap-int.h): readers refuse longer frames.
pub const MAX_CAPTURED_BYTES: usize = 262_144;

const SECTION_HEADER: u32 = 0x0A0D_0D0A;
const INTERFACE_DESCRIPTION: u32 = 1;
const INTERFACE_STATISTICS: u32 = 5;
const ENHANCED_PACKET: u32 = 6;

/// Bytes of an enhanced packet block before the captured ones.
const PACKET_HEADER_LEN: usize = 28;

const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// Section length "not specified", since the section grows until the writer stops.
const SECTION_LEN_UNKNOWN: u64 = u64::MAX;
/// <https://www.tcpdump.org/linktypes.html>
const LINKTYPE_ETHERNET: u16 = 1;
/// `if_tsresol`: units of 10^-9 seconds.
const NANOSECONDS: u8 = 9;

/// Values of the lowest two bits of `epb_flags`.
const INBOUND: u32 = 1;
const OUTBOUND: u32 = 2;

/// Contents of an interface description block: of an Ethernet interface, with timestamps in
/// nanoseconds and no snap length.
#[derive(Debug, Clone, Copy)]
pub struct InterfaceDescription<'a> {
    /// `if_name`.
    pub name: &'a str,
    /// `if_description`.
    pub description: &'a str,
}

/// Contents of an interface statistics block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Statistics {
    /// `isb_starttime`, nanoseconds since 1970-01-01 UTC.
    pub start_ns: u64,
    /// `isb_endtime` and the time of the block, nanoseconds since 1970-01-01 UTC.
    pub end_ns: u64,
    /// `isb_ifrecv`: frames that arrived for this interface.
    pub received: u64,
    /// `isb_filteraccept`: received frames that were meant for the file because of their session
    /// and the filter.
    pub accepted: u64,
    /// `isb_ifdrop`: accepted frames that are not in the file.
    pub dropped: u64,
    /// `isb_usrdeliv`: accepted frames that are in the file.
    pub delivered: u64,
}

/// A sequence of complete blocks.
///
/// A block is appended in one call. Nothing is allocated as long as the blocks fit into the initial
/// capacity.
#[derive(Debug, Default)]
pub struct Blocks {
    bytes: Vec<u8>,
    interfaces: u32,
}

impl Blocks {
    /// Returns an empty sequence with room for `capacity` bytes.
    pub fn with_capacity(capacity: usize) -> Self {
        Self { bytes: Vec::with_capacity(capacity), interfaces: 0 }
    }

    /// Returns the blocks appended since the last [`Blocks::clear`].
    pub const fn bytes(&self) -> &[u8] {
        self.bytes.as_slice()
    }

    /// Removes the blocks but keeps the memory and the number of interfaces.
    pub fn clear(&mut self) {
        self.bytes.clear();
    }

    /// Puts bytes in front of the blocks.
    pub(super) fn prepend(&mut self, bytes: &[u8]) {
        self.bytes.splice(..0, bytes.iter().copied());
    }

    /// Appends a section header block, after which interfaces are numbered from 0. `application` is
    /// `shb_userappl`.
    pub fn section_header(&mut self, application: &str) {
        self.any_section_header(application, None);
    }

    /// Appends a section header block with a comment for the people who read the section
    /// (`opt_comment`).
    pub fn commented_section_header(&mut self, application: &str, comment: &str) {
        self.any_section_header(application, Some(comment));
    }

    fn any_section_header(&mut self, application: &str, comment: Option<&str>) {
        self.interfaces = 0;
        self.block(SECTION_HEADER, |bytes| {
            bytes.extend(BYTE_ORDER_MAGIC.to_le_bytes());
            bytes.extend(1_u16.to_le_bytes());
            bytes.extend(0_u16.to_le_bytes());
            bytes.extend(SECTION_LEN_UNKNOWN.to_le_bytes());
            if let Some(comment) = comment {
                options::push_text(bytes, options::COMMENT, comment);
            }
            options::push_text(bytes, options::SHB_USERAPPL, application);
            options::push(bytes, options::END, &[]);
        });
    }

    /// Appends an interface description block and returns the interface's number in this section.
    pub fn interface(&mut self, interface: InterfaceDescription<'_>) -> u32 {
        self.block(INTERFACE_DESCRIPTION, |bytes| {
            bytes.extend(LINKTYPE_ETHERNET.to_le_bytes());
            bytes.extend([0; 2]);
            bytes.extend(0_u32.to_le_bytes()); // SnapLen: no limit
            options::push_text(bytes, options::IF_NAME, interface.name);
            options::push_text(bytes, options::IF_DESCRIPTION, interface.description);
            options::push(bytes, options::IF_TSRESOL, &[NANOSECONDS]);
            options::push(bytes, options::END, &[]);
        });
        self.interfaces += 1;
        self.interfaces - 1
    }

    /// Appends an enhanced packet block.
    ///
    /// `timestamp_ns` is in nanoseconds since 1970-01-01 UTC. The captured bytes are the
    /// concatenated segments, up to [`MAX_CAPTURED_BYTES`]. `original_len` is the length of the
    /// frame on the wire, in bytes; it is raised to the captured length if it is smaller, since
    /// readers would report a damaged file. `direction`, if known, becomes `epb_flags`: inbound is
    /// towards the mirrored interface.
    pub fn packet<'a>(
        &mut self,
        interface: u32,
        timestamp_ns: u64,
        original_len: u32,
        direction: Option<Direction>,
        segments: impl Iterator<Item = &'a [u8]>,
    ) {
        let flags = direction.map(|direction| match direction {
            Direction::Ingress => INBOUND,
            Direction::Egress => OUTBOUND,
        });
        self.packet_with(interface, timestamp_ns, original_len, segments, |bytes| {
            if let Some(flags) = flags {
                options::push(bytes, options::EPB_FLAGS, &flags.to_le_bytes());
                options::push(bytes, options::END, &[]);
            }
        });
    }

    /// Appends an enhanced packet block as [`Self::packet`] does, with a comment (`opt_comment`)
    /// instead of a direction.
    pub fn packet_with_comment<'a>(
        &mut self,
        interface: u32,
        timestamp_ns: u64,
        original_len: u32,
        comment: Option<&str>,
        segments: impl Iterator<Item = &'a [u8]>,
    ) {
        self.packet_with(interface, timestamp_ns, original_len, segments, |bytes| {
            if let Some(comment) = comment {
                options::push_text(bytes, options::COMMENT, comment);
                options::push(bytes, options::END, &[]);
            }
        });
    }

    /// Appends an enhanced packet block; `options` appends its options.
    #[inline]
    fn packet_with<'a>(
        &mut self,
        interface: u32,
        timestamp_ns: u64,
        original_len: u32,
        segments: impl Iterator<Item = &'a [u8]>,
        options: impl FnOnce(&mut Vec<u8>),
    ) {
        let bytes = &mut self.bytes;
        let start = bytes.len();
        let data = start + PACKET_HEADER_LEN;
        bytes.extend_from_slice(&[0; PACKET_HEADER_LEN]);
        for segment in segments {
            let room = MAX_CAPTURED_BYTES - (bytes.len() - data);
            bytes.extend_from_slice(&segment[..segment.len().min(room)]);
        }
        let captured = as_u32(bytes.len() - data);
        pad(bytes, start);
        options(bytes);
        let len = as_u32(bytes.len() - start + 4);
        bytes.extend_from_slice(&len.to_le_bytes());
        let original = original_len.max(captured);
        let fields = [
            ENHANCED_PACKET,
            len,
            interface,
            high(timestamp_ns),
            low(timestamp_ns),
            captured,
            original,
        ];
        let (words, _) = bytes[start..data].as_chunks_mut();
        for (word, field) in words.iter_mut().zip(fields) {
            *word = field.to_le_bytes();
        }
    }

    /// Appends an interface statistics block.
    pub fn statistics(&mut self, interface: u32, statistics: &Statistics) {
        let Statistics { start_ns, end_ns, received, accepted, dropped, delivered } = *statistics;
        self.block(INTERFACE_STATISTICS, |bytes| {
            bytes.extend(interface.to_le_bytes());
            push_timestamp(bytes, end_ns);
            for (code, time_ns) in
                [(options::ISB_STARTTIME, start_ns), (options::ISB_ENDTIME, end_ns)]
            {
                options::push(
                    bytes,
                    code,
                    &[high(time_ns).to_le_bytes(), low(time_ns).to_le_bytes()].concat(),
                );
            }
            for (code, count) in [
                (options::ISB_IFRECV, received),
                (options::ISB_IFDROP, dropped),
                (options::ISB_FILTERACCEPT, accepted),
                (options::ISB_USRDELIV, delivered),
            ] {
                options::push(bytes, code, &count.to_le_bytes());
            }
            options::push(bytes, options::END, &[]);
        });
    }

    /// Appends a block; `body` appends its contents.
    fn block(&mut self, block_type: u32, body: impl FnOnce(&mut Vec<u8>)) {
        let bytes = &mut self.bytes;
        let start = bytes.len();
        bytes.extend(block_type.to_le_bytes());
        bytes.extend([0; 4]);
        body(bytes);
        pad(bytes, start);
        let len = as_u32(bytes.len() - start + 4).to_le_bytes();
        bytes.extend(len);
        bytes[start + 4..start + 8].copy_from_slice(&len);
    }
}

/// Appends a timestamp: the upper 32 bits first, each half in the section's byte order.
fn push_timestamp(bytes: &mut Vec<u8>, time_ns: u64) {
    bytes.extend(high(time_ns).to_le_bytes());
    bytes.extend(low(time_ns).to_le_bytes());
}

const fn high(time_ns: u64) -> u32 {
    (time_ns >> 32) as u32
}

#[expect(clippy::cast_possible_truncation, reason = "the upper half is written separately")]
const fn low(time_ns: u64) -> u32 {
    time_ns as u32
}

fn as_u32(len: usize) -> u32 {
    u32::try_from(len).expect("the bounded parts of a block are far below 4 GiB")
}

#[cfg(test)]
mod tests;
