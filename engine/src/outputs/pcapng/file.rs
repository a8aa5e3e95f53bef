//! A file that holds whole blocks up to the last flush, whatever goes wrong in between.

use std::fs::File;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::blocks::{Blocks, MAX_CAPTURED_BYTES};
use super::secure_open::{self, Owner};

/// Time from one write of [`PcapngFile::tick`] to the next.
///
/// Half of the second within which a frame has to be in the file: the other half is for the time
/// between two ticks. Shorter costs more system calls, longer shows a frame later to who follows
/// the file.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Unwritten bytes at which blocks are written without waiting for the next tick.
///
/// From some 100 KiB on the cost of a write call no longer shows; much more, and the blocks have
/// left the second-level cache when the kernel copies them.
const FLUSH_BYTES: usize = 1 << 17;

/// A capture file cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum PcapngError {
    /// The file cannot be created, emptied or made private.
    #[error("cannot create {}: {source}", path.display())]
    Create {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Blocks could not be written. The file has been cut back to its last whole block.
    #[error("cannot write {}: {source}; it is whole up to byte {whole_bytes}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Length of what was written, in bytes.
        whole_bytes: u64,
        /// Frames that were taken and are not in the file.
        frames_lost: u64,
        /// What the system said.
        source: io::Error,
    },
    /// Blocks could not be written, and what was written of the last one could not be taken back.
    #[error(
        "cannot write {}: {source}; it ends in the middle of a block, what is whole ends at byte {whole_bytes}",
        path.display()
    )]
    WriteTorn {
        /// The file.
        path: PathBuf,
        /// Length of the whole blocks in the file, in bytes.
        whole_bytes: u64,
        /// Frames that were taken and are not in the file.
        frames_lost: u64,
        /// What the system said.
        source: io::Error,
    },
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

/// Where blocks go: bytes at the end, and the end can be taken back.
pub(super) trait Storage {
    /// Appends some of `bytes` and returns how many.
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize>;
    /// Cuts off what is behind the first `len` bytes.
    fn cut(&mut self, len: u64) -> io::Result<()>;
}

impl Storage for File {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.write(bytes)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.set_len(len)?;
        // Else what comes next leaves a hole.
        self.seek(SeekFrom::Start(len)).map(drop)
    }
}

/// A stream, whose bytes are taken out again as it grows.
impl Storage for Vec<u8> {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.truncate(usize::try_from(len).unwrap_or(usize::MAX));
        Ok(())
    }
}

/// A pcapng file being written.
///
/// Blocks are gathered in memory and written many at a time. Who opens the file finds whole blocks
/// up to the last flush; during a flush it may see the first part of what is being written, since
/// the system does not make a write visible all at once. After a failed write the file is left as
/// it is, and further flushes fail until [`PcapngFile::resume`].
#[derive(Debug)]
pub struct PcapngFile<S = File> {
    storage: S,
    path: PathBuf,
    blocks: Blocks,
    whole_bytes: u64,
    /// Of the last tick that wrote.
    flushed_at: Instant,
    state: State,
    /// The interfaces of the frames that the last failed write lost.
    lost: Vec<u32>,
}

/// What the end of the file is like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Whole,
    /// Whole, and the last write failed.
    Failed,
    /// In the middle of a block.
    Torn,
}

impl PcapngFile {
    /// Creates the file at `path`, or empties the one that is there, with mode 0600 in either case.
    ///
    /// What is no regular file (a pipe, `/dev/stdout`) is written to as it is; a named pipe has to
    /// have a reader. `now` starts the flush interval.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Create`].
    pub fn create(path: impl AsRef<Path>, now: Instant) -> Result<Self, PcapngError> {
        Self::create_for(path.as_ref(), None, now)
    }

    /// As [`PcapngFile::create`], for an owner.
    pub(super) fn create_for(
        path: &Path,
        owner: Option<Owner>,
        now: Instant,
    ) -> Result<Self, PcapngError> {
        Self::created(path.to_owned(), secure_open::create(path, owner), now)
    }

    /// Creates the file at `path`, where nothing may be, with mode 0600.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Create`].
    pub(super) fn create_new(
        path: PathBuf,
        owner: Option<Owner>,
        now: Instant,
    ) -> Result<Self, PcapngError> {
        let created = secure_open::create_new(&path, owner);
        Self::created(path, created, now)
    }

    fn created(
        path: PathBuf,
        created: io::Result<File>,
        now: Instant,
    ) -> Result<Self, PcapngError> {
        match created {
            Ok(file) => Ok(Self::over(file, path, now)),
            Err(source) => Err(PcapngError::Create { path, source }),
        }
    }
}

#[expect(private_bounds, reason = "another storage than a file exists in tests only")]
impl<S: Storage> PcapngFile<S> {
    pub(in crate::outputs) fn over(storage: S, path: PathBuf, now: Instant) -> Self {
        // Room for the block that goes over the limit, so that packets never make the memory grow.
        let blocks = Blocks::with_capacity(FLUSH_BYTES + MAX_CAPTURED_BYTES + 64);
        Self {
            storage,
            path,
            blocks,
            whole_bytes: 0,
            flushed_at: now,
            state: State::Whole,
            lost: Vec::new(),
        }
    }

    /// Returns the blocks that wait to be written, to append to; call [`PcapngFile::make_room`]
    /// afterwards.
    pub const fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    /// Writes the waiting blocks if there are many.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn make_room(&mut self) -> Result<(), PcapngError> {
        if self.blocks.bytes().len() < FLUSH_BYTES { Ok(()) } else { self.flush() }
    }

    /// Writes the waiting blocks if the last time is long enough ago; to be called every 250 ms or
    /// more often.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn tick(&mut self, now: Instant) -> Result<(), PcapngError> {
        if now.saturating_duration_since(self.flushed_at) < FLUSH_INTERVAL {
            return Ok(());
        }
        self.flushed_at = now;
        self.flush()
    }

    /// Writes every waiting block.
    ///
    /// The bytes are with the kernel then, where every reader sees them; they are not forced to the
    /// disk.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Write`] or [`PcapngError::WriteTorn`]; the frames lost with the first error
    /// are those that waited, with each further one those appended since.
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        let (written, error) = match self.state {
            State::Whole => append_all(&mut self.storage, self.blocks.bytes()),
            State::Failed | State::Torn => (0, Some(io::Error::other("an earlier write failed"))),
        };
        let (whole, lost) = self.blocks.whole_within(written);
        self.whole_bytes += whole as u64;
        self.blocks.clear();
        let Some(source) = error else { return Ok(()) };
        let (path, whole_bytes, frames_lost) =
            (self.path.clone(), self.whole_bytes, lost.len() as u64);
        self.lost = lost;
        let is_torn = written > whole && self.storage.cut(whole_bytes).is_err();
        if is_torn || self.state == State::Torn {
            self.state = State::Torn;
            return Err(PcapngError::WriteTorn { path, whole_bytes, frames_lost, source });
        }
        self.state = State::Failed;
        Err(PcapngError::Write { path, whole_bytes, frames_lost, source })
    }

    /// Lets flushes try again after a failed one; says whether they may, which is not so where the
    /// file ends in the middle of a block. What was described in the file before may be among what
    /// was lost: the next block has to be a section header.
    pub fn resume(&mut self) -> bool {
        if self.state == State::Failed {
            self.state = State::Whole;
        }
        self.state == State::Whole
    }

    /// The interfaces of the frames that the last failed flush lost, one for each.
    pub(super) fn lost(&self) -> &[u32] {
        &self.lost
    }

    /// Length of the blocks that wait, in bytes.
    pub(super) const fn waiting_bytes(&self) -> usize {
        self.blocks.bytes().len()
    }

    /// Returns the length of the whole blocks in the file, in bytes.
    pub const fn whole_bytes(&self) -> u64 {
        self.whole_bytes
    }

    pub(super) fn into_storage(self) -> S {
        self.storage
    }

    pub(super) const fn storage_mut(&mut self) -> &mut S {
        &mut self.storage
    }

    pub(super) const fn storage(&self) -> &S {
        &self.storage
    }
}

/// Appends `bytes` until all are there or an error comes; returns how many are there.
fn append_all(storage: &mut impl Storage, bytes: &[u8]) -> (usize, Option<io::Error>) {
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

#[cfg(test)]
mod tests;
