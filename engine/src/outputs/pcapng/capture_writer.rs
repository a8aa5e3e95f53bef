//! Writes frames with an interface block for each session, so that a reader can tell sessions
//! apart.

use std::collections::HashMap;
use std::fs::File;
use std::time::Instant;

use super::file::{PcapngError, PcapngFile, Storage};
use super::interface_key::{FrameKey, InterfaceKey, TimeSpan};
use super::interface_table::InterfaceTable;
use crate::config::Session;
use crate::decap::Link;
use crate::outputs::ethernet::EthernetPrefix;
use crate::session::{Directory, SessionId};

mod sections;
mod statistics;

const APPLICATION: &str = concat!("vxtap ", env!("CARGO_PKG_VERSION"));

/// Writes the frames of one capture to a pcapng file.
///
/// # Examples
///
/// Writes one frame of a declared session and reads it back.
///
/// ```
/// use std::time::Instant;
///
/// use vxtap::capture_file::CaptureFile;
/// use vxtap::config::Session;
/// use vxtap::ring::Link;
/// use vxtap::outputs::pcapng::{CaptureWriter, FrameKey, InterfaceTotals, PcapngFile};
///
/// let directory = tempfile::tempdir()?;
/// let path = directory.path().join("capture.pcapng");
/// let sessions = [Session { name: "web".to_owned(), vni: 100, ..Session::default() }];
/// let file = PcapngFile::create(&path, Instant::now())?;
/// let mut writer = CaptureWriter::new(file, &sessions)?;
///
/// let frame = [0; 60];
/// let key = FrameKey {
///     session: 1,
///     source: "10.0.1.5".parse()?,
///     vni: 100,
///     direction: None,
///     link: Link::Ethernet,
/// };
/// writer.packet(key, 1_700_000_000_000_000_000, 60, std::iter::once(&frame[..]))?;
/// writer.finish(None, |_, written| InterfaceTotals {
///     received: written,
///     accepted: written,
///     dropped: 0,
/// })?;
///
/// let mut file = CaptureFile::open(&path)?;
/// assert_eq!(file.next()?.map(|record| record.captured.len()), Some(60));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct CaptureWriter<S = File> {
    file: PcapngFile<S>,
    interfaces: InterfaceTable,
    /// Time from the earliest to the latest frame.
    seen: Option<TimeSpan>,
    /// Frames in the sections before the present one, which have no statistics.
    earlier: HashMap<InterfaceKey, u64>,
    /// Frames taken, lost ones included.
    frames: u64,
    /// Number of interface blocks that are in the file.
    described: usize,
}

#[expect(private_bounds, reason = "streams and tests alone have another storage than a file")]
impl<S: Storage> CaptureWriter<S> {
    /// Starts the capture: writes the section header and the interface blocks of the declared
    /// sessions.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn new(file: PcapngFile<S>, sessions: &[Session]) -> Result<Self, PcapngError> {
        let mut directory = Directory::default();
        let ids = directory.assign(sessions);
        Self::with_directory(file, &directory, &ids)
    }

    /// Starts the capture as [`Self::new`] does, for sessions of a directory to which more may be
    /// added later.
    pub(crate) fn with_directory(
        file: PcapngFile<S>,
        directory: &Directory,
        ids: &[SessionId],
    ) -> Result<Self, PcapngError> {
        Self::for_frame(file, directory, ids, None)
    }

    /// Starts the capture as [`Self::with_directory`] does, with the interface block of its first
    /// frame.
    pub(super) fn for_frame(
        mut file: PcapngFile<S>,
        directory: &Directory,
        ids: &[SessionId],
        frame: Option<FrameKey>,
    ) -> Result<Self, PcapngError> {
        file.blocks().section_header(APPLICATION);
        let mut writer = Self {
            file,
            interfaces: InterfaceTable::new(directory.clone()),
            seen: None,
            earlier: HashMap::new(),
            frames: 0,
            described: 0,
        };
        writer.describe_sessions(ids);
        if let Some(frame) = frame {
            writer.interfaces.interface_of(frame, writer.file.blocks());
        }
        writer.write_waiting()?;
        Ok(writer)
    }

    /// Appends a frame: its arrival time (nanoseconds since 1970-01-01 UTC), its length on the wire
    /// in bytes, and the captured bytes. A packet without Ethernet header gets one with addresses
    /// of zeros: libpcap refuses files whose interfaces have several link types. After a failed
    /// write frames are only counted as [lost](Self::frames_lost) until [`Self::tick`] has begun a
    /// new section.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`]; none for a frame that is lost after a failed write.
    pub fn packet<'a>(
        &mut self,
        key: FrameKey,
        timestamp_ns: u64,
        original_len: u32,
        segments: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), PcapngError> {
        self.frames += 1;
        if self.file.has_failed() {
            self.file.count_lost(1);
            return Ok(());
        }
        let interface = self.interfaces.interface_of(key, self.file.blocks());
        self.interfaces.entry_mut(interface).frames += 1;
        let TimeSpan { start_ns, end_ns } =
            self.seen.unwrap_or(TimeSpan { start_ns: timestamp_ns, end_ns: timestamp_ns });
        self.seen = Some(TimeSpan {
            start_ns: start_ns.min(timestamp_ns),
            end_ns: end_ns.max(timestamp_ns),
        });
        let blocks = self.file.blocks();
        match key.link {
            Link::Ethernet => {
                blocks.packet(interface, timestamp_ns, original_len, key.direction, segments);
            }
            Link::Ip => {
                let mut segments = segments.skip_while(|segment| segment.is_empty()).peekable();
                let header = EthernetPrefix::of_packet(segments.peek().unwrap_or(&&[][..]));
                let original_len = original_len.saturating_add(header.added_len());
                let segments = header.before(segments);
                blocks.packet(interface, timestamp_ns, original_len, key.direction, segments);
            }
        }
        if self.file.is_full() { self.write_waiting() } else { Ok(()) }
    }

    /// Counts a frame that the caller cannot write; the statistics include it.
    pub(crate) fn count_missing(&mut self, key: FrameKey) {
        let interface = self.interfaces.interface_of(key, self.file.blocks());
        self.interfaces.entry_mut(interface).missing += 1;
    }

    /// Counts frames of a session that the caller cannot write. The pairs of frames of the default
    /// session are not known: they count for the interface of all other pairs.
    pub(crate) fn count_missing_of(&mut self, session: SessionId, frames: u64) {
        let Self { interfaces, file, .. } = self;
        let is_declared = session != SessionId::DEFAULT;
        let own = is_declared.then(|| interfaces.interface_of_session(session, file.blocks()));
        let interface = own.flatten().unwrap_or_else(|| interfaces.describe_other(file.blocks()));
        interfaces.entry_mut(interface).missing += frames;
    }

    /// Returns the frames in the file and those that wait, by interface.
    pub(super) fn frames_by_interface(&self) -> HashMap<InterfaceKey, u64> {
        let mut counts = self.earlier.clone();
        for (key, frames) in self.interfaces.counts() {
            *counts.entry(key).or_default() += frames;
        }
        counts
    }

    /// Writes the waiting blocks, into a new section if another program has truncated the file.
    fn write_waiting(&mut self) -> Result<(), PcapngError> {
        if self.file.was_truncated() && !self.file.has_failed() {
            let header = self.repeat_header();
            self.file.start_over(&header)?;
        }
        let written = self.file.flush();
        if written.is_ok() {
            self.described = self.interfaces.entries().len();
        }
        self.subtract_lost(written)
    }

    /// Subtracts the frames lost by a failed write from the counts.
    fn subtract_lost(&mut self, written: Result<(), PcapngError>) -> Result<(), PcapngError> {
        if written.is_err() {
            for &interface in self.file.lost_interfaces() {
                self.interfaces.entry_mut(interface).frames -= 1;
            }
        }
        written
    }

    /// Returns the number of frames taken, lost ones included.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the number of frames that were given to [`Self::packet`] and are not in the file,
    /// because writing failed.
    pub const fn frames_lost(&self) -> u64 {
        self.file.frames_lost()
    }

    /// Returns the file.
    pub(super) const fn file(&self) -> &PcapngFile<S> {
        &self.file
    }

    /// Returns the file, for its events.
    pub(super) const fn file_mut(&mut self) -> &mut PcapngFile<S> {
        &mut self.file
    }

    /// Returns the file, after the end of the capture.
    pub(super) fn into_file(self) -> PcapngFile<S> {
        self.file
    }

    /// Writes the waiting blocks as [`PcapngFile::tick`] does, or begins a new section if a failed
    /// write is to be tried again; to be called every 250 ms or more often.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`]; none while a failed write waits for its next attempt.
    pub fn tick(&mut self, now: Instant) -> Result<(), PcapngError> {
        if self.file.has_failed() {
            return if self.file.is_retry_due(now) { self.retry() } else { Ok(()) };
        }
        if self.file.is_flush_due(now) { self.write_waiting() } else { Ok(()) }
    }

    /// Writes all waiting blocks, after a failed write into a new section.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        self.retry()?;
        self.write_waiting()
    }
}

impl CaptureWriter<Vec<u8>> {
    /// Returns the number of bytes in memory.
    pub(crate) const fn memory_len(&self) -> usize {
        self.file.storage().len() + self.file.buffered_bytes()
    }

    /// Takes the bytes out of memory.
    pub(crate) fn take_bytes(&mut self) -> Vec<u8> {
        // Writing to memory does not fail.
        drop(self.file.flush());
        std::mem::take(self.file.storage_mut())
    }
}

#[cfg(test)]
mod tests;
