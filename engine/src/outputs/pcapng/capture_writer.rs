//! Writes frames with an interface block for each session, so that a reader can tell sessions
//! apart.

use std::collections::HashMap;
use std::fs::File;
use std::net::IpAddr;
use std::time::Instant;

use super::blocks::{InterfaceDescription, Statistics};
use super::file::{PcapngError, PcapngFile, Storage};
use crate::config::{DEFAULT_SESSION_NAME, Direction, Session};
use crate::decap::Link;
use crate::outputs::ethernet::EthernetPrefix;
use crate::ring::Frame;
use crate::session::{DeclaredSession, Directory, SessionId, SourceVni, Vni};

/// Largest number of pairs of source and VNI of the default session with a separate interface
/// block.
///
/// More than the sources of one mirror target. A higher limit lets a sender of invented pairs fill
/// file and memory with interface blocks; a lower one merges pairs of real traffic.
pub const PAIRS_MAX: usize = 4096;

/// Number of an interface that has no block in the file yet.
const NO_INTERFACE: u32 = u32::MAX;

const APPLICATION: &str = concat!("vxtap ", env!("CARGO_PKG_VERSION"));

/// The fields of a frame that select its interface block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKey {
    /// Number of the session: 0 is the default session, declared ones follow in their order.
    pub session: u32,
    /// Outer source address.
    pub source: IpAddr,
    /// VNI of the tunnel, 24 bits.
    pub vni: u32,
    /// Direction of the frame at the mirrored interface, if known.
    pub direction: Option<Direction>,
    /// First header of the frame. A packet without Ethernet header gets one.
    pub link: Link,
}

impl From<&Frame<'_>> for FrameKey {
    fn from(frame: &Frame<'_>) -> Self {
        Self {
            session: frame.session().0,
            source: frame.source(),
            vni: frame.vni().get(),
            direction: frame.direction(),
            link: frame.link(),
        }
    }
}

/// Meaning of an interface block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InterfaceKey {
    /// A declared session, by its number from 1 on.
    Session(u32),
    /// A pair of the default session.
    Pair {
        /// Outer source address.
        source: IpAddr,
        /// VNI of the tunnel.
        vni: u32,
    },
    /// All pairs of the default session after the first [`PAIRS_MAX`].
    Other,
}

/// Statistics of an interface block, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceTotals {
    /// Received.
    pub received: u64,
    /// Received, accepted by the filter, and meant for the file.
    pub accepted: u64,
    /// Meant for the file, but lost.
    pub dropped: u64,
}

/// Returns the name of an undeclared pair.
pub(super) fn pair_name(source: IpAddr, vni: u32) -> String {
    let vni = Vni::new(vni).unwrap_or_default();
    SourceVni { source, vni }.to_string()
}

/// Time from the start to the end of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeSpan {
    /// Nanoseconds since 1970-01-01 UTC.
    pub start_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub end_ns: u64,
}

/// An interface block in the file; its index is its number.
#[derive(Debug, Clone, Copy)]
struct InterfaceEntry {
    key: InterfaceKey,
    frames: u64,
    /// Frames counted by [`CaptureWriter::count_missing`].
    missing: u64,
}

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
    interfaces: Vec<InterfaceEntry>,
    /// Names of sessions that are described with their first frames.
    directory: Directory,
    /// Interfaces of declared sessions, by session; [`NO_INTERFACE`] if there is none yet.
    declared: Vec<u32>,
    pairs: HashMap<(IpAddr, u32), u32>,
    /// Cache of the last lookup: a pair and its interface.
    last: Option<((IpAddr, u32), u32)>,
    other: Option<u32>,
    /// Time from the earliest to the latest frame.
    seen: Option<TimeSpan>,
    /// Frames in the sections before the present one, which have no statistics.
    earlier: HashMap<InterfaceKey, u64>,
    /// Frames taken, lost ones included.
    frames: u64,
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
        mut file: PcapngFile<S>,
        directory: &Directory,
        ids: &[SessionId],
    ) -> Result<Self, PcapngError> {
        file.blocks().section_header(APPLICATION);
        let mut writer = Self {
            file,
            interfaces: Vec::new(),
            directory: directory.clone(),
            declared: Vec::new(),
            pairs: HashMap::new(),
            last: None,
            other: None,
            seen: None,
            earlier: HashMap::new(),
            frames: 0,
        };
        for id in ids {
            writer.describe_session(*id);
        }
        writer.file.flush()?;
        Ok(writer)
    }

    /// Appends a frame: its arrival time (nanoseconds since 1970-01-01 UTC), its length on the wire
    /// in bytes, and the captured bytes. A packet without Ethernet header gets one with addresses
    /// of zeros: libpcap refuses files whose interfaces have several link types. After a failed
    /// write frames are only counted as lost until [`Self::tick`] has begun a new section.
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
            self.file.count_lost();
            return Ok(());
        }
        let interface = self.interface_of(key);
        self.interfaces[interface as usize].frames += 1;
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
        let written = self.file.flush_if_full();
        self.subtract_lost(written)
    }

    /// Counts a frame that the caller cannot write; the statistics include it.
    pub(crate) fn count_missing(&mut self, key: FrameKey) {
        let interface = self.interface_of(key);
        self.interfaces[interface as usize].missing += 1;
    }

    /// Counts frames of a session that the caller cannot write. The pairs of frames of the default
    /// session are not known: they count for the interface of all other pairs.
    pub(crate) fn count_missing_of(&mut self, session: SessionId, frames: u64) {
        let own =
            (session != SessionId::DEFAULT).then(|| self.interface_of_session(session)).flatten();
        let interface = own.unwrap_or_else(|| self.describe_other());
        self.interfaces[interface as usize].missing += frames;
    }

    /// Begins a new section after a failed write, since interface blocks may be among the lost
    /// blocks.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`]; the file has no new section then.
    fn begin_section(&mut self) -> Result<(), PcapngError> {
        let described = self.interfaces.iter().filter_map(|interface| match interface.key {
            InterfaceKey::Session(id) => Some(SessionId(id)),
            InterfaceKey::Pair { .. } | InterfaceKey::Other => None,
        });
        let described: Vec<_> = described.collect();
        let counts: Vec<_> = self.counts().collect();
        for (key, frames) in counts {
            *self.earlier.entry(key).or_default() += frames;
        }
        self.interfaces.clear();
        self.declared.clear();
        self.pairs.clear();
        (self.last, self.other) = (None, None);
        self.file.blocks().section_header(APPLICATION);
        for id in described {
            self.describe_session(id);
        }
        self.file.flush()
    }

    /// Returns the frames in the file and those that wait, by interface.
    pub(super) fn frames_by_interface(&self) -> HashMap<InterfaceKey, u64> {
        let mut counts = self.earlier.clone();
        for (key, frames) in self.counts() {
            *counts.entry(key).or_default() += frames;
        }
        counts
    }

    /// Returns the frames of the present section by interface.
    fn counts(&self) -> impl Iterator<Item = (InterfaceKey, u64)> {
        self.interfaces.iter().map(|interface| (interface.key, interface.frames))
    }

    /// Subtracts the frames lost by a failed write from the counts.
    fn subtract_lost(&mut self, written: Result<(), PcapngError>) -> Result<(), PcapngError> {
        if written.is_err() {
            for &interface in self.file.lost_interfaces() {
                self.interfaces[interface as usize].frames -= 1;
            }
        }
        written
    }

    /// Returns the number of frames taken, lost ones included.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
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
        let written = self.file.tick(now);
        self.subtract_lost(written)
    }

    /// Begins a new section if the last write failed and the file can be continued.
    fn retry(&mut self) -> Result<(), PcapngError> {
        if self.file.has_failed() && self.file.resume() { self.begin_section() } else { Ok(()) }
    }

    /// Ends the capture: writes all waiting blocks and an interface statistics block for each
    /// interface block.
    ///
    /// `totals` is called with the meaning of each interface block and the number of its frames in
    /// the file. `span` is the time of the capture; without it the time from the earliest to the
    /// latest frame counts.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn finish(
        &mut self,
        span: Option<TimeSpan>,
        mut totals: impl FnMut(InterfaceKey, u64) -> InterfaceTotals,
    ) -> Result<(), PcapngError> {
        // The frames are in the file, even if a later write fails.
        let written = self.file.flush();
        self.subtract_lost(written)?;
        if self.interfaces.is_empty() {
            self.describe_nothing();
        }
        let TimeSpan { start_ns, end_ns } =
            span.or(self.seen).unwrap_or(TimeSpan { start_ns: 0, end_ns: 0 });
        for (number, interface) in (0..).zip(&self.interfaces) {
            let InterfaceEntry { key, frames: delivered, missing } = *interface;
            let InterfaceTotals { received, accepted, dropped } = totals(key, delivered);
            let (received, accepted, dropped) =
                (received + missing, accepted + missing, dropped + missing);
            let statistics =
                Statistics { start_ns, end_ns, received, accepted, dropped, delivered };
            self.file.blocks().statistics(number, &statistics);
        }
        self.file.flush()
    }

    /// Writes all waiting blocks, after a failed write into a new section.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        self.retry()?;
        let written = self.file.flush();
        self.subtract_lost(written)
    }

    /// Returns the number of the interface block for a frame, which is written with the first frame
    /// of its pair.
    fn interface_of(&mut self, key: FrameKey) -> u32 {
        let FrameKey { session, source, vni, direction: _, link: _ } = key;
        if session != SessionId::DEFAULT.0
            && let Some(interface) = self.interface_of_session(SessionId(session))
        {
            return interface;
        }
        let pair = (source, vni);
        if let Some((last, interface)) = self.last
            && last == pair
        {
            return interface;
        }
        let interface = match self.pairs.get(&pair) {
            Some(&interface) => interface,
            None if self.pairs.len() < PAIRS_MAX => self.describe_pair(source, vni),
            None => self.describe_other(),
        };
        self.last = Some((pair, interface));
        interface
    }

    fn interface_of_session(&mut self, id: SessionId) -> Option<u32> {
        match self.declared.get(id.index()) {
            Some(&interface) if interface != NO_INTERFACE => Some(interface),
            _ => self.describe_session(id),
        }
    }

    /// Appends the interface block of a session; `None` if the session is not in the directory.
    #[cold]
    fn describe_session(&mut self, id: SessionId) -> Option<u32> {
        let DeclaredSession { name, vni, source } = self.directory.declared(id)?;
        let source =
            source.map_or_else(|| "any source".to_owned(), |source| format!("source {source}"));
        let description = format!("VNI {vni}, {source}");
        let interface = self.describe(InterfaceKey::Session(id.0), &name, &description);
        if self.declared.len() <= id.index() {
            self.declared.resize(id.index() + 1, NO_INTERFACE);
        }
        self.declared[id.index()] = interface;
        Some(interface)
    }

    #[cold]
    fn describe_pair(&mut self, source: IpAddr, vni: u32) -> u32 {
        let name = pair_name(source, vni);
        let description = format!("VNI {vni}, source {source}");
        let interface = self.describe(InterfaceKey::Pair { source, vni }, &name, &description);
        self.pairs.insert((source, vni), interface);
        interface
    }

    fn describe_other(&mut self) -> u32 {
        if let Some(interface) = self.other {
            return interface;
        }
        let description = format!(
            "every pair of VNI and source after the first {PAIRS_MAX} of undeclared sessions"
        );
        let interface = self.describe(InterfaceKey::Other, "other", &description);
        self.other = Some(interface);
        interface
    }

    /// Describes an interface without frames: readers refuse a capture that has none.
    fn describe_nothing(&mut self) {
        let description = "undeclared sessions, of which no frame came";
        self.describe(InterfaceKey::Other, DEFAULT_SESSION_NAME, description);
    }

    fn describe(&mut self, key: InterfaceKey, name: &str, description: &str) -> u32 {
        self.interfaces.push(InterfaceEntry { key, frames: 0, missing: 0 });
        self.file.blocks().interface(InterfaceDescription { name, description })
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
