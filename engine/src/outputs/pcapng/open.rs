//! The files that are open, by whose frames they hold.

use std::collections::HashMap;

use rustix::process::{Resource, getrlimit};

use super::name::FileKey;
use super::open_file::OpenFile;

/// Most files that are open at a time. Each takes some 200 KiB of memory.
const OPEN_MAX: u64 = 1024;
/// As many of what the process may have open are for the files of one output.
const SHARE_OF_LIMIT: u64 = 4;
/// As many of the files may be those of strangers: they have their names from the frames, and
/// whoever can send some could have files without end.
const SHARE_OF_STRANGERS: usize = 4;

/// The files of an output that are open.
#[derive(Default)]
pub(super) struct OpenFiles {
    parts: Vec<OpenFile>,
    places: HashMap<FileKey, usize>,
    /// The file of the last frame.
    last: Option<(FileKey, usize)>,
    /// Most that may be open at a time.
    pub(super) most: usize,
}

/// Whether another file may be opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Room {
    Free,
    /// If the one at this place ends.
    Instead(usize),
    None,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        let limit = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let most = (limit / SHARE_OF_LIMIT).clamp(SHARE_OF_STRANGERS as u64, OPEN_MAX);
        Self { most: usize::try_from(most).unwrap_or(usize::MAX), ..Self::default() }
    }

    /// Most that may be open at a time, of strangers or of all.
    pub(super) const fn most_of(&self, of_strangers: bool) -> usize {
        if of_strangers { self.most / SHARE_OF_STRANGERS } else { self.most }
    }

    /// Where the file is that has the frames of a key.
    pub(super) fn place(&mut self, key: &FileKey) -> Option<usize> {
        if let Some((last, place)) = &self.last
            && last == key
        {
            return Some(*place);
        }
        let place = self.places.get(key).copied();
        self.last = place.map(|place| (*key, place)).or(self.last);
        place
    }

    pub(super) fn at(&mut self, place: usize) -> &mut OpenFile {
        &mut self.parts[place]
    }

    pub(super) fn put(&mut self, part: OpenFile) -> usize {
        let place = self.parts.len();
        self.places.insert(part.key, place);
        self.last = Some((part.key, place));
        self.parts.push(part);
        place
    }

    /// Takes a file out. Another one may be at its place then.
    pub(super) fn take(&mut self, place: usize) -> OpenFile {
        let part = self.parts.swap_remove(place);
        self.places.remove(&part.key);
        if let Some(moved) = self.parts.get(place) {
            self.places.insert(moved.key, place);
        }
        self.last = None;
        part
    }

    pub(super) fn take_all(&mut self) -> Vec<OpenFile> {
        std::mem::take(self).parts
    }

    /// Whether there is room for another one, a file ending for it that got no frame since this
    /// time, in nanoseconds since 1970-01-01 UTC.
    pub(super) fn room(&self, for_stranger: bool, idle_since_ns: u64) -> Room {
        let rivals =
            || self.parts.iter().enumerate().filter(|(_, part)| part.is_stranger || !for_stranger);
        if self.parts.len() < self.most && rivals().count() < self.most_of(for_stranger) {
            return Room::Free;
        }
        let idlest = rivals().min_by_key(|(_, part)| part.touched_ns);
        let idle = idlest.filter(|(_, part)| part.touched_ns <= idle_since_ns);
        idle.map_or(Room::None, |(place, _)| Room::Instead(place))
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, OpenFile> {
        self.parts.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, OpenFile> {
        self.parts.iter_mut()
    }
}
