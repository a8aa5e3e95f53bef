//! The thread that does with whole files what takes its time: onto the disk, to their names, old
//! ones away.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use super::compress::{CompressJob, Compressor};
use super::directory;
use super::loss_report::Tell;
use super::name::{Names, PART};
use super::retention::Retention;
use super::secure_open::Owner;
use crate::config::{Compression, Fsync};
use crate::diagnostics::LogOnChange;

/// How often it looks for files that are too old.
const TURN: Duration = Duration::from_secs(10);
/// How often it looks for files that are too many while there are others to finish.
const TIDY_INTERVAL: Duration = Duration::from_secs(1);
/// Most files that wait to be finished. Where the disk takes longer, the writing waits for it, and
/// what is lost meanwhile is counted.
const WAITING_MAX: usize = 64;

/// What is to be done.
#[derive(Debug)]
enum Job {
    /// A file is whole. It is to be called `path`, and may be already.
    Finish { file: File, path: PathBuf, is_part: bool },
    /// Files have grown.
    Sync(Vec<File>),
}

/// How files are finished.
pub(super) struct FinishOptions {
    pub(super) names: Names,
    pub(super) keep: Retention,
    pub(super) compression: Compression,
    pub(super) fsync: Fsync,
    pub(super) owner: Option<Owner>,
    pub(super) tell: Tell,
}

/// Finishes the files of an output.
#[derive(Debug)]
pub(super) struct Finisher {
    jobs: SyncSender<Job>,
    is_syncing: Arc<AtomicBool>,
    thread: JoinHandle<()>,
    compressor: Option<Compressor>,
}

impl Finisher {
    /// Starts the thread; `finished` are the names of files that an earlier run had not finished.
    pub(super) fn start(manner: FinishOptions, finished: Vec<OsString>) -> io::Result<Self> {
        let FinishOptions { names, keep, compression, fsync, owner, tell } = manner;
        let is_syncing = Arc::new(AtomicBool::new(false));
        let press = CompressJob { names: names.clone(), fsync, owner, tell: tell.clone() };
        let (compressor, call) = match compression {
            Compression::None => (None, None),
            Compression::Zstd => {
                Compressor::start(press, finished).map(|(it, call)| (Some(it), Some(call)))?
            }
        };
        let work = FinalizerTask {
            names,
            keep,
            fsync,
            tell,
            of_syncing: LogOnChange::default(),
            is_syncing: is_syncing.clone(),
            call,
            is_untidy: true,
            tidied_at: Instant::now(),
        };
        let (jobs, queue) = sync_channel(WAITING_MAX);
        let run = move || work.run(&queue);
        let thread = thread::Builder::new().name("vxtap-files".to_owned()).spawn(run)?;
        Ok(Self { jobs, is_syncing, thread, compressor })
    }

    /// Has a whole file finished. Nobody may write to it any more.
    pub(super) fn finish(&self, file: File, path: PathBuf, is_part: bool) {
        // It ends with this only.
        let _ = self.jobs.send(Job::Finish { file, path, is_part });
    }

    /// Has what was written so far brought onto the disk, unless that goes on for what was written
    /// before.
    ///
    /// # Errors
    ///
    /// EMFILE and the like.
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

    /// Waits until everything is done; no longer than `patience` for what is to be compressed.
    pub(super) fn end(self, patience: Option<Duration>) -> thread::Result<()> {
        drop(self.jobs);
        let finished = self.thread.join();
        let compressed = self.compressor.map_or(Ok(()), |compressor| compressor.end(patience));
        finished.and(compressed)
    }
}

/// What the thread works with.
struct FinalizerTask {
    names: Names,
    keep: Retention,
    fsync: Fsync,
    tell: Tell,
    of_syncing: LogOnChange,
    is_syncing: Arc<AtomicBool>,
    /// The names of whole files go there to be compressed; the thread that does it ends when this
    /// is gone.
    call: Option<Sender<OsString>>,
    /// Whether there may be files that are not kept.
    is_untidy: bool,
    tidied_at: Instant,
}

impl FinalizerTask {
    fn run(mut self, queue: &Receiver<Job>) {
        loop {
            let wait = if self.is_untidy { Duration::ZERO } else { TURN };
            match queue.recv_timeout(wait) {
                Ok(job) => {
                    self.work(job);
                    // Looking through a directory takes its time: while there is more to finish,
                    // only now and then.
                    if self.is_untidy && self.tidied_at.elapsed() >= TIDY_INTERVAL {
                        self.tidy();
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.is_untidy || self.keep.has_time() => {
                    self.tidy()
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return self.tidy(),
            }
        }
    }

    fn work(&mut self, job: Job) {
        match job {
            Job::Finish { file, path, is_part } => {
                let finished = self.finish(&file, &path, is_part);
                // Closed before somebody compresses it.
                drop(file);
                match (finished, &self.call) {
                    (Ok(name), Some(call)) => {
                        // It ends with this only.
                        let _ = call.send(name);
                    }
                    (Ok(_), None) => {}
                    (Err(error), _) => {
                        (self.tell)(format!("cannot finish {}: {error}", path.display()))
                    }
                }
                self.is_untidy = true;
            }
            Job::Sync(files) => {
                let failed = files.iter().find_map(|file| file.sync_data().err());
                drop(files);
                self.is_syncing.store(false, Ordering::Relaxed);
                let directory = self.names.directory().display();
                let sentence =
                    |error| format!("cannot bring onto the disk what is in {directory}: {error}");
                if let Some(sentence) = self.of_syncing.of(failed.map(sentence)) {
                    (self.tell)(sentence);
                }
            }
        }
    }

    /// Gives a file its name, and returns that.
    fn finish(&self, file: &File, path: &Path, is_part: bool) -> io::Result<OsString> {
        if self.fsync != Fsync::Never {
            file.sync_all()?;
        }
        let path = if is_part {
            directory::rename(&directory::with_suffix(path, PART), path)?
        } else {
            path.to_owned()
        };
        if is_part {
            directory::sync_directory(self.names.directory(), self.fsync)?;
        }
        Ok(path.file_name().unwrap_or_default().to_owned())
    }

    /// Deletes what is not kept.
    fn tidy(&mut self) {
        (self.is_untidy, self.tidied_at) = (false, Instant::now());
        if self.keep.is_everything() {
            return;
        }
        let tidied = directory::own_files(&self.names)
            .and_then(|own| self.keep.apply(own, SystemTime::now()));
        if let Err(error) = tidied {
            (self.tell)(format!(
                "cannot delete old files in {}: {error}",
                self.names.directory().display()
            ));
        }
    }
}
