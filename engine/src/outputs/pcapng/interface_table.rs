//! The interface blocks of a section: assigns a number to the session or pair of each frame.

use std::collections::HashMap;
use std::net::IpAddr;

use super::blocks::{Blocks, InterfaceDescription};
use super::interface_key::{FrameKey, InterfaceKey, pair_name};
use crate::config::DEFAULT_SESSION_NAME;
use crate::session::{DeclaredSession, Directory, SessionId};

/// Largest number of pairs of source and VNI of the default session with a separate interface
/// block.
///
/// More than the sources of one mirror target. A higher limit lets a sender of invented pairs fill
/// file and memory with interface blocks; a lower one merges pairs of real traffic.
pub const PAIRS_MAX: usize = 4096;

/// Number of an interface that has no block in the file yet.
const NO_INTERFACE: u32 = u32::MAX;

/// An interface block in the file; its index is its number.
#[derive(Debug, Clone, Copy)]
pub(super) struct InterfaceEntry {
    pub(super) key: InterfaceKey,
    pub(super) frames: u64,
    /// Frames that the caller of the writer could not write.
    pub(super) missing: u64,
}

/// The interface blocks of the present section.
#[derive(Debug)]
pub(super) struct InterfaceTable {
    entries: Vec<InterfaceEntry>,
    /// Names of sessions that are described with their first frames.
    directory: Directory,
    /// Interfaces of declared sessions, by session; [`NO_INTERFACE`] if there is none yet.
    declared: Vec<u32>,
    pairs: HashMap<(IpAddr, u32), u32>,
    /// Cache of the last lookup: a pair and its interface.
    last: Option<((IpAddr, u32), u32)>,
    other: Option<u32>,
}

impl InterfaceTable {
    pub(super) fn new(directory: Directory) -> Self {
        Self {
            entries: Vec::new(),
            directory,
            declared: Vec::new(),
            pairs: HashMap::new(),
            last: None,
            other: None,
        }
    }

    /// Removes all interfaces, at the beginning of a section.
    pub(super) fn clear(&mut self) {
        self.entries.clear();
        self.declared.clear();
        self.pairs.clear();
        (self.last, self.other) = (None, None);
    }

    /// Returns the interfaces in the order of their numbers.
    pub(super) fn entries(&self) -> &[InterfaceEntry] {
        &self.entries
    }

    pub(super) fn entry_mut(&mut self, interface: u32) -> &mut InterfaceEntry {
        &mut self.entries[interface as usize]
    }

    /// Sets all frames to zero.
    pub(super) fn reset_frames(&mut self) {
        self.entries.iter_mut().for_each(|entry| entry.frames = 0);
    }

    /// Appends the blocks of the first `count` interfaces once more.
    pub(super) fn describe_again(&self, count: usize, blocks: &mut Blocks) {
        for entry in &self.entries[..count] {
            self.append_block(entry.key, blocks);
        }
    }

    /// Returns the sessions that have an interface.
    pub(super) fn sessions(&self) -> Vec<SessionId> {
        let session = |entry: &InterfaceEntry| match entry.key {
            InterfaceKey::Session(id) => Some(SessionId(id)),
            InterfaceKey::Pair { .. } | InterfaceKey::Other => None,
        };
        self.entries.iter().filter_map(session).collect()
    }

    /// Returns the frames by interface.
    pub(super) fn counts(&self) -> impl Iterator<Item = (InterfaceKey, u64)> {
        self.entries.iter().map(|entry| (entry.key, entry.frames))
    }

    /// Returns the number of the interface block for a frame, which is appended to `blocks` with
    /// the first frame of its session or pair.
    pub(super) fn interface_of(&mut self, key: FrameKey, blocks: &mut Blocks) -> u32 {
        let FrameKey { session, source, vni, direction: _, link: _ } = key;
        if session != SessionId::DEFAULT.0
            && let Some(interface) = self.interface_of_session(SessionId(session), blocks)
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
            None if self.pairs.len() < PAIRS_MAX => self.describe_pair(source, vni, blocks),
            None => self.describe_other(blocks),
        };
        self.last = Some((pair, interface));
        interface
    }

    pub(super) fn interface_of_session(
        &mut self,
        id: SessionId,
        blocks: &mut Blocks,
    ) -> Option<u32> {
        match self.declared.get(id.index()) {
            Some(&interface) if interface != NO_INTERFACE => Some(interface),
            _ => self.describe_session(id, blocks),
        }
    }

    /// Appends the interface block of a session; `None` if the session is not in the directory.
    #[cold]
    pub(super) fn describe_session(&mut self, id: SessionId, blocks: &mut Blocks) -> Option<u32> {
        self.directory.declared(id)?;
        let interface = self.describe(InterfaceKey::Session(id.0), blocks);
        if self.declared.len() <= id.index() {
            self.declared.resize(id.index() + 1, NO_INTERFACE);
        }
        self.declared[id.index()] = interface;
        Some(interface)
    }

    #[cold]
    fn describe_pair(&mut self, source: IpAddr, vni: u32, blocks: &mut Blocks) -> u32 {
        let interface = self.describe(InterfaceKey::Pair { source, vni }, blocks);
        self.pairs.insert((source, vni), interface);
        interface
    }

    pub(super) fn describe_other(&mut self, blocks: &mut Blocks) -> u32 {
        if let Some(interface) = self.other {
            return interface;
        }
        let interface = self.describe(InterfaceKey::Other, blocks);
        self.other = Some(interface);
        interface
    }

    /// Describes an interface without frames: readers refuse a capture that has none.
    pub(super) fn describe_nothing(&mut self, blocks: &mut Blocks) {
        self.entries.push(InterfaceEntry { key: InterfaceKey::Other, frames: 0, missing: 0 });
        blocks.interface(InterfaceDescription {
            name: DEFAULT_SESSION_NAME,
            description: "undeclared sessions, of which no frame came",
        });
    }

    /// Adds an interface and appends its block.
    fn describe(&mut self, key: InterfaceKey, blocks: &mut Blocks) -> u32 {
        self.entries.push(InterfaceEntry { key, frames: 0, missing: 0 });
        self.append_block(key, blocks)
    }

    fn append_block(&self, key: InterfaceKey, blocks: &mut Blocks) -> u32 {
        let (name, description) = self.texts(key);
        blocks.interface(InterfaceDescription { name: &name, description: &description })
    }

    /// Returns name and description of an interface.
    fn texts(&self, key: InterfaceKey) -> (String, String) {
        match key {
            InterfaceKey::Session(id) => {
                let Some(entry) = self.directory.declared(SessionId(id)) else {
                    return Default::default();
                };
                let DeclaredSession { name, vni, source } = entry;
                let source = source
                    .map_or_else(|| "any source".to_owned(), |source| format!("source {source}"));
                (name, format!("VNI {vni}, {source}"))
            }
            InterfaceKey::Pair { source, vni } => {
                (pair_name(source, vni), format!("VNI {vni}, source {source}"))
            }
            InterfaceKey::Other => {
                let description = format!(
                    "every pair of VNI and source after the first {PAIRS_MAX} of undeclared sessions"
                );
                ("other".to_owned(), description)
            }
        }
    }
}
