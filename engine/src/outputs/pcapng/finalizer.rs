//! Background thread that syncs completed files, renames them and applies retention.

use std::convert::Infallible;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::clock_steps::ClockSteps;
use super::compress::{CompressJob, Compressor};
use super::deletions::{DeletedFiles, DeletionReport};
use super::file_names::{FileNames, PART_SUFFIX};
use super::loss_report::LogFn;
use super::output_directory;
use super::retention::Retention;
use super::secure_open::Owner;
use crate::config::{Compression, Fsync};
use crate::diagnostics::LogOnChange;

/// Interval of retention by age.
const AGE_INTERVAL: Duration = Duration::from_secs(10);
/// Shortest interval of retention while files wait to be finished.
const RETENTION_INTERVAL: Duration = Duration::from_secs(1);
/// Largest number of files that wait to be finished. If the disk is slower, the output's thread
/// waits for it, and the frames lost meanwhile are counted.
const WAITING_MAX: usize = 64;

/// Job of the thread.
#[derive(Debug)]
enum Job {
    /// Finish a complete file, whose final path is `path`; `open` is dropped when it is closed.
    Finish { file: File, path: PathBuf, has_part_name: bool, open: Sender<Infallible> },
    /// Sync files that have grown.
    Sync(Vec<File>),
}

/// A complete file that the thread has still to close.
#[derive(Debug)]
pub(super) struct Closing(Receiver<Infallible>);

impl Closing {
    /// Waits until the file is closed.
    pub(super) fn wait(self) {
        // Nothing is ever sent: the sender is dropped when the file is closed.
        let _ = self.0.recv();
    }
}

/// Options for finishing files.
pub(super) struct FinishOptions {
    pub(super) names: FileNames,
    pub(super) retention: Retention,
    pub(super) compression: Compression,
    pub(super) fsync: Fsync,
    pub(super) owner: Option<Owner>,
    pub(super) log: LogFn,
}

/// Handle to the thread that finishes the files of an output.
#[derive(Debug)]
pub(super) struct Finalizer {
    jobs: SyncSender<Job>,
    is_syncing: Arc<AtomicBool>,
    /// Files that retention has deleted.
    pub(super) deleted: DeletedFiles,
    thread: JoinHandle<()>,
    compressor: Option<Compressor>,
}

impl Finalizer {
    /// Starts the thread. `recovered` are the names of files that an earlier run had not finished.
    pub(super) fn start(options: FinishOptions, recovered: Vec<OsString>) -> io::Result<Self> {
        let FinishOptions { names, retention, compression, fsync, owner, log } = options;
        let is_syncing = Arc::new(AtomicBool::new(false));
        let deleted = DeletedFiles::default();
        let job = CompressJob { names: names.clone(), fsync, owner, log: log.clone() };
        let (compressor, completed) = match compression {
            Compression::None => (None, None),
            Compression::Zstd => {
                Compressor::start(job, recovered).map(|(it, sender)| (Some(it), Some(sender)))?
            }
        };
        let deletions = DeletionReport::new(deleted.clone(), log.clone());
        let task = FinalizerTask {
            names,
            retention,
            fsync,
            log,
            sync_log: LogOnChange::default(),
            is_syncing: is_syncing.clone(),
            completed,
            needs_retention: true,
            clock: ClockSteps::new(),
            deletions,
            retained_at: Instant::now(),
        };
        let (jobs, queue) = sync_channel(WAITING_MAX);
        let run = move || task.run(&queue);
        let thread = thread::Builder::new().name("vxtap-files".to_owned()).spawn(run)?;
        Ok(Self { jobs, is_syncing, deleted, thread, compressor })
    }

    /// Hands a complete file to the thread. Nothing may write to it any more.
    pub(super) fn finish(&self, file: File, path: PathBuf, has_part_name: bool) -> Closing {
        let (open, closed) = mpsc::channel();
        // The receiver lives until this sender is dropped.
        let _ = self.jobs.send(Job::Finish { file, path, has_part_name, open });
        Closing(closed)
    }

    /// Requests a sync of the data written so far, unless the last one is still in progress.
    ///
    /// # Errors
    ///
    /// Errors of dup(2), such as EMFILE.
    pub(super) fn sync<'f>(&self, files: impl Iterator<Item = &'f File>) -> io::Result<()> {
        if self.is_syncing.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        let files: io::Result<_> = files.map(File::try_clone).collect();
        match files {
            Ok(files) => drop(self.jobs.send(Job::Sync(files))),
            Err(error) => {
                self.is_syncing.store(false, Ordering::Relaxed);
                return Err(error);
            }
        }
        Ok(())
    }

    /// Waits until all jobs are done, and at most `timeout` for the compression of files.
    pub(super) fn join(self, timeout: Option<Duration>) -> thread::Result<()> {
        drop(self.jobs);
        let finished = self.thread.join();
        let compressed = self.compressor.map_or(Ok(()), |compressor| compressor.join(timeout));
        finished.and(compressed)
    }
}

/// State of the thread.
struct FinalizerTask {
    names: FileNames,
    retention: Retention,
    fsync: Fsync,
    log: LogFn,
    sync_log: LogOnChange,
    is_syncing: Arc<AtomicBool>,
    /// Names of completed files, for the compressor, which ends when this sender is dropped.
    completed: Option<Sender<OsString>>,
    /// `true` if there may be files to delete.
    needs_retention: bool,
    clock: ClockSteps,
    deletions: DeletionReport,
    /// Time at which retention was last applied.
    retained_at: Instant,
}

impl FinalizerTask {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let wait = if self.needs_retention { Duration::ZERO } else { AGE_INTERVAL };
            self.deletions.tick(Instant::now());
            self.clock.look();
            match queue.recv_timeout(wait) {
                Ok(job) => {
                    self.execute(job);
                    // Listing a directory takes time: do it rarely while jobs wait.
                    if self.needs_retention && self.retained_at.elapsed() >= RETENTION_INTERVAL {
                        self.apply_retention();
                    }
                }
                Err(RecvTimeoutError::Timeout)
                    if self.needs_retention || self.retention.has_age_limit() =>
                {
                    self.apply_retention();
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.apply_retention(),
            }
        }
    }

    fn execute(&mut self, job: Job) {
        match job {
            Job::Finish { file, path, has_part_name, open } => {
                let finished = self.finish(file, &path, has_part_name);
                drop(open);
                match (finished, &self.completed) {
                    (Ok(name), Some(completed)) => {
                        // The receiver lives until this sender is dropped.
                        let _ = completed.send(name);
                    }
                    (Ok(_), None) => {}
                    (Err(error), _) => {
                        (self.log)(format!("cannot finish {}: {error}", path.display()));
                    }
                }
                self.needs_retention = true;
            }
            Job::Sync(files) => {
                let failed = files.iter().find_map(|file| file.sync_data().err());
                drop(files);
                self.is_syncing.store(false, Ordering::Relaxed);
                let directory = self.names.directory().display();
                let message = |error| format!("cannot sync files in {directory} to disk: {error}");
                if let Some(message) = self.sync_log.of(failed.map(message)) {
                    (self.log)(message);
                }
            }
        }
    }

    /// Gives a complete file its final name and closes it, since its compression needs its lock.
    /// Returns the name.
    fn finish(&self, file: File, path: &Path, has_part_name: bool) -> io::Result<OsString> {
        if self.fsync != Fsync::Never {
            file.sync_all()?;
        }
        let path = if has_part_name {
            output_directory::rename(&output_directory::with_suffix(path, PART_SUFFIX), path)?
        } else {
            path.to_owned()
        };
        // Its descriptor may be the last one, and syncing the directory needs one.
        drop(file);
        if has_part_name {
            output_directory::sync_directory(self.names.directory(), self.fsync)?;
        }
        Ok(path.file_name().unwrap_or_default().to_owned())
    }

    /// Deletes the files that retention does not keep.
    fn apply_retention(&mut self) {
        (self.needs_retention, self.retained_at) = (false, Instant::now());
        if self.retention.keeps_everything() {
            return;
        }
        let Self { names, retention, clock, deletions, .. } = self;
        let applied = output_directory::list_files(names).and_then(|files| {
            let deleted = |path: &Path, is_undeclared| {
                deletions.deleted(path, is_undeclared, Instant::now());
            };
            retention.apply(files, clock, deleted)
        });
        if let Err(error) = applied {
            (self.log)(format!(
                "cannot delete old files in {}: {error}",
                self.names.directory().display()
            ));
        }
    }
}
