//! Storage of a capture: a file, or memory.

use std::fs::{File, Metadata};
use std::io::{self, Seek, SeekFrom, Write};

/// Storage that blocks are appended to and that can be truncated.
pub(in super::super) trait Storage {
    /// Appends some of `bytes` and returns how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Removes all bytes after the first `len`.
    fn truncate(&mut self, len: u64) -> io::Result<()>;
    /// Returns the present length in bytes; `None` if it does not tell what was written.
    fn stored_len(&self) -> Option<u64>;
}

impl Storage for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        // A write at the old position would leave a hole.
        self.seek(SeekFrom::Start(len)).map(drop)
    }

    fn stored_len(&self) -> Option<u64> {
        self.metadata().ok().filter(Metadata::is_file).map(|it| it.len())
    }
}

/// Memory, for a stream: the bytes are taken out as it grows.
impl Storage for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }

    fn stored_len(&self) -> Option<u64> {
        None
    }
}

/// Appends `bytes` until all are written or an error occurs. Returns the number written.
pub(super) fn append_all(storage: &mut impl Storage, bytes: &[u8]) -> (usize, Option<io::Error>) {
    let mut written = 0;
    while written < bytes.len() {
        match storage.append(&bytes[written..]) {
            Ok(0) => return (written, Some(io::ErrorKind::WriteZero.into())),
            Ok(count) => written += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return (written, Some(error)),
        }
    }
    (written, None)
}
