//! One interface block for each session, so that a reader tells apart what came from where.

use std::collections::HashMap;
use std::fs::File;
use std::net::IpAddr;
use std::time::Instant;

use super::blocks::{Interface, Statistics};
use super::file::{PcapngError, PcapngFile, Storage};
use crate::config::{Direction, Session};
use crate::decap::Link;
use crate::ring::Frame;
use crate::session::{Directory, Entry, SessionId};

/// Pairs of source and VNI of the default session that get an interface block of their own.
///
/// More sources than one mirror target takes; a sender that makes pairs up gets this many and no
/// more. Higher lets such a sender fill file and memory with interface blocks, lower puts honest
/// pairs together.
pub const PAIRS_MAX: usize = 4096;

/// The place of an interface that is not described yet.
const NO_INTERFACE: u32 = u32::MAX;

const APPLICATION: &str = concat!("vxtap ", env!("CARGO_PKG_VERSION"));

/// Whose frame it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameKey {
    /// 0: the default session; 1 and up: the declared ones in their order.
    pub session: u32,
    /// Outer source address.
    pub source: IpAddr,
    /// VNI of the tunnel, 24 bits.
    pub vni: u32,
    /// Towards the mirrored interface or away from it, if that is known.
    pub direction: Option<Direction>,
    /// What the frame begins with. Packets without Ethernet header get an interface block of their
    /// own.
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

/// What an interface block stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum InterfaceKey {
    /// A declared session, by its number (1 and up).
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
    /// The frames of another interface that have no Ethernet header.
    Packets,
}

/// What happened to the frames of one interface block, in frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InterfaceTotals {
    /// Arrived.
    pub received: u64,
    /// Arrived, passed the filter, and were meant for the file.
    pub accepted: u64,
    /// Meant for the file and lost on the way.
    pub dropped: u64,
}

/// The time a capture covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Period {
    /// Nanoseconds since 1970-01-01 UTC.
    pub start_ns: u64,
    /// Nanoseconds since 1970-01-01 UTC.
    pub end_ns: u64,
}

/// An interface block in the file; its place in the list is its number.
#[derive(Debug, Clone, Copy)]
struct Written {
    key: InterfaceKey,
    frames: u64,
    /// Frames that were to be written and were not.
    lost: u64,
    /// The interface of the same frames without Ethernet header; `u32::MAX` where there is none
    /// yet, and of one of these.
    packets: u32,
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
    interfaces: Vec<Written>,
    /// Names of the sessions that turn up later.
    directory: Directory,
    /// The interfaces of declared sessions, by session; `u32::MAX` where there is none yet.
    declared: Vec<u32>,
    pairs: HashMap<(IpAddr, u32), u32>,
    /// The pair looked up last, and its interface: traffic comes in runs.
    last: Option<((IpAddr, u32), u32)>,
    other: Option<u32>,
    /// From the earliest to the latest frame.
    seen: Option<Period>,
    /// Frames in the sections before the present one, which ended without saying so.
    earlier: HashMap<InterfaceKey, u64>,
}

#[expect(private_bounds, reason = "another storage than a file exists in tests only")]
impl<S: Storage> CaptureWriter<S> {
    /// Starts the capture: section header and the interface blocks of the declared sessions are in
    /// the file afterwards.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn new(file: PcapngFile<S>, sessions: &[Session]) -> Result<Self, PcapngError> {
        let mut directory = Directory::default();
        let ids = directory.assign(sessions);
        Self::with_directory(file, &directory, &ids)
    }

    /// As [`Self::new`], for sessions of a directory, to which more may be added later.
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
        };
        for id in ids {
            writer.describe_session(*id);
        }
        writer.file.flush()?;
        Ok(writer)
    }

    /// Appends a frame: when it arrived (nanoseconds since 1970-01-01 UTC), its length on the wire
    /// in bytes, and the bytes that were captured.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn packet<'a>(
        &mut self,
        key: FrameKey,
        timestamp_ns: u64,
        original_len: u32,
        segments: impl Iterator<Item = &'a [u8]>,
    ) -> Result<(), PcapngError> {
        let mut interface = self.interface_of(key);
        if key.link == Link::Ip {
            interface = self.packets_of(interface);
        }
        self.interfaces[interface as usize].frames += 1;
        let Period { start_ns, end_ns } =
            self.seen.unwrap_or(Period { start_ns: timestamp_ns, end_ns: timestamp_ns });
        self.seen =
            Some(Period { start_ns: start_ns.min(timestamp_ns), end_ns: end_ns.max(timestamp_ns) });
        self.file.blocks().packet(interface, timestamp_ns, original_len, key.direction, segments);
        let written = self.file.make_room();
        self.drain(written)
    }

    /// Notes for the statistics that a frame was to be written and was not.
    pub(crate) fn lose(&mut self, key: FrameKey) {
        let interface = self.interface_of(key);
        self.interfaces[interface as usize].lost += 1;
    }

    /// The same of frames of a session. It is not known of which pairs those of the default session
    /// are: they count for the interface of all others.
    pub(crate) fn lose_of(&mut self, session: SessionId, frames: u64) {
        let own =
            (session != SessionId::DEFAULT).then(|| self.interface_of_session(session)).flatten();
        let interface = own.unwrap_or_else(|| self.describe_other());
        self.interfaces[interface as usize].lost += frames;
    }

    /// Begins a new section, after a write has failed: nobody can say which blocks are in the file.
    /// What the last section has of statistics it keeps.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`]; the new section is not there then.
    pub(super) fn begin_section(&mut self) -> Result<(), PcapngError> {
        let described = self.interfaces.iter().filter_map(|interface| match interface.key {
            InterfaceKey::Session(id) => Some(SessionId(id)),
            InterfaceKey::Pair { .. } | InterfaceKey::Other | InterfaceKey::Packets => None,
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

    /// Lets writes try again after a failed one, as [`PcapngFile::resume`].
    pub(super) fn resume(&mut self) -> bool {
        self.file.resume()
    }

    /// What is in the file and what waits, in frames by interface; frames without Ethernet header
    /// are with their session or pair.
    pub(super) fn deliveries(&self) -> HashMap<InterfaceKey, u64> {
        let mut deliveries = self.earlier.clone();
        for (key, frames) in self.counts() {
            *deliveries.entry(key).or_default() += frames;
        }
        deliveries
    }

    /// Frames of the present section by interface.
    fn counts(&self) -> impl Iterator<Item = (InterfaceKey, u64)> {
        let own = self.interfaces.iter().filter(|interface| interface.key != InterfaceKey::Packets);
        own.map(|interface| (interface.key, interface.frames + self.frames_apart(interface)))
    }

    /// Frames of an interface that are counted at another one, because they have no Ethernet
    /// header.
    fn frames_apart(&self, interface: &Written) -> u64 {
        self.interfaces.get(interface.packets as usize).map_or(0, |packets| packets.frames)
    }

    /// Takes what a failed write has lost out of the counts.
    fn drain(&mut self, written: Result<(), PcapngError>) -> Result<(), PcapngError> {
        if written.is_err() {
            for &interface in self.file.lost() {
                self.interfaces[interface as usize].frames -= 1;
            }
        }
        written
    }

    /// Length of the whole blocks in the file and of those that wait, in bytes.
    pub(super) const fn len(&self) -> u64 {
        self.file.whole_bytes() + self.file.waiting_bytes() as u64
    }

    pub(super) fn into_storage(self) -> S {
        self.file.into_storage()
    }

    /// What it writes to.
    pub(super) const fn file(&self) -> &PcapngFile<S> {
        &self.file
    }

    /// Writes what waits if the last time is long enough ago; to be called every 250 ms or more
    /// often.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn tick(&mut self, now: Instant) -> Result<(), PcapngError> {
        let written = self.file.tick(now);
        self.drain(written)
    }

    /// Ends the capture: writes an interface statistics block for each interface block, and
    /// everything that waits.
    ///
    /// `totals` gets what the block stands for and the number of frames written for it. `period` is
    /// the time of the capture; without it, the time from the earliest to the latest frame counts.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn finish(
        &mut self,
        period: Option<Period>,
        mut totals: impl FnMut(InterfaceKey, u64) -> InterfaceTotals,
    ) -> Result<(), PcapngError> {
        // Whatever fails from here on, the frames are there.
        self.flush()?;
        let Period { start_ns, end_ns } =
            period.or(self.seen).unwrap_or(Period { start_ns: 0, end_ns: 0 });
        for (interface, written) in (0..).zip(&self.interfaces) {
            let Written { key, frames: delivered, lost, packets: _ } = *written;
            let is_packets = key == InterfaceKey::Packets;
            // What was written to the other interface is counted there, and nowhere else.
            let apart = self.frames_apart(written);
            let InterfaceTotals { received, accepted, dropped } = if is_packets {
                InterfaceTotals { received: delivered, accepted: delivered, dropped: 0 }
            } else {
                let InterfaceTotals { received, accepted, dropped } =
                    totals(key, delivered + apart);
                InterfaceTotals { received: received - apart, accepted: accepted - apart, dropped }
            };
            let (received, accepted, dropped) = (received + lost, accepted + lost, dropped + lost);
            let statistics =
                Statistics { start_ns, end_ns, received, accepted, dropped, delivered };
            self.file.blocks().statistics(interface, &statistics);
        }
        self.file.flush()
    }

    /// Writes everything that waits.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`].
    pub fn flush(&mut self) -> Result<(), PcapngError> {
        let written = self.file.flush();
        self.drain(written)
    }

    /// Returns the length of the whole blocks in the file, in bytes.
    pub const fn whole_bytes(&self) -> u64 {
        self.file.whole_bytes()
    }

    /// Returns the number of the interface block for a frame, which is described on the first frame
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

    /// Describes a session that a reload has added; `None` if it is not in the directory.
    #[cold]
    fn describe_session(&mut self, id: SessionId) -> Option<u32> {
        let Entry { name, vni, source } = self.directory.entry(id)?;
        let source =
            source.map_or_else(|| "any source".to_owned(), |source| format!("source {source}"));
        let description = format!("VNI {vni}, {source}");
        let interface =
            self.describe(InterfaceKey::Session(id.0), &name, &description, Link::Ethernet);
        if self.declared.len() <= id.index() {
            self.declared.resize(id.index() + 1, NO_INTERFACE);
        }
        self.declared[id.index()] = interface;
        Some(interface)
    }

    #[cold]
    fn describe_pair(&mut self, source: IpAddr, vni: u32) -> u32 {
        let name = format!("vni-{vni}@{source}");
        let description = format!("VNI {vni}, source {source}");
        let interface =
            self.describe(InterfaceKey::Pair { source, vni }, &name, &description, Link::Ethernet);
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
        let interface = self.describe(InterfaceKey::Other, "other", &description, Link::Ethernet);
        self.other = Some(interface);
        interface
    }

    /// The interface of the same frames without Ethernet header.
    #[cold]
    fn packets_of(&mut self, interface: u32) -> u32 {
        let Written { key, packets, .. } = self.interfaces[interface as usize];
        if packets != NO_INTERFACE {
            return packets;
        }
        let name = match key {
            InterfaceKey::Session(id) => {
                self.directory.entry(SessionId(id)).map(|entry| entry.name)
            }
            InterfaceKey::Pair { source, vni } => Some(format!("vni-{vni}@{source}")),
            InterfaceKey::Other | InterfaceKey::Packets => None,
        };
        let name = format!("{} (IP)", name.as_deref().unwrap_or("other"));
        let description = "packets of this session that came without an Ethernet header";
        let packets = self.describe(InterfaceKey::Packets, &name, description, Link::Ip);
        self.interfaces[interface as usize].packets = packets;
        packets
    }

    fn describe(&mut self, key: InterfaceKey, name: &str, description: &str, link: Link) -> u32 {
        self.interfaces.push(Written { key, frames: 0, lost: 0, packets: NO_INTERFACE });
        self.file.blocks().interface(Interface { name, description, link })
    }
}

impl CaptureWriter<Vec<u8>> {
    /// Number of bytes that are there.
    pub(crate) const fn waiting(&self) -> usize {
        self.file.storage().len() + self.file.waiting_bytes()
    }

    /// Takes out what is there.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        // Memory takes everything.
        drop(self.file.flush());
        std::mem::take(self.file.storage_mut())
    }
}

#[cfg(test)]
mod tests;
