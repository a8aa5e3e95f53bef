//! Errors of capture files, and their texts.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::{LinkType, MAX_CAPTURED_BYTES};
use crate::plural::counted;

/// A capture file that cannot be read, or not beyond a certain byte.
#[derive(Debug, thiserror::Error)]
pub enum CaptureFileError {
    /// The file cannot be opened.
    #[error("cannot open {}: {source}", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// The file holds no byte.
    #[error("{}: the file is empty", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The file is compressed in a way that is not read.
    #[error("{}: compressed with {format}; decompress it first ({command} {})", path.display(), path.display())]
    Compressed {
        /// The file.
        path: PathBuf,
        /// The compression's name.
        format: &'static str,
        /// The command that takes it off.
        command: &'static str,
    },
    /// The file has no known magic number.
    #[error("{}: neither a pcap nor a pcapng file", path.display())]
    NotACapture {
        /// The file.
        path: PathBuf,
    },
    /// Reading or decompressing failed.
    #[error("{}: cannot read on {place}: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// The record that could not be read.
        place: Place,
        /// The system's or the decompressor's error.
        source: io::Error,
    },
    /// The last record is not whole: the writer was interrupted or the copy incomplete.
    #[error("{}: ends in the middle of a record {place}", path.display())]
    EndsInRecord {
        /// The file.
        path: PathBuf,
        /// That record.
        place: Place,
    },
    /// A record contradicts the format.
    #[error("{}: damaged {place}: {damage}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// That record.
        place: Place,
        /// The contradiction.
        damage: Damage,
    },
    /// No frame of the file has a link type in which IP packets can be found.
    #[error(
        "{}: captured from {link_type}, of which no IP packets are read; those of Ethernet, raw IP, \
         Linux cooked and BSD loopback are", path.display()
    )]
    LinkType {
        /// The file.
        path: PathBuf,
        /// Link type of its frames, or of most of them.
        link_type: LinkType,
    },
}

/// Place of a record in a capture file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Start of the record, in bytes from the start of the file, or from that of its content if it
    /// is compressed.
    pub offset: u64,
    /// Number of frames read before.
    pub frames: u64,
    /// The file is compressed.
    pub is_compressed: bool,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { offset, frames, is_compressed } = *self;
        let of = if is_compressed { " of the decompressed content" } else { "" };
        write!(f, "at byte {offset}{of}, after {}", counted(frames, "frame"))
    }
}

/// Contradiction of a record with the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Damage {
    /// More bytes captured than [`MAX_CAPTURED_BYTES`] or than the block around the record has room
    /// for.
    CapturedLength {
        /// Length in the record, in bytes.
        captured: u32,
        /// Largest possible length, in bytes.
        limit: u32,
    },
    /// Nothing but zeros up to the end of the file, as a crash leaves them behind.
    Zeros,
    /// A block length that is not possible for the type of block.
    BlockLength {
        /// The block's type.
        block_type: u32,
        /// Length in the block, in bytes.
        len: u32,
    },
    /// The block's length at its end differs from the one at its start.
    BlockEnd {
        /// At the start, in bytes.
        first: u32,
        /// At the end, in bytes.
        last: u32,
    },
    /// A packet of an interface that has no description.
    Interface {
        /// The interface the packet names.
        id: u32,
        /// Number of interfaces the section has described.
        count: usize,
    },
    /// More interfaces in one section than this reader keeps.
    Interfaces {
        /// The limit.
        limit: usize,
    },
    /// A section header without a byte-order magic.
    ByteOrder,
    /// A format version that is not known.
    Version {
        /// Major version.
        major: u16,
        /// Minor version.
        minor: u16,
    },
    /// A record that the parser refuses without details.
    Unreadable,
}

impl fmt::Display for Damage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CapturedLength { captured, limit: MAX_CAPTURED_BYTES } => {
                write!(f, "record says {captured} bytes captured")
            }
            Self::CapturedLength { captured, limit } => {
                write!(
                    f,
                    "record says {captured} bytes captured in a block that has room for {limit}"
                )
            }
            Self::Zeros => write!(f, "nothing but zeros up to the end"),
            Self::BlockLength { block_type, len } => {
                write!(f, "block of type {block_type:#x} says it is {len} bytes long")
            }
            Self::BlockEnd { first, last } => {
                write!(f, "block says it is {first} bytes long at its start and {last} at its end")
            }
            Self::Interface { id, count } => {
                write!(
                    f,
                    "packet of interface {id}, but {count} interfaces are described (counted from 0)"
                )
            }
            Self::Interfaces { limit } => write!(f, "more than {limit} interfaces"),
            Self::ByteOrder => write!(f, "section header without byte-order magic"),
            Self::Version { major, minor } => {
                write!(f, "format version {major}.{minor} is not known")
            }
            Self::Unreadable => write!(f, "record cannot be decoded"),
        }
    }
}

/// Reason why reading stops, without its place.
#[derive(Debug)]
pub(super) enum Stop {
    Read(io::Error),
    EndsInRecord,
    Damaged(Damage),
}

impl From<Damage> for Stop {
    fn from(damage: Damage) -> Self {
        Self::Damaged(damage)
    }
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self::Read(error)
    }
}

impl Stop {
    /// Adds the place.
    pub(super) fn at(self, path: &Path, place: Place) -> CaptureFileError {
        let path = path.to_owned();
        match self {
            Self::Read(source) => CaptureFileError::Read { path, place, source },
            Self::EndsInRecord => CaptureFileError::EndsInRecord { path, place },
            Self::Damaged(damage) => CaptureFileError::Damaged { path, place, damage },
        }
    }
}

/// Returns the error for a file that starts with `start` (up to four bytes) and is no capture file.
pub(super) fn refuse_foreign_magic(path: &Path, start: &[u8]) -> CaptureFileError {
    let (format, command) = match start {
        [0x1f, 0x8b, ..] => ("gzip", "gunzip"),
        [0x28, 0xb5, 0x2f, 0xfd] => ("zstd", "unzstd"),
        [0x04, 0x22, 0x4d, 0x18] => ("lz4", "unlz4"),
        [0xfd, b'7', b'z', b'X'] => ("xz", "unxz"),
        [b'B', b'Z', b'h', ..] => ("bzip2", "bunzip2"),
        _ => return CaptureFileError::NotACapture { path: path.to_owned() },
    };
    CaptureFileError::Compressed { path: path.to_owned(), format, command }
}
