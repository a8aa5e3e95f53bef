//! pcapng: sections of blocks, each block framed by its length in front and behind.

use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{
    Block, EPB_MAGIC, EnhancedPacketBlock, IDB_MAGIC, InterfaceDescriptionBlock, SHB_MAGIC,
    SPB_MAGIC, SectionHeaderBlock, SimplePacketBlock, UnknownBlock, parse_block_be, parse_block_le,
};

use super::error::{Damage, Stop};
use super::ng_timestamps::TimestampFormat;
use super::window::{WINDOW_BYTES, Window};
use super::{LinkType, Located, MAX_CAPTURED_BYTES};

/// Block type and block length.
const BLOCK_HEADER_LEN: usize = 8;
/// Block type, block length and the length again at the end.
const BLOCK_FRAME_LEN: u32 = 12;
/// Up to and with the byte-order magic.
const SECTION_START_LEN: usize = 12;
const BYTE_ORDER_MAGIC: u32 = 0x1A2B_3C4D;
/// The obsolete packet block (draft-ietf-opsawg-pcapng, appendix A).
const OPB_MAGIC: u32 = 2;
/// Start of the captured bytes in an enhanced and in an obsolete packet block, and in a simple one.
const PACKET_DATA_OFFSET: usize = 28;
const SIMPLE_DATA_OFFSET: usize = 12;
/// Interfaces kept per section. A file with more is damaged or made to exhaust memory.
const MAX_INTERFACES: usize = 65_536;

/// An interface that a section describes.
#[derive(Debug, Clone, Copy)]
struct SectionInterface {
    link_type: LinkType,
    /// Bytes captured of each packet at most; 0: no limit.
    snaplen: u32,
    timestamps: TimestampFormat,
}

/// The state of the section that is being read.
#[derive(Debug)]
pub(super) struct Ng {
    is_big_endian: bool,
    interfaces: Vec<SectionInterface>,
}

impl Ng {
    /// Returns whether a file that starts with `start` has this format.
    pub(super) fn recognises(start: &[u8]) -> bool {
        start == SHB_MAGIC.to_be_bytes()
    }

    /// Checks that a section starts here; [`Ng::next`] reads it.
    pub(super) fn new(window: &mut Window) -> Result<Self, Stop> {
        let is_big_endian = section_is_big_endian(window)?;
        Ok(Self { is_big_endian, interfaces: Vec::new() })
    }

    /// Finds the next packet; `None` at the end of the file.
    pub(super) fn next(&mut self, window: &mut Window) -> Result<Option<Located>, Stop> {
        loop {
            window.set_mark();
            let available = window.fill(BLOCK_HEADER_LEN)?;
            if available == 0 {
                return Ok(None);
            }
            if available < BLOCK_HEADER_LEN {
                return Err(Stop::EndsInRecord);
            }
            let (block_type, len) = self.block_header(window)?;
            let Some(len_min) = minimum_len(block_type) else {
                self.skip(window, block_type, len)?;
                continue;
            };
            if len < len_min || !len.is_multiple_of(4) || len as usize > WINDOW_BYTES {
                return Err(Damage::BlockLength { block_type, len }.into());
            }
            if let Some(located) = self.read_block(window, len)? {
                return Ok(Some(located));
            }
        }
    }

    /// Reads type and length of the block that starts here; a section header sets the byte order
    /// for them.
    fn block_header(&mut self, window: &mut Window) -> Result<(u32, u32), Stop> {
        if window.peek(4) == SHB_MAGIC.to_be_bytes() {
            self.is_big_endian = section_is_big_endian(window)?;
        }
        let header = window.peek(BLOCK_HEADER_LEN);
        Ok((self.u32_at(header, 0), self.u32_at(header, 4)))
    }

    /// Moves over a block that says nothing about packets, however long it is.
    fn skip(&self, window: &mut Window, block_type: u32, len: u32) -> Result<(), Stop> {
        if len < BLOCK_FRAME_LEN || !len.is_multiple_of(4) {
            return Err(Damage::BlockLength { block_type, len }.into());
        }
        if !window.skip(u64::from(len - 4))? || window.fill(4)? < 4 {
            return Err(Stop::EndsInRecord);
        }
        let last = self.u32_at(window.peek(4), 0);
        if last != len {
            return Err(Damage::BlockEnd { first: len, last }.into());
        }
        window.consume(4);
        Ok(())
    }

    /// Reads a block of `len` bytes that is about packets; gives the packet if it holds one.
    fn read_block(&mut self, window: &mut Window, len: u32) -> Result<Option<Located>, Stop> {
        let block_len = len as usize;
        if window.fill(block_len)? < block_len {
            return Err(Stop::EndsInRecord);
        }
        let bytes = window.peek(block_len);
        let last = self.u32_at(bytes, block_len - 4);
        if last != len {
            return Err(Damage::BlockEnd { first: len, last }.into());
        }
        self.check_captured_len(bytes)?;
        let parse = if self.is_big_endian { parse_block_be } else { parse_block_le };
        let Ok((_, block)) = parse(bytes) else { return Err(Damage::Unreadable.into()) };
        let packet = match block {
            Block::SectionHeader(section) => self.start_section(&section).map(|()| None),
            Block::InterfaceDescription(description) => {
                self.add_interface(&description).map(|()| None)
            }
            Block::EnhancedPacket(packet) => self.enhanced(&packet).map(Some),
            Block::SimplePacket(packet) => self.simple(&packet).map(Some),
            Block::Unknown(block) => self.obsolete(&block).map(Some),
            _ => Ok(None),
        }?;
        let start = window.consume(block_len).start;
        Ok(packet.map(|packet| packet.moved_by(start)))
    }

    /// Refuses a captured length that the block has no room for, on which the parser would ask for
    /// more bytes.
    fn check_captured_len(&self, block: &[u8]) -> Result<(), Damage> {
        if !matches!(self.u32_at(block, 0), EPB_MAGIC | OPB_MAGIC) {
            return Ok(());
        }
        let captured = self.u32_at(block, 20);
        let room = u32::try_from(block.len() - PACKET_DATA_OFFSET - 4).unwrap_or(u32::MAX);
        let limit = room.min(MAX_CAPTURED_BYTES);
        if captured > limit { Err(Damage::CapturedLength { captured, limit }) } else { Ok(()) }
    }

    fn start_section(&mut self, section: &SectionHeaderBlock<'_>) -> Result<(), Damage> {
        // "A minor version 2 is read like 0" (draft-ietf-opsawg-pcapng, section 4.1): nothing
        // depends on the minor one.
        if section.major_version != 1 {
            return Err(Damage::Version {
                major: section.major_version,
                minor: section.minor_version,
            });
        }
        self.interfaces.clear();
        Ok(())
    }

    fn add_interface(&mut self, description: &InterfaceDescriptionBlock<'_>) -> Result<(), Damage> {
        if self.interfaces.len() == MAX_INTERFACES {
            return Err(Damage::Interfaces { limit: MAX_INTERFACES });
        }
        self.interfaces.push(SectionInterface {
            link_type: LinkType(description.linktype.0.cast_unsigned()),
            snaplen: description.snaplen,
            timestamps: TimestampFormat::of(description, self.is_big_endian),
        });
        Ok(())
    }

    fn enhanced(&self, packet: &EnhancedPacketBlock<'_>) -> Result<PacketBlock, Damage> {
        let interface = self.interface(packet.if_id)?;
        Ok(PacketBlock {
            timestamp_ns: interface
                .timestamps
                .to_ns(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low)),
            offset: PACKET_DATA_OFFSET,
            captured_len: packet.packet_data().len(),
            original_len: packet.origlen,
            link_type: interface.link_type,
        })
    }

    /// Reads a packet without time, of the section's first interface. Its captured part follows
    /// from its length and the interface's limit.
    fn simple(&self, packet: &SimplePacketBlock<'_>) -> Result<PacketBlock, Damage> {
        let interface = self.interface(0)?;
        let snaplen = if interface.snaplen == 0 { u32::MAX } else { interface.snaplen };
        let captured = packet.origlen.min(snaplen);
        let room = u32::try_from(packet.data.len()).unwrap_or(u32::MAX);
        let limit = room.min(MAX_CAPTURED_BYTES);
        if captured > limit {
            return Err(Damage::CapturedLength { captured, limit });
        }
        Ok(PacketBlock {
            timestamp_ns: 0,
            offset: SIMPLE_DATA_OFFSET,
            captured_len: captured as usize,
            original_len: packet.origlen,
            link_type: interface.link_type,
        })
    }

    /// Reads the obsolete packet block: an enhanced one with a drop count in the upper half of the
    /// interface.
    fn obsolete(&self, block: &UnknownBlock<'_>) -> Result<PacketBlock, Damage> {
        let id = if self.is_big_endian {
            u16::from_be_bytes([block.data[0], block.data[1]])
        } else {
            u16::from_le_bytes([block.data[0], block.data[1]])
        };
        let interface = self.interface(u32::from(id))?;
        let (high, low) = (self.u32_at(block.data, 4), self.u32_at(block.data, 8));
        Ok(PacketBlock {
            timestamp_ns: interface.timestamps.to_ns(u64::from(high) << 32 | u64::from(low)),
            offset: PACKET_DATA_OFFSET,
            captured_len: self.u32_at(block.data, 12) as usize,
            original_len: self.u32_at(block.data, 16),
            link_type: interface.link_type,
        })
    }

    fn interface(&self, id: u32) -> Result<SectionInterface, Damage> {
        let count = self.interfaces.len();
        self.interfaces.get(id as usize).copied().ok_or(Damage::Interface { id, count })
    }

    fn u32_at(&self, bytes: &[u8], offset: usize) -> u32 {
        let field = [bytes[offset], bytes[offset + 1], bytes[offset + 2], bytes[offset + 3]];
        if self.is_big_endian { u32::from_be_bytes(field) } else { u32::from_le_bytes(field) }
    }
}

/// A packet whose captured bytes start `offset` bytes into its block.
struct PacketBlock {
    timestamp_ns: u64,
    offset: usize,
    captured_len: usize,
    original_len: u32,
    link_type: LinkType,
}

impl PacketBlock {
    /// Returns the packet of a block that starts at `start` in the window's buffer.
    const fn moved_by(self, start: usize) -> Located {
        let Self { timestamp_ns, offset, captured_len, original_len, link_type } = self;
        let first = start + offset;
        Located { timestamp_ns, captured: first..first + captured_len, original_len, link_type }
    }
}

/// Reads the byte order of the section header that starts here.
fn section_is_big_endian(window: &mut Window) -> Result<bool, Stop> {
    if window.fill(SECTION_START_LEN)? < SECTION_START_LEN {
        return Err(Stop::EndsInRecord);
    }
    let magic = &window.peek(SECTION_START_LEN)[8..];
    if magic == BYTE_ORDER_MAGIC.to_le_bytes() {
        Ok(false)
    } else if magic == BYTE_ORDER_MAGIC.to_be_bytes() {
        Ok(true)
    } else {
        Err(Damage::ByteOrder.into())
    }
}

/// Returns the shortest length, in bytes, of a block that says something about packets; `None` for
/// all others.
const fn minimum_len(block_type: u32) -> Option<u32> {
    match block_type {
        SHB_MAGIC => Some(28),
        IDB_MAGIC => Some(20),
        SPB_MAGIC => Some(16),
        EPB_MAGIC | OPB_MAGIC => Some(32),
        _ => None,
    }
}
