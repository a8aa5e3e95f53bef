//! Reads the pcapng stream of an engine block by block.

use std::io::{self, Read};
use std::mem;

use pcap_parser::{Block, OptionCode, PcapNGOption, parse_block_le};

/// Maximum length of a block in bytes; frames of an engine have at most 256 KiB.
const BLOCK_MAX: usize = 1 << 20;
/// Bytes per read.
const READ: usize = 1 << 16;

/// Splits the bytes of a pcapng stream into blocks; keeps the beginning of an incomplete one.
#[derive(Debug, Default)]
pub(in crate::cli) struct BlockReader {
    bytes: Vec<u8>,
    start: usize,
}

/// Content of a block.
#[derive(Debug)]
pub(in crate::cli) enum TailBlock<'b> {
    /// Name of the interface with the next number.
    Interface(String),
    Frame(TailFrame<'b>),
    /// Number of lost frames of an interface.
    Lost(u64),
    /// Any other block.
    Other,
}

/// A frame.
#[derive(Debug)]
pub(in crate::cli) struct TailFrame<'b> {
    pub(in crate::cli) interface: u32,
    /// Nanoseconds since 1970-01-01 UTC.
    pub(in crate::cli) time_ns: u64,
    pub(in crate::cli) original_len: u32,
    /// Direction as in `epb_flags`: 1 towards the mirrored interface, 2 away from it, 0 unknown.
    pub(in crate::cli) direction: u32,
    /// Its comment, which in a stream of outer frames has the reason of a drop.
    pub(in crate::cli) comment: Option<String>,
    pub(in crate::cli) bytes: &'b [u8],
}

impl BlockReader {
    /// Reads available bytes; returns 0 at the end.
    pub(in crate::cli) fn fill(&mut self, mut source: impl Read) -> io::Result<usize> {
        self.bytes.drain(..mem::take(&mut self.start));
        let len = self.bytes.len();
        self.bytes.resize(len + READ, 0);
        let read = source.read(&mut self.bytes[len..]);
        self.bytes.truncate(len + *read.as_ref().unwrap_or(&0));
        read
    }

    /// Returns `true` if the bytes end in the middle of a block.
    pub(in crate::cli) const fn has_partial_block(&self) -> bool {
        self.start < self.bytes.len()
    }

    /// Returns the bytes and the content of the next block; `None` if it is not complete.
    ///
    /// # Errors
    ///
    /// If the bytes are not a block.
    pub(in crate::cli) fn next(&mut self) -> io::Result<Option<(&[u8], TailBlock<'_>)>> {
        let rest = &self.bytes[self.start..];
        let (behind, block) = match parse_block_le(rest) {
            Ok(found) => found,
            Err(pcap_parser::nom::Err::Incomplete(_)) if rest.len() < BLOCK_MAX => return Ok(None),
            Err(_) => {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "the stream is not pcapng"));
            }
        };
        let len = rest.len() - behind.len();
        self.start += len;
        Ok(Some((&rest[..len], content(block))))
    }
}

fn content(block: Block<'_>) -> TailBlock<'_> {
    match block {
        Block::InterfaceDescription(block) => {
            let name = option(&block.options, OptionCode::IfName);
            TailBlock::Interface(String::from_utf8_lossy(name.unwrap_or_default()).into_owned())
        }
        Block::EnhancedPacket(block) => {
            let captured = (block.caplen as usize).min(block.data.len());
            let comment = option(&block.options, OptionCode::Comment);
            let flags = option(&block.options, OptionCode(2)).and_then(|bytes| bytes.first_chunk());
            TailBlock::Frame(TailFrame {
                interface: block.if_id,
                time_ns: u64::from(block.ts_high) << 32 | u64::from(block.ts_low),
                original_len: block.origlen,
                direction: flags.map_or(0, |flags| u32::from_le_bytes(*flags) & 3),
                comment: comment.map(|text| String::from_utf8_lossy(text).into_owned()),
                bytes: &block.data[..captured],
            })
        }
        Block::InterfaceStatistics(block) => {
            let lost =
                option(&block.options, OptionCode::IsbIfDrop).and_then(|bytes| bytes.first_chunk());
            TailBlock::Lost(lost.map_or(0, |lost| u64::from_le_bytes(*lost)))
        }
        _ => TailBlock::Other,
    }
}

fn option<'o>(options: &'o [PcapNGOption<'_>], code: OptionCode) -> Option<&'o [u8]> {
    let found = options.iter().find(|option| option.code == code)?;
    Some(&found.value()[..usize::from(found.len).min(found.value().len())])
}
