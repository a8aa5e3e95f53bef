//! Distributes the frames of an output to its files, and rotates them.

use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::file::PcapngError;
use super::file_names::FileNames;
use super::finalizer::{Finalizer, FinishOptions};
use super::hourly_limit::HourlyLimit;
use super::interface_key::FrameKey;
use super::loss_report::{LogFn, LossReport};
use super::open_file::{FileFactory, NewFile, OpenFile};
use super::open_files::OpenFiles;
use super::output_directory::{self, DirectoryState};
use super::retention::Retention;
use super::secure_open::Owner;
use super::space_floor::SpaceFloor;
use super::stats_source::StatsSource;
use crate::config::{FileName, Fsync, PcapngFiles};
use crate::diagnostics::LogOnChange;
use crate::outputs::OutputStats;
use crate::ring::Frame;
use crate::session::{Directory, SessionId};

mod completing;
mod opening;
mod removed;

/// Time after the end of a file's period for which its frames may still arrive, in nanoseconds:
/// longer than frames wait for those of other queues.
const LATE_NS: u64 = 1_500_000_000;
/// Longest wait for the compression of files when a live capture ends.
const COMPRESSION_TIMEOUT: Duration = Duration::from_secs(10);
/// Interval of looking for removed files.
const REMOVED_INTERVAL: Duration = Duration::from_millis(500);
/// Interval of `fsync = "second"`.
const SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// Configuration of a [`RotatingWriter`].
pub(crate) struct WriterConfig {
    /// Path with directory and name; the name may have fields.
    pub(crate) path: PathBuf,
    pub(crate) name: FileName,
    pub(crate) files: PcapngFiles,
    /// Number of the output's member that writes the files.
    pub(crate) member: u32,
    pub(crate) owner: Option<Owner>,
    pub(crate) directory: Directory,
    /// Sessions with an interface block from the beginning of each file, unless files are keyed.
    pub(crate) sessions: Vec<SessionId>,
    /// Takes messages for the operator, one sentence each.
    pub(crate) log: LogFn,
}

/// Writes the frames of an output to its files.
pub(crate) struct RotatingWriter {
    factory: FileFactory,
    fsync: Fsync,
    rotate_bytes: u64,
    files: OpenFiles,
    losses: LossReport,
    /// Limit of the files that undeclared senders may cause.
    hourly: HourlyLimit,
    space: SpaceFloor,
    /// Time of the last tick.
    now: Instant,
    synced_at: Instant,
    /// Time at which removed files were last looked for.
    looked_at: Instant,
    sync_log: LogOnChange,
    /// Counts of completed files, and frames lost because no file could be opened.
    totals: OutputStats,
    finalizer: Finalizer,
    log: LogFn,
}

impl std::fmt::Debug for RotatingWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RotatingWriter").field("names", &self.factory.names).finish_non_exhaustive()
    }
}

impl RotatingWriter {
    /// Creates the directory, renames the unfinished files of an earlier run, and opens the first
    /// file unless files are keyed by session, VNI or source. `time_ns` is the present time in
    /// nanoseconds since 1970-01-01 UTC.
    ///
    /// # Errors
    ///
    /// [`PcapngError`].
    pub(crate) fn open(
        config: WriterConfig,
        now: Instant,
        time_ns: u64,
    ) -> Result<Self, PcapngError> {
        let WriterConfig { path, name, files, member, owner, directory, sessions, log } = config;
        let names = FileNames::new(&path, name, member);
        let failed = |source| PcapngError::Create { path: path.clone(), source };
        let prepared = if names.has_fields() {
            output_directory::prepare(&names, owner, &log)
        } else {
            output_directory::create_directory(names.directory(), owner)
                .map(|()| DirectoryState::default())
        };
        let DirectoryState { next_number, recovered } = prepared.map_err(failed)?;
        let PcapngFiles { compression, fsync, rotate_mib, rotate_s, .. } = files;
        let PcapngFiles { undeclared_files_per_hour, undeclared_min_free_percent, .. } = files;
        let is_keyed = names.is_keyed();
        let sessions = if is_keyed { Vec::new() } else { sessions };
        let rotate_ns = rotate_s.map(|seconds| u64::from(seconds) * 1_000_000_000);
        let options = FinishOptions {
            names: names.clone(),
            retention: Retention::new(&files),
            compression,
            fsync,
            owner,
            log: log.clone(),
        };
        let mut factory = FileFactory {
            names,
            path: path.clone(),
            owner,
            directory,
            sessions,
            rotate_ns,
            next_number,
            earliest_ns: time_ns,
            last_sender: None,
            may_truncate: true,
        };
        let mut open_files = OpenFiles::new();
        if !is_keyed {
            open_files.insert(factory.open(NewFile::only(time_ns))?);
        }
        // After the first file is open: else the file of an earlier run at this path would be
        // compressed.
        let finalizer = Finalizer::start(options, recovered).map_err(failed)?;
        Ok(Self {
            factory,
            fsync,
            rotate_bytes: rotate_mib.map_or(u64::MAX, |mib| u64::from(mib) << 20),
            files: open_files,
            losses: LossReport::new(log.clone()),
            hourly: HourlyLimit::new(undeclared_files_per_hour),
            space: SpaceFloor::new(undeclared_min_free_percent, log.clone()),
            now,
            synced_at: now,
            looked_at: now,
            sync_log: LogOnChange::default(),
            totals: OutputStats::default(),
            finalizer,
            log,
        })
    }

    /// Returns the identity of its file, device and inode, if it is a single regular file with a
    /// fixed name.
    pub(crate) fn file_id(&self) -> Option<(u64, u64)> {
        let mut files = self.files.iter();
        let (Some(file), None) = (files.next(), files.next()) else { return None };
        let metadata = file
            .file()
            .metadata()
            .ok()
            .filter(|it| it.is_file() && !self.factory.names.has_fields())?;
        Some((metadata.dev(), metadata.ino()))
    }

    /// Reports something to the operator.
    pub(crate) fn log(&self, sentence: &str) {
        (self.log)(sentence.to_owned());
    }

    /// Takes a frame.
    pub(crate) fn packet(&mut self, frame: &Frame<'_>, stats: &mut dyn StatsSource) {
        let (key, time_ns, len) =
            (FrameKey::from(frame), frame.timestamp_ns(), frame.captured_len());
        if key.session == SessionId::DEFAULT.0 && !self.has_space(len, stats) {
            self.totals.low_space += 1;
            return;
        }
        let Some(index) = self.file_for(&key, time_ns, len, stats) else {
            self.totals.frames_lost += 1;
            return;
        };
        // Errors are reported as events of the file, here and below.
        let _ = self.files.get_mut(index).writer.packet(
            key,
            time_ns,
            frame.original_len(),
            frame.segments(),
        );
    }

    /// Completes a file that has no room for a frame of this time.
    #[cold]
    fn rotate_file(&mut self, index: usize, time_ns: u64, stats: &mut dyn StatsSource) {
        let end_ns = self.files.get_mut(index).end_ns;
        self.factory.earliest_ns = self.factory.earliest_ns.max(time_ns.min(end_ns));
        self.complete(index, stats);
    }

    /// Writes waiting blocks, completes files after their periods, and retries failed writes; to be
    /// called every 250 ms or more often.
    pub(crate) fn tick(&mut self, now: Instant, stats: &mut dyn StatsSource) {
        self.now = now;
        self.losses.tick(now);
        self.look_at_space(stats);
        self.space.tick(now);
        if now.saturating_duration_since(self.looked_at) >= REMOVED_INTERVAL {
            self.looked_at = now;
            self.replace_removed();
        }
        let mut files = std::mem::take(&mut self.files);
        for file in files.iter_mut() {
            let _ = file.writer.tick(now);
            self.report_events(file);
        }
        self.files = files;
        if self.fsync == Fsync::Second
            && now.saturating_duration_since(self.synced_at) >= SYNC_INTERVAL
        {
            self.synced_at = now;
            let failed = self.finalizer.sync(self.files.iter().map(OpenFile::file)).err();
            let message = failed.map(|error| format!("cannot sync files to disk: {error}"));
            if let Some(message) = self.sync_log.of(message) {
                (self.log)(message);
            }
        }
        let Some(now_ns) = stats.now_ns() else { return };
        let is_over = |file: &OpenFile| {
            file.writer.frames() > 0 && now_ns >= file.end_ns.saturating_add(LATE_NS)
        };
        while let Some(index) = self.files.iter().position(is_over) {
            self.rotate_file(index, now_ns, stats);
        }
    }

    /// Returns the counts so far; frames that wait to be written count as written.
    pub(crate) fn stats(&self) -> OutputStats {
        let mut totals = self.totals.clone();
        (totals.files_deleted, totals.undeclared_files_deleted) = self.finalizer.deleted.totals();
        for file in self.files.iter() {
            totals.frames_written += file.frames_written();
            totals.frames_lost += file.frames_lost();
        }
        totals
    }

    /// Completes all files and waits until they are renamed; for compression it waits a limited
    /// time.
    pub(crate) fn finish(mut self, stats: &mut dyn StatsSource) -> OutputStats {
        stats.refresh();
        let mut files = self.files.take_all();
        for file in &mut files {
            self.replace_if_removed(file);
            let _ = file.writer.flush();
            file.add_delivered(stats);
        }
        for file in files {
            self.finish_file(file, stats, true);
        }
        let timeout = stats.now_ns().map(|_| COMPRESSION_TIMEOUT);
        let deleted = self.finalizer.deleted.clone();
        if self.finalizer.join(timeout).is_err() {
            (self.log)("the thread that finishes files panicked".to_owned());
        }
        let (files_deleted, undeclared_files_deleted) = deleted.totals();
        OutputStats { files_deleted, undeclared_files_deleted, ..self.totals }
    }
}

#[cfg(test)]
mod tests;
