//! Chooses the file of each frame, and opens it within the limits of its sender.

use std::path::Path;

use rustix::fs::{StatVfs, fstatvfs, statvfs};
use rustix::io::Errno;

use super::super::file::PcapngError;
use super::super::file_names::FileKey;
use super::super::interface_key::FrameKey;
use super::super::open_file::{NewFile, OpenFile};
use super::super::open_files::Admission;
use super::super::stats_source::StatsSource;
use super::RotatingWriter;
use crate::plural::counted;

/// Time without frames after which a file may be completed in favour of another one, in
/// nanoseconds. Without it, frames that alternate between many sessions would get a file each.
const IDLE_NS: u64 = 10_000_000_000;
/// Largest number of files of undeclared senders that are completed for the descriptor of one other
/// file. More than one, because the compression of a completed file takes descriptors too.
const RELEASED_MAX: u32 = 4;

impl RotatingWriter {
    /// Returns the index of the file for a frame, which is opened if necessary; `None` if there is
    /// no file for it.
    pub(super) fn file_for(
        &mut self,
        frame: &FrameKey,
        time_ns: u64,
        len: u32,
        stats: &mut dyn StatsSource,
    ) -> Option<usize> {
        let is_undeclared = self.factory.is_undeclared(frame);
        let key = self.factory.names.key(frame, is_undeclared);
        if let Some(index) = self.open_file_with_room(&key, time_ns, len, stats) {
            return Some(index);
        }
        let new = NewFile { key, is_undeclared, time_ns, frame: Some(*frame) };
        let index = if is_undeclared {
            self.file_of_undeclared(new, len, stats)
        } else {
            self.open_file(new, stats)
        };
        if index.is_none() {
            self.losses.count_lost(is_undeclared);
        }
        index
    }

    /// Returns the index of the open file of a key. A file without room for the frame is completed.
    fn open_file_with_room(
        &mut self,
        key: &FileKey,
        time_ns: u64,
        len: u32,
        stats: &mut dyn StatsSource,
    ) -> Option<usize> {
        let index = self.files.index_of(key)?;
        let file = self.files.get_mut(index);
        file.last_frame_ns = time_ns;
        if file.has_room(time_ns, len, self.rotate_bytes) {
            return Some(index);
        }
        if file.writer.frames() == 0 {
            // An empty file is used for the period of its first frame.
            file.end_ns = self.factory.period_end(time_ns);
            return Some(index);
        }
        self.rotate_file(index, time_ns, stats);
        None
    }

    /// Opens a file for an undeclared sender, or returns the one that all of them share if they may
    /// cause no other.
    #[cold]
    fn file_of_undeclared(
        &mut self,
        new: NewFile,
        len: u32,
        stats: &mut dyn StatsSource,
    ) -> Option<usize> {
        // All frames of a capture file have to be written, into any number of files.
        let has_room = stats.now_ns().is_none() || self.hourly.has_room(self.now);
        if has_room && let Some(index) = self.open_file(new, stats) {
            self.hourly.count(self.now);
            return Some(index);
        }
        if !has_room && self.hourly.needs_report() {
            (self.log)(format!(
                "undeclared senders have caused {} within an hour, which is the limit (`undeclared_files_per_hour`): their further frames share one file",
                counted(self.hourly.max, "file")
            ));
        }
        let shared = NewFile { key: self.factory.names.shared_key(), ..new };
        let open = self.open_file_with_room(&shared.key, new.time_ns, len, stats);
        open.or_else(|| self.open_file(shared, stats))
    }

    #[cold]
    pub(super) fn open_file(&mut self, new: NewFile, stats: &mut dyn StatsSource) -> Option<usize> {
        let NewFile { key, is_undeclared, time_ns, .. } = new;
        if !self.losses.may_open(is_undeclared, key.is_shared()) {
            return None;
        }
        if !key.is_shared() && !self.make_room(is_undeclared, time_ns, stats) {
            self.losses.limit_reached(is_undeclared, self.files.limit_of(is_undeclared));
            return None;
        }
        match self.create_file(new, stats) {
            Ok(file) => {
                self.losses.opened(is_undeclared);
                Some(self.files.insert(file))
            }
            Err(error) => {
                self.losses.open_failed(is_undeclared, &error, self.now);
                self.totals.error = Some(error.to_string());
                None
            }
        }
    }

    /// Creates a file. For a declared session, files of undeclared senders are completed if there
    /// is no descriptor: they must not use up those of declared sessions.
    fn create_file(
        &mut self,
        new: NewFile,
        stats: &mut dyn StatsSource,
    ) -> Result<OpenFile, PcapngError> {
        let mut created = self.factory.open(new);
        for _ in 0..RELEASED_MAX {
            if let (Err(error), false) = (&created, new.is_undeclared)
                && lacks_descriptors(error)
                && let Some(index) = self.files.idlest_of_undeclared()
            {
                // Another thread closes it; before that, nothing is gained.
                self.complete(index, stats).wait();
                created = self.factory.open(new);
            }
        }
        created
    }

    /// Returns whether another file may be opened; completes an idle one if that is necessary.
    fn make_room(
        &mut self,
        is_undeclared: bool,
        time_ns: u64,
        stats: &mut dyn StatsSource,
    ) -> bool {
        let idle_since_ns = stats.now_ns().map_or(u64::MAX, |_| time_ns.saturating_sub(IDLE_NS));
        match self.files.admit(is_undeclared, idle_since_ns) {
            Admission::Free => true,
            Admission::Evict(index) => {
                let last_frame_ns = self.files.get_mut(index).last_frame_ns;
                self.factory.earliest_ns = self.factory.earliest_ns.max(last_frame_ns);
                self.complete(index, stats);
                true
            }
            Admission::Full => false,
        }
    }

    /// Returns whether there is space for a frame of an undeclared sender.
    pub(super) fn has_space(&mut self, len: u32, stats: &dyn StatsSource) -> bool {
        if self.space.admits(len) {
            return true;
        }
        if self.space.may_look_again() {
            self.look_at_space(stats);
            if self.space.admits(len) {
                return true;
            }
        }
        self.space.refuse(self.factory.names.directory().display(), self.now);
        false
    }

    /// Finds out the free space of the file system. There is no floor for the frames of a capture
    /// file, and none as long as there is no declared session that would have the space.
    pub(super) fn look_at_space(&mut self, stats: &dyn StatsSource) {
        let has_floor = stats.now_ns().is_some() && self.factory.directory.len() > 1;
        let space = has_floor.then(|| self.file_system()).flatten();
        let waiting = self.files.iter().map(|file| file.writer.file().buffered_bytes() as u64);
        self.space.looked(space.as_ref(), waiting.sum());
    }

    /// Returns the state of the file system of the files; `None` for a pipe or device.
    fn file_system(&self) -> Option<StatVfs> {
        let Some(open) = self.files.iter().next() else {
            let directory: &Path = self.factory.names.directory();
            return statvfs(directory).ok();
        };
        let is_file = open.file().metadata().is_ok_and(|it| it.is_file());
        is_file.then(|| fstatvfs(open.file()).ok()).flatten()
    }
}

fn lacks_descriptors(error: &PcapngError) -> bool {
    let PcapngError::Create { source, .. } = error else { return false };
    matches!(Errno::from_io_error(source), Some(Errno::MFILE | Errno::NFILE))
}
