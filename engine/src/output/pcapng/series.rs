//! The files of an output, one after the other and beside each other.

use std::collections::HashMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::capture::{FrameKey, InterfaceKey, InterfaceTotals, Period};
use super::disk::{self, Owner};
use super::file::PcapngError;
use super::finish::{Finisher, Manner, Tell};
use super::keep::Keep;
use super::name::{FileKey, Names};
use super::part::{Opener, Part};
use super::sink::Event;
use crate::config::{FileName, Fsync, PcapngFiles};
use crate::output::{Frame, Written};
use crate::session::{Directory, SessionId};

/// Most files that are open at a time; the one that got no frame for longest ends when another begins. Well below the 1024 that a process
/// usually may have.
const OPEN_MAX: usize = 256;
/// How long after its end frames of a file may still come, in nanoseconds: the longest that frames wait for those of other queues, and more.
const LATE_NS: u64 = 1_500_000_000;
/// Time from a file that could not be opened to the next try.
const RETRY: Duration = Duration::from_secs(1);
/// How often files are brought onto the disk, if that is asked for.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What the statistics of a file say beyond what is in it.
pub(crate) trait Statement: Send {
    /// Looks at the counts as they are now.
    fn refresh(&mut self);
    /// Frames are in a file.
    fn deliver(&mut self, key: InterfaceKey, frames: u64);
    /// The statistics of an interface block that stands for so many frames. Of the last file of all they leave nothing out that no
    /// other file says.
    fn totals(&mut self, key: InterfaceKey, frames: u64, is_last: bool) -> InterfaceTotals;
    /// The time now, in nanoseconds since 1970-01-01 UTC; `None` if only the times of frames count.
    fn now_ns(&self) -> Option<u64>;
}

/// What a [`Series`] is made of.
pub(crate) struct Plan {
    /// Directory and name, which may have fields.
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) files: PcapngFiles,
    /// Number of the member whose files they are.
    pub(crate) member: u32,
    pub(crate) owner: Option<Owner>,
    pub(crate) directory: Directory,
    /// Sessions that have an interface block from the beginning of each file, where files are not apart by session.
    pub(crate) sessions: Vec<SessionId>,
    /// What is to be said to the operator, a sentence each.
    pub(crate) tell: Tell,
}

/// Writes the frames of an output to its files.
pub(crate) struct Series {
    opener: Opener,
    fsync: Fsync,
    rotate_bytes: u64,
    parts: Vec<Part>,
    places: HashMap<FileKey, usize>,
    /// The file of the last frame.
    last: Option<(FileKey, usize)>,
    /// Since a file could not be opened: when it is tried again.
    retry_at: Option<Instant>,
    synced_at: Instant,
    /// What became of the frames of files that have ended, and of those that found none.
    ended: Written,
    finisher: Finisher,
    tell: Tell,
}

impl std::fmt::Debug for Series {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series").field("names", &self.opener.names).finish_non_exhaustive()
    }
}

impl Series {
    /// Makes the directory, gives what an earlier run has left its names, and begins the first file, unless sessions have files of
    /// their own. `time_ns` is the time in nanoseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    ///
    /// [`PcapngError`].
    pub(crate) fn open(plan: Plan, now: Instant, time_ns: u64) -> Result<Self, PcapngError> {
        let Plan { path, name, files, member, owner, directory, sessions, tell } = plan;
        let names = Names::new(&path, name, member);
        let failed = |source| PcapngError::Create { path: path.clone(), source };
        let number = if names.has_fields() { prepare(&names, owner, &tell).map_err(failed)? } else { 1 };
        let PcapngFiles { compression, fsync, rotate_mib, rotate_s, .. } = files;
        let manner = Manner {
            names: names.clone(),
            keep: Keep::new(&files),
            compression,
            fsync,
            owner,
            tell: tell.clone(),
        };
        let finisher = Finisher::start(manner).map_err(failed)?;
        let are_apart = names.are_apart();
        let sessions = if are_apart { Vec::new() } else { sessions };
        let rotate_ns = rotate_s.map(|seconds| u64::from(seconds) * 1_000_000_000);
        let opener = Opener { names, path, owner, directory, sessions, rotate_ns, number, floor_ns: time_ns };
        let mut series = Self {
            opener,
            fsync,
            rotate_bytes: rotate_mib.map_or(u64::MAX, |mib| u64::from(mib) << 20),
            parts: Vec::new(),
            places: HashMap::new(),
            last: None,
            retry_at: None,
            synced_at: now,
            ended: Written::default(),
            finisher,
            tell,
        };
        if !are_apart {
            series.begin(FileKey::default(), time_ns)?;
        }
        Ok(series)
    }

    /// Identity of the file that it writes, device and inode, if it is a single regular one.
    pub(crate) fn file_id(&self) -> Option<(u64, u64)> {
        let [part] = &self.parts[..] else { return None };
        let metadata =
            part.file().metadata().ok().filter(|it| it.is_file() && !self.opener.names.has_fields())?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Takes a frame.
    pub(crate) fn packet(&mut self, frame: &Frame<'_>, statement: &mut dyn Statement) {
        let (key, time_ns) = (FrameKey::from(frame), frame.timestamp_ns());
        let Some(place) = self.place(&key, time_ns, frame.captured_len(), statement) else {
            self.ended.frames_lost += 1;
            return;
        };
        self.parts[place].sink.packet(key, time_ns, frame.original_len(), frame.segments());
    }

    /// The file for a frame.
    fn place(
        &mut self,
        frame: &FrameKey,
        time_ns: u64,
        len: u32,
        statement: &mut dyn Statement,
    ) -> Option<usize> {
        let key = self.opener.names.key(frame);
        let place = match self.last {
            Some((last, place)) if last == key => Some(place),
            _ => self.places.get(&key).copied(),
        };
        if let Some(place) = place {
            self.last = Some((key, place));
            let part = &mut self.parts[place];
            part.touched_ns = time_ns;
            if part.has_room(time_ns, len, self.rotate_bytes) {
                return Some(place);
            }
            if part.sink.frames() == 0 {
                // It waited for the first frame, and goes on.
                part.ends_ns = self.opener.end_of(time_ns);
                return Some(place);
            }
            self.rotate_part(place, time_ns, statement);
        }
        self.begin_for(key, time_ns, statement)
    }

    /// Ends a file because a frame of this time does not fit into it.
    #[cold]
    fn rotate_part(&mut self, place: usize, time_ns: u64, statement: &mut dyn Statement) {
        let ends_ns = self.parts[place].ends_ns;
        self.opener.floor_ns = self.opener.floor_ns.max(time_ns.min(ends_ns));
        self.complete(place, statement);
    }

    #[cold]
    fn begin_for(&mut self, key: FileKey, time_ns: u64, statement: &mut dyn Statement) -> Option<usize> {
        if self.retry_at.is_some() {
            return None;
        }
        if self.parts.len() >= OPEN_MAX
            && let Some((place, _)) = self.parts.iter().enumerate().min_by_key(|(_, part)| part.touched_ns)
        {
            self.opener.floor_ns = self.opener.floor_ns.max(self.parts[place].touched_ns);
            self.complete(place, statement);
        }
        match self.begin(key, time_ns) {
            Ok(place) => Some(place),
            Err(error) => {
                (self.tell)(format!("{error}; frames are lost until it can be"));
                self.ended.error = Some(error.to_string());
                self.retry_at = Some(Instant::now() + RETRY);
                None
            }
        }
    }

    fn begin(&mut self, key: FileKey, time_ns: u64) -> Result<usize, PcapngError> {
        let place = self.parts.len();
        self.parts.push(self.opener.begin(key, time_ns)?);
        self.places.insert(key, place);
        self.last = Some((key, place));
        Ok(place)
    }

    /// Ends a file before the others.
    fn complete(&mut self, place: usize, statement: &mut dyn Statement) {
        let mut part = self.parts.swap_remove(place);
        self.places.remove(&part.key);
        if let Some(moved) = self.parts.get(place) {
            self.places.insert(moved.key, place);
        }
        self.last = None;
        part.sink.flush();
        statement.refresh();
        part.deliver(statement);
        self.end(part, statement, false);
    }

    /// Ends a file whose frames the statement knows.
    fn end(&mut self, mut part: Part, statement: &mut dyn Statement, is_last: bool) {
        let period = statement.now_ns().map(|end_ns| Period { start_ns: part.begins_ns, end_ns });
        part.sink.finish(period, |key, frames| statement.totals(key, frames, is_last));
        self.say(&mut part);
        self.ended.frames_written += part.sink.frames() - part.sink.frames_lost();
        self.ended.frames_lost += part.sink.frames_lost();
        self.finisher.finish(part.sink.into_storage(), part.path, part.is_renamed);
    }

    fn say(&mut self, part: &mut Part) {
        for event in part.sink.take_events() {
            match event {
                Event::Failed(error) => {
                    (self.tell)(format!("{error}; frames are lost until it can be"));
                    self.ended.error = Some(error.to_string());
                }
                Event::Resumed(frames) => {
                    (self.tell)(format!(
                        "goes on writing {}; {frames} frames are not in it",
                        part.path.display()
                    ));
                }
            }
        }
    }

    /// Writes what waits, ends files whose time is over, and tries again what has failed; to be called every 250 ms or more often.
    pub(crate) fn tick(&mut self, now: Instant, statement: &mut dyn Statement) {
        if self.retry_at.is_some_and(|at| now >= at) {
            self.retry_at = None;
        }
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            part.sink.tick(now);
            self.say(part);
        }
        self.parts = parts;
        if self.fsync == Fsync::Second && now.saturating_duration_since(self.synced_at) >= SYNC_INTERVAL {
            self.synced_at = now;
            self.parts.iter().for_each(|part| self.finisher.sync(part.file()));
        }
        let Some(now_ns) = statement.now_ns() else { return };
        let is_over = |part: &Part| part.sink.frames() > 0 && now_ns >= part.ends_ns.saturating_add(LATE_NS);
        while let Some(place) = self.parts.iter().position(is_over) {
            self.rotate_part(place, now_ns, statement);
        }
    }

    /// Ends the files that have frames, so that others begin. A file with a fixed name has to have been moved away.
    pub(crate) fn rotate(&mut self, statement: &mut dyn Statement) {
        let now_ns = statement.now_ns().unwrap_or(self.opener.floor_ns);
        if self.opener.names.has_fields() {
            self.opener.floor_ns = self.opener.floor_ns.max(now_ns);
            while let Some(place) = self.parts.iter().position(|part| part.sink.frames() > 0) {
                self.complete(place, statement);
            }
            return;
        }
        let is_there = self.parts.iter().any(Part::is_at_its_path);
        if is_there {
            (self.tell)(format!(
                "{} is still there: move it away, then another one begins",
                self.opener.path.display()
            ));
            return;
        }
        while !self.parts.is_empty() {
            self.complete(0, statement);
        }
        self.begin_for(FileKey::default(), now_ns, statement);
    }

    /// What became of the frames so far; those count as written that wait to be.
    pub(crate) fn written(&self) -> Written {
        let mut written = self.ended.clone();
        for part in &self.parts {
            written.frames_written += part.sink.frames() - part.sink.frames_lost();
            written.frames_lost += part.sink.frames_lost();
        }
        written
    }

    /// Ends all files, and waits until they are as they are to be.
    pub(crate) fn finish(mut self, statement: &mut dyn Statement) -> Written {
        statement.refresh();
        let mut parts = std::mem::take(&mut self.parts);
        for part in &mut parts {
            part.sink.flush();
            part.deliver(statement);
        }
        for part in parts {
            self.end(part, statement, true);
        }
        if self.finisher.end().is_err() {
            (self.tell)("the thread that finishes files panicked".to_owned());
        }
        self.ended
    }
}

/// Makes the directory, tidies up what is in it, and returns the number of the next file.
fn prepare(names: &Names, owner: Option<Owner>, tell: &Tell) -> io::Result<u64> {
    disk::make_directory(names.directory(), owner)?;
    let own = disk::own_files(names)?;
    let finished = disk::finish_leftovers(&own)?;
    if finished > 0 {
        let directory = names.directory().display();
        tell(format!(
            "{finished} files of an earlier run in {directory} were not finished, their ends may be missing"
        ));
    }
    Ok(own.iter().map(|file| file.number).max().unwrap_or(0) + 1)
}

#[cfg(test)]
mod tests;
