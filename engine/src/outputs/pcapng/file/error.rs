//! Errors of writing files.

use std::io;
use std::path::PathBuf;

/// Reason why a capture file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PcapngError {
    /// The file cannot be created, truncated or made private.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// Error of the system.
        source: io::Error,
    },
    /// Blocks could not be written. The file has been truncated to its last complete block.
    #[error("cannot write {}: {source}; {}", path.display(), complete_part(*complete_bytes))]
    Write {
        /// The file.
        path: PathBuf,
        /// Length of the complete blocks in the file, in bytes.
        complete_bytes: u64,
        /// Frames that were taken and are not in the file.
        frames_lost: u64,
        /// Error of the system.
        source: io::Error,
    },
    /// Blocks could not be written, and the incomplete block could not be removed.
    #[error(
        "cannot write {}: {source}; the file ends in the middle of a block and is complete up to byte {complete_bytes}",
        path.display()
    )]
    WriteTorn {
        /// The file.
        path: PathBuf,
        /// Length of the complete blocks in the file, in bytes.
        complete_bytes: u64,
        /// Frames that were taken and are not in the file.
        frames_lost: u64,
        /// Error of the system.
        source: io::Error,
    },
}

/// Describes the part of a file that can be read.
fn complete_part(complete_bytes: u64) -> String {
    match complete_bytes {
        0 => "nothing of it is written".to_owned(),
        bytes => format!("the file is complete up to byte {bytes}"),
    }
}

impl PcapngError {
    /// Returns the number of frames that were taken and are not in the file.
    pub const fn frames_lost(&self) -> u64 {
        match self {
            Self::Create { .. } => 0,
            Self::Write { frames_lost, .. } | Self::WriteTorn { frames_lost, .. } => *frames_lost,
        }
    }
}
