//! Writes pcapng blocks to a file that ends with a complete block after each flush, even a failed
//! one, and keeps the state of outages.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::blocks::{Blocks, MAX_CAPTURED_BYTES};
use super::secure_open::{self, Owner};

mod error;
mod outage;
mod storage;

pub use error::PcapngError;
use outage::State;
pub(super) use outage::WriteEvent;
pub(super) use storage::Storage;
use storage::append_all;

/// Time from one write of [`PcapngFile::tick`] to the next.
///
/// Half of the second within which a frame has to be in the file; the other half is for the time
/// between two ticks. A shorter interval costs more system calls, a longer one shows frames later
/// to a program that follows the file.
pub const FLUSH_INTERVAL: Duration = Duration::from_millis(500);

/// Number of waiting bytes at which blocks are written without waiting for the next tick.
///
/// From about 100 KiB on the cost of a write call is negligible. With a much larger buffer the
/// blocks are evicted from the second-level cache before the kernel copies them.
const FLUSH_BYTES: usize = 1 << 17;

/// A pcapng file being written.
///
/// Blocks are collected in memory and written many at a time. A reader finds complete blocks up to
/// the last flush; during a flush it may see a part of the bytes being written, since the kernel
/// does not make a write visible all at once. After a failed write the file is left as it is, and
/// further flushes fail until [`PcapngFile::resume`]. One outage lasts from the first failed write
/// until frames get into the file again.
#[derive(Debug)]
pub struct PcapngFile<S = File> {
    storage: S,
    path: PathBuf,
    blocks: Blocks,
    complete_bytes: u64,
    /// Time of the last tick that wrote.
    flushed_at: Instant,
    state: State,
    /// Interface of each frame that the last failed write lost.
    lost_interfaces: Vec<u32>,
    /// Frames lost by failed writes and during outages.
    frames_lost: u64,
    /// `frames_lost` at the beginning of the present outage.
    lost_before: u64,
    events: Vec<WriteEvent>,
}

impl PcapngFile {
    /// Creates the file at `path`, or truncates the existing one. Its mode is 0600 in either case.
    ///
    /// A pipe or device (`/dev/stdout`) is opened as it is; a named pipe must have a reader. `now`
    /// starts the flush interval.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Create`].
    pub fn create(path: impl AsRef<Path>, now: Instant) -> Result<Self, PcapngError> {
        Self::create_for(path.as_ref(), None, true, now)
    }

    /// Creates the file as [`PcapngFile::create`] does, for an owner. Without `may_truncate` an
    /// existing file has to be empty.
    pub(super) fn create_for(
        path: &Path,
        owner: Option<Owner>,
        may_truncate: bool,
        now: Instant,
    ) -> Result<Self, PcapngError> {
        let created = secure_open::create(path, owner, may_truncate);
        Self::from_created(path.to_owned(), created, now)
    }

    /// Creates the file at `path`, which must not exist, with mode 0600.
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
        Self::from_created(path, created, now)
    }

    fn from_created(
        path: PathBuf,
        created: io::Result<File>,
        now: Instant,
    ) -> Result<Self, PcapngError> {
        match created {
            Ok(file) => Ok(Self::with_storage(file, path, now)),
            Err(source) => Err(PcapngError::Create { path, source }),
        }
    }
}

#[expect(private_bounds, reason = "streams and tests alone have another storage than a file")]
impl<S: Storage> PcapngFile<S> {
    pub(in crate::outputs) fn with_storage(storage: S, path: PathBuf, now: Instant) -> Self {
        // Includes room for the block that exceeds the limit, so that the buffer never grows.
        let blocks = Blocks::with_capacity(FLUSH_BYTES + MAX_CAPTURED_BYTES + 64);
        Self {
            storage,
            path,
            blocks,
            complete_bytes: 0,
            flushed_at: now,
            state: State::Writing,
            lost_interfaces: Vec::new(),
            frames_lost: 0,
            lost_before: 0,
            events: Vec::new(),
        }
    }

    /// Returns the waiting blocks, to append to; call [`PcapngFile::flush_if_full`] afterwards.
    pub const fn blocks(&mut self) -> &mut Blocks {
        &mut self.blocks
    }

    /// Writes the waiting blocks if there are more than 128 KiB.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn flush_if_full(&mut self) -> Result<(), PcapngError> {
        if self.is_full() { self.flush() } else { Ok(()) }
    }

    /// Returns whether so many blocks wait that they are to be written.
    pub(super) const fn is_full(&self) -> bool {
        self.blocks.bytes().len() >= FLUSH_BYTES
    }

    /// Writes the waiting blocks if [`FLUSH_INTERVAL`] has passed since the last time; to be called
    /// every 250 ms or more often.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn tick(&mut self, now: Instant) -> Result<(), PcapngError> {
        if self.is_flush_due(now) { self.flush() } else { Ok(()) }
    }

    /// Returns whether [`FLUSH_INTERVAL`] has passed since it last returned `true`.
    pub(super) fn is_flush_due(&mut self, now: Instant) -> bool {
        let is_due = now.saturating_duration_since(self.flushed_at) >= FLUSH_INTERVAL;
        if is_due {
            self.flushed_at = now;
        }
        is_due
    }

    /// Writes all waiting blocks.
    ///
    /// Every reader of the file sees them afterwards; they are not synced to disk.
    ///
    /// # Errors
    ///
    /// [`PcapngError::Write`] or [`PcapngError::WriteTorn`]. The first error has lost the waiting
    /// frames, each further one those appended since.
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        let (written, error) = if self.has_failed() {
            (0, Some(io::Error::other("an earlier write failed")))
        } else {
            append_all(&mut self.storage, self.blocks.bytes())
        };
        let (complete, lost) = self.blocks.complete_within(written);
        self.complete_bytes += complete as u64;
        self.blocks.clear();
        let Some(source) = error else {
            self.note_success();
            return Ok(());
        };
        let (path, complete_bytes, frames_lost) =
            (self.path.clone(), self.complete_bytes, lost.len() as u64);
        self.lost_interfaces = lost;
        let is_torn = written > complete && self.storage.truncate(complete_bytes).is_err();
        let error = if is_torn || self.state == State::Torn {
            PcapngError::WriteTorn { path, complete_bytes, frames_lost, source }
        } else {
            PcapngError::Write { path, complete_bytes, frames_lost, source }
        };
        self.note_failure(&error);
        Err(error)
    }

    /// Counts frames that are not appended because the last write failed, or that were in a file
    /// that is gone.
    pub(super) const fn count_lost(&mut self, frames: u64) {
        self.frames_lost += frames;
    }

    /// Returns the number of frames lost by failed writes and during outages.
    pub(super) const fn frames_lost(&self) -> u64 {
        self.frames_lost
    }

    /// Takes the beginnings and ends of outages, in their order.
    pub(super) fn take_events(&mut self) -> Vec<WriteEvent> {
        std::mem::take(&mut self.events)
    }

    /// Returns the interface of each frame that the last failed flush lost.
    pub(super) fn lost_interfaces(&self) -> &[u32] {
        &self.lost_interfaces
    }

    /// Returns the length of the file with the waiting blocks, in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.complete_bytes + self.buffered_bytes() as u64
    }

    /// Returns the length of the waiting blocks, in bytes.
    pub(super) const fn buffered_bytes(&self) -> usize {
        self.blocks.bytes().len()
    }

    /// Returns the length of the complete blocks in the file, in bytes.
    pub const fn complete_bytes(&self) -> u64 {
        self.complete_bytes
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

#[cfg(test)]
mod tests;
