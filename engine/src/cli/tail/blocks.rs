//! Reads the stream that an engine sends: pcapng, block after block as they come.

use std::io::{self, Read};
use std::mem;

use pcap_parser::{Block, OptionCode, PcapNGOption, parse_block_le};

/// Longer than any block of an engine, of which frames are at most 256 KiB.
const BLOCK_MAX: usize = 1 << 20;
/// What is read at once.
const READ: usize = 1 << 16;

/// Blocks that have come, and the beginning of one that has not come whole.
#[derive(Debug, Default)]
pub(super) struct Blocks {
    bytes: Vec<u8>,
    start: usize,
}

/// What stands in a block.
#[derive(Debug)]
pub(super) enum Content<'b> {
    /// The interface with the next number, and its name.
    Interface(String),
    Packet(Packet<'b>),
    /// Frames of an interface that were lost.
    Lost(u64),
    /// What needs no attention.
    Other,
}

/// A frame.
#[derive(Debug)]
pub(super) struct Packet<'b> {
    pub(super) interface: u32,
    /// Nanoseconds since 1970-01-01 UTC.
    pub(super) time_ns: u64,
    pub(super) original_len: u32,
    /// Towards the mirrored interface or away from it, as `epb_flags` has it: 1 or 2; 0: unknown.
    pub(super) direction: u32,
    pub(super) bytes: &'b [u8],
}

impl Blocks {
    /// Reads what is there; 0: the end.
    pub(super) fn fill(&mut self, mut source: impl Read) -> io::Result<usize> {
        self.bytes.drain(..mem::take(&mut self.start));
        let len = self.bytes.len();
        self.bytes.resize(len + READ, 0);
        let read = source.read(&mut self.bytes[len..]);
        self.bytes.truncate(len + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Whether the stream ended in the middle of a block.
    pub(super) const fn is_torn(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// The next whole block, and its bytes; `None` if it has not come.
    ///
    /// # Errors
    ///
    /// If it is none.
    pub(super) fn next(&mut self) -> io::Result<Option<(&[u8], Content<'_>)>> {
        let rest = &self.bytes[self.start..];
        let (behind, block) = match parse_block_le(rest) {
            Ok(found) => found,
            Err(pcap_parser::nom::Err::Incomplete(_)) if rest.len() < BLOCK_MAX => return Ok(None),
            Err(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "what comes is no pcapng"));
            }
        };
        let len = rest.len() - behind.len();
        self.start += len;
        Ok(Some((&rest[..len], content(block))))
    }
}

fn content(block: Block<'_>) -> Content<'_> {
    match block {
        Block::InterfaceDescription(block) => {
            let name = option(&block.options, OptionCode::IfName);
            Content::Interface(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
        }
        Block::EnhancedPacket(block) => {
            let captured = (block.caplen as usize).min(block.data.len());
            let flags = option(&block.options, OptionCode(2)).and_then(|bytes| bytes.first_chunk());
            Content::Packet(Packet {
                interface: block.if_id,
                time_ns: u64::from(block.ts_high) << 32 | u64::from(block.ts_low),
                original_len: block.origlen,
                direction: flags.map_or(0, |flags| u32::from_le_bytes(*flags) & 3),
                bytes: &block.data[..captured],
            })
        }
        Block::InterfaceStatistics(block) => {
            let lost =
                option(&block.options, OptionCode::IsbIfDrop).and_then(|bytes| bytes.first_chunk());
            Content::Lost(lost.map_or(0, |lost| u64::from_le_bytes(*lost)))
        }
        _ => Content::Other,
    }
}

fn option<'o>(options: &'o [PcapNGOption<'_>], code: OptionCode) -> Option<&'o [u8]> {
    let found = options.iter().find(|option| option.code == code)?;
    Some(&found.value()[..usize::from(found.len).min(found.value().len())])
}
