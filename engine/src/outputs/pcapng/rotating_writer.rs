//! The files of an output, one after the other and beside each other.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::capture::{FrameKey, Period};
use super::directory::{self, Prepared};
use super::file::PcapngError;
use super::finalizer::{FinishOptions, Finisher};
use super::loss_report::{LossReport, Tell};
use super::name::{FileKey, Names};
use super::open::{OpenFiles, Room};
use super::open_file::{FileFactory, OpenFile};
use super::retention::Retention;
use super::secure_open::Owner;
use super::sink::Event;
use super::statement::Statement;
use crate::config::{FileName, Fsync, PcapngFiles};
use crate::diagnostics::LogOnChange;
use crate::outputs::OutputStats;
use crate::ring::Frame;
use crate::session::{Directory, SessionId};

/// How long a file has to be without frames before it ends for another one, in nanoseconds: if any
/// could, frames of many sessions by turns would get a file each.
const IDLE_NS: u64 = 10_000_000_000;
/// How long after its end frames of a file may still come, in nanoseconds: the longest that frames
/// wait for those of other queues, and more.
const LATE_NS: u64 = 1_500_000_000;
/// How long the end of a running engine waits for files that are to be compressed.
const COMPRESS_PATIENCE: Duration = Duration::from_secs(10);
/// How often files are brought onto the disk, if that is asked for.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// What a [`RotatingWriter`] is made of.
pub(crate) struct Plan {
    /// Directory and name, which may have fields.
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) files: PcapngFiles,
    /// Number of the member whose files they are.
    pub(crate) member: u32,
    pub(crate) owner: Option<Owner>,
    pub(crate) directory: Directory,
    /// Sessions that have an interface block from the beginning of each file, where files are not
    /// apart by session.
    pub(crate) sessions: Vec<SessionId>,
    /// What is to be said to the operator, a sentence each.
    pub(crate) tell: Tell,
}

/// Writes the frames of an output to its files.
pub(crate) struct RotatingWriter {
    opener: FileFactory,
    fsync: Fsync,
    rotate_bytes: u64,
    open: OpenFiles,
    trouble: LossReport,
    /// Of the last tick.
    now: Instant,
    synced_at: Instant,
    of_syncing: LogOnChange,
    /// What became of the frames of files that have ended, and of those that found none.
    ended: OutputStats,
    finisher: Finisher,
    tell: Tell,
}

impl std::fmt::Debug for RotatingWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Series").field("names", &self.opener.names).finish_non_exhaustive()
    }
}

impl RotatingWriter {
    /// Makes the directory, gives what an earlier run has left its names, and begins the first
    /// file, unless sessions have files of their own. `time_ns` is the time in nanoseconds since
    /// 1970-01-01 UTC.
    ///
    /// # Errors
    ///
    /// [`PcapngError`].
    pub(crate) fn open(plan: Plan, now: Instant, time_ns: u64) -> Result<Self, PcapngError> {
        let Plan { path, name, files, member, owner, directory, sessions, tell } = plan;
        let names = Names::new(&path, name, member);
        let failed = |source| PcapngError::Create { path: path.clone(), source };
        let prepared =
            names.has_fields().then(|| directory::prepare(&names, owner, &tell)).transpose();
        let Prepared { number, finished } = prepared.map_err(failed)?.unwrap_or_default();
        let PcapngFiles { compression, fsync, rotate_mib, rotate_s, .. } = files;
        let are_apart = names.are_apart();
        let sessions = if are_apart { Vec::new() } else { sessions };
        let rotate_ns = rotate_s.map(|seconds| u64::from(seconds) * 1_000_000_000);
        let keep = Retention::new(&files);
        let manner = FinishOptions {
            names: names.clone(),
            keep,
            compression,
            fsync,
            owner,
            tell: tell.clone(),
        };
        let mut opener = FileFactory {
            names,
            path: path.clone(),
            owner,
            directory,
            sessions,
            rotate_ns,
            number,
            floor_ns: time_ns,
        };
        let mut open = OpenFiles::new();
        if !are_apart {
            open.put(opener.begin(FileKey::default(), false, time_ns)?);
        }
        // Only now: it would compress what an earlier run has left at this path.
        let finisher = Finisher::start(manner, finished).map_err(failed)?;
        Ok(Self {
            opener,
            fsync,
            rotate_bytes: rotate_mib.map_or(u64::MAX, |mib| u64::from(mib) << 20),
            open,
            trouble: LossReport::new(tell.clone()),
            now,
            synced_at: now,
            of_syncing: LogOnChange::default(),
            ended: OutputStats::default(),
            finisher,
            tell,
        })
    }

    /// Identity of the file that it writes, device and inode, if it is a single regular one.
    pub(crate) fn file_id(&self) -> Option<(u64, u64)> {
        let mut parts = self.open.iter();
        let (Some(part), None) = (parts.next(), parts.next()) else { return None };
        let metadata = part
            .file()
            .metadata()
            .ok()
            .filter(|it| it.is_file() && !self.opener.names.has_fields())?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Takes a frame.
    pub(crate) fn packet(&mut self, frame: &Frame<'_>, statement: &mut dyn Statement) {
        let (key, time_ns) = (FrameKey::from(frame), frame.timestamp_ns());
        let Some(place) = self.place(&key, time_ns, frame.captured_len(), statement) else {
            self.ended.frames_lost += 1;
            return;
        };
        self.open.at(place).sink.packet(key, time_ns, frame.original_len(), frame.segments());
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
        if let Some(place) = self.open.place(&key) {
            let part = self.open.at(place);
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
        let is_stranger = self.opener.is_stranger(frame);
        let place = self.begin_for(key, is_stranger, time_ns, statement);
        if place.is_none() {
            self.trouble.lose(is_stranger);
        }
        place
    }

    /// Ends a file because a frame of this time does not fit into it.
    #[cold]
    fn rotate_part(&mut self, place: usize, time_ns: u64, statement: &mut dyn Statement) {
        let ends_ns = self.open.at(place).ends_ns;
        self.opener.floor_ns = self.opener.floor_ns.max(time_ns.min(ends_ns));
        self.complete(place, statement);
    }

    #[cold]
    fn begin_for(
        &mut self,
        key: FileKey,
        for_stranger: bool,
        time_ns: u64,
        statement: &mut dyn Statement,
    ) -> Option<usize> {
        if !self.trouble.may_begin(for_stranger) {
            return None;
        }
        // What is read from a file is all of it to be in files, in however many.
        let idle_since_ns =
            statement.now_ns().map_or(u64::MAX, |_| time_ns.saturating_sub(IDLE_NS));
        match self.open.room(for_stranger, idle_since_ns) {
            Room::Free => {}
            Room::Instead(place) => {
                self.opener.floor_ns = self.opener.floor_ns.max(self.open.at(place).touched_ns);
                self.complete(place, statement);
            }
            Room::None => {
                self.trouble.crowd(for_stranger, self.open.most_of(for_stranger));
                return None;
            }
        }
        match self.opener.begin(key, for_stranger, time_ns) {
            Ok(part) => {
                self.trouble.begun();
                Some(self.open.put(part))
            }
            Err(error) => {
                self.trouble.fail(&error, self.now);
                self.ended.error = Some(error.to_string());
                None
            }
        }
    }

    /// Ends a file before the others.
    fn complete(&mut self, place: usize, statement: &mut dyn Statement) {
        let mut part = self.open.take(place);
        part.sink.flush();
        statement.refresh();
        part.deliver(statement);
        self.end(part, statement, false);
    }

    /// Ends a file whose frames the statement knows.
    fn end(&mut self, mut part: OpenFile, statement: &mut dyn Statement, is_last: bool) {
        let period = statement.now_ns().map(|end_ns| Period { start_ns: part.begins_ns, end_ns });
        part.sink.finish(period, |key, frames| statement.totals(key, frames, is_last));
        self.say(&mut part);
        self.ended.frames_written += part.sink.frames() - part.sink.frames_lost();
        self.ended.frames_lost += part.sink.frames_lost();
        self.finisher.finish(part.sink.into_storage(), part.path, part.is_renamed);
    }

    fn say(&mut self, part: &mut OpenFile) {
        for event in part.sink.take_events() {
            (self.tell)(match &event {
                Event::Failed(error) => format!("{error}; frames are lost until it can be"),
                Event::Resumed(frames) => {
                    format!(
                        "goes on writing {}; {frames} frames are not in it",
                        part.path.display()
                    )
                }
            });
            if let Event::Failed(error) = event {
                self.ended.error = Some(error.to_string());
            }
        }
    }

    /// Writes what waits, ends files whose time is over, and tries again what has failed; to be
    /// called every 250 ms or more often.
    pub(crate) fn tick(&mut self, now: Instant, statement: &mut dyn Statement) {
        self.now = now;
        self.trouble.tick(now);
        let mut open = std::mem::take(&mut self.open);
        for part in open.iter_mut() {
            part.sink.tick(now);
            self.say(part);
        }
        self.open = open;
        if self.fsync == Fsync::Second
            && now.saturating_duration_since(self.synced_at) >= SYNC_INTERVAL
        {
            self.synced_at = now;
            let failed = self.finisher.sync(self.open.iter().map(OpenFile::file)).err();
            let sentence =
                failed.map(|error| format!("cannot bring onto the disk what was written: {error}"));
            if let Some(sentence) = self.of_syncing.of(sentence) {
                (self.tell)(sentence);
            }
        }
        let Some(now_ns) = statement.now_ns() else { return };
        let is_over = |part: &OpenFile| {
            part.sink.frames() > 0 && now_ns >= part.ends_ns.saturating_add(LATE_NS)
        };
        while let Some(place) = self.open.iter().position(is_over) {
            self.rotate_part(place, now_ns, statement);
        }
    }

    /// Ends the files that have frames, so that others begin. A file with a fixed name has to have
    /// been moved away.
    pub(crate) fn rotate(&mut self, statement: &mut dyn Statement) {
        let now_ns = statement.now_ns().unwrap_or(self.opener.floor_ns);
        if self.opener.names.has_fields() {
            self.opener.floor_ns = self.opener.floor_ns.max(now_ns);
            while let Some(place) = self.open.iter().position(|part| part.sink.frames() > 0) {
                self.complete(place, statement);
            }
            return;
        }
        let is_there = self.open.iter().any(OpenFile::is_at_its_path);
        if is_there {
            (self.tell)(format!(
                "{} is still there: move it away, then another one begins",
                self.opener.path.display()
            ));
            return;
        }
        while self.open.iter().next().is_some() {
            self.complete(0, statement);
        }
        self.begin_for(FileKey::default(), false, now_ns, statement);
    }

    /// What became of the frames so far; those count as written that wait to be.
    pub(crate) fn written(&self) -> OutputStats {
        let mut written = self.ended.clone();
        for part in self.open.iter() {
            written.frames_written += part.sink.frames() - part.sink.frames_lost();
            written.frames_lost += part.sink.frames_lost();
        }
        written
    }

    /// Ends all files, and waits until they are as they are to be.
    pub(crate) fn finish(mut self, statement: &mut dyn Statement) -> OutputStats {
        statement.refresh();
        let mut parts = self.open.take_all();
        for part in &mut parts {
            part.sink.flush();
            part.deliver(statement);
        }
        for part in parts {
            self.end(part, statement, true);
        }
        let patience = statement.now_ns().map(|_| COMPRESS_PATIENCE);
        if self.finisher.end(patience).is_err() {
            (self.tell)("the thread that finishes files panicked".to_owned());
        }
        self.ended
    }
}

#[cfg(test)]
mod tests;
