//! The set of open files of an output, by their keys.

use std::collections::HashMap;

use rustix::process::{Resource, getrlimit};

use super::file_names::FileKey;
use super::open_file::OpenFile;

/// Largest number of files that are open at a time. Each takes about 200 KiB of memory.
const OPEN_MAX: u64 = 1024;
/// Divisor of the process's limit of open files (`RLIMIT_NOFILE`) that gives the limit of one
/// output.
const NOFILE_DIVISOR: u64 = 4;
/// Divisor of the limit for declared sessions that gives the limit for undeclared senders, which is
/// on top of it. Their frames choose the file names, so that a sender could cause any number of
/// files.
const UNDECLARED_DIVISOR: usize = 4;

/// The open files of an output.
#[derive(Default)]
pub(super) struct OpenFiles {
    files: Vec<OpenFile>,
    indices: HashMap<FileKey, usize>,
    /// Key and index of the file of the last frame.
    last: Option<(FileKey, usize)>,
    /// Largest number of files of declared sessions that may be open at a time.
    pub(super) limit: usize,
}

/// Decision on opening another file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Admission {
    Free,
    /// The file at this index has to be completed first.
    Evict(usize),
    Full,
}

impl OpenFiles {
    pub(super) fn new() -> Self {
        let nofile = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let limit = (nofile / NOFILE_DIVISOR).clamp(UNDECLARED_DIVISOR as u64, OPEN_MAX);
        Self { limit: usize::try_from(limit).unwrap_or(usize::MAX), ..Self::default() }
    }

    /// Returns the largest number of files of declared sessions, or of undeclared senders, that may
    /// be open at a time. Neither takes anything from the other.
    pub(super) const fn limit_of(&self, is_undeclared: bool) -> usize {
        if is_undeclared { self.limit / UNDECLARED_DIVISOR } else { self.limit }
    }

    /// Returns the index of the file with this key.
    pub(super) fn index_of(&mut self, key: &FileKey) -> Option<usize> {
        if let Some((last, index)) = &self.last
            && last == key
        {
            return Some(*index);
        }
        let index = self.indices.get(key).copied();
        self.last = index.map(|index| (*key, index)).or(self.last);
        index
    }

    pub(super) fn get_mut(&mut self, index: usize) -> &mut OpenFile {
        &mut self.files[index]
    }

    /// Adds a file and returns its index.
    pub(super) fn insert(&mut self, file: OpenFile) -> usize {
        let index = self.files.len();
        self.indices.insert(file.key, index);
        self.last = Some((file.key, index));
        self.files.push(file);
        index
    }

    /// Removes a file. Another file may have its index afterwards.
    pub(super) fn remove(&mut self, index: usize) -> OpenFile {
        let file = self.files.swap_remove(index);
        self.indices.remove(&file.key);
        if let Some(moved) = self.files.get(index) {
            self.indices.insert(moved.key, index);
        }
        self.last = None;
        file
    }

    pub(super) fn take_all(&mut self) -> Vec<OpenFile> {
        std::mem::take(self).files
    }

    /// Decides whether another file may be opened. At the limit, the file that is idle for longest
    /// is evicted if it has had no frame since `idle_since_ns`, in nanoseconds since 1970-01-01
    /// UTC. The file that undeclared senders share is open in any case and not counted.
    pub(super) fn admit(&self, is_undeclared: bool, idle_since_ns: u64) -> Admission {
        let is_rival =
            |file: &OpenFile| file.is_undeclared == is_undeclared && !file.key.is_shared();
        let rivals = || self.files.iter().enumerate().filter(|(_, file)| is_rival(file));
        if rivals().count() < self.limit_of(is_undeclared) {
            return Admission::Free;
        }
        let idlest = rivals().min_by_key(|(_, file)| file.last_frame_ns);
        let idle = idlest.filter(|(_, file)| file.last_frame_ns <= idle_since_ns);
        idle.map_or(Admission::Full, |(index, _)| Admission::Evict(index))
    }

    /// Returns the index of the file of undeclared senders that is idle for longest.
    pub(super) fn idlest_of_undeclared(&self) -> Option<usize> {
        let files = self.files.iter().enumerate().filter(|(_, file)| file.is_undeclared);
        files.min_by_key(|(_, file)| file.last_frame_ns).map(|(index, _)| index)
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, OpenFile> {
        self.files.iter()
    }

    pub(super) fn iter_mut(&mut self) -> std::slice::IterMut<'_, OpenFile> {
        self.files.iter_mut()
    }
}
