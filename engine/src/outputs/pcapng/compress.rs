//! Thread that compresses completed files. It lists the directory, so that it also finds files of
//! an earlier run and files that it could not compress before because the disk was full.

use std::collections::HashSet;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::file_names::{FileNames, PART_SUFFIX, ZST_SUFFIX};
use super::loss_report::LogFn;
use super::output_directory::{self, OutputFile};
use super::secure_open::{self, Owner};
use crate::config::Fsync;
use crate::diagnostics::LogOnChange;
use crate::plural::counted;

/// Interval of listing the directory if no file is completed; files that failed are tried again
/// then.
const SCAN_INTERVAL: Duration = Duration::from_secs(10);
/// Bytes that are compressed at a time, into one independent zstd frame. Larger frames compress
/// hardly better and take more memory.
const FRAME_BYTES: u64 = 4 << 20;
/// Nice value of the thread: every other thread has priority.
const NICE: i32 = 19;
/// Interval of checking whether the thread has ended.
const JOIN_INTERVAL: Duration = Duration::from_millis(5);

/// Time since the last write after which a file that this process has not completed counts as
/// complete.
const STABLE_AGE: Duration = Duration::from_secs(60);

/// Handle to the thread that compresses the completed files of an output.
#[derive(Debug)]
pub(super) struct Compressor {
    is_cancelled: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// Options for compressing files.
pub(super) struct CompressJob {
    pub(super) names: FileNames,
    pub(super) fsync: Fsync,
    pub(super) owner: Option<Owner>,
    pub(super) log: LogFn,
}

impl Compressor {
    /// Starts the thread. The returned sender takes the names of completed files; the thread ends
    /// after it is dropped. `recovered` are the names of files completed before.
    pub(super) fn start(
        job: CompressJob,
        recovered: Vec<OsString>,
    ) -> io::Result<(Self, Sender<OsString>)> {
        let (sender, receiver) = channel();
        let is_cancelled = Arc::new(AtomicBool::new(false));
        let task = CompressTask {
            job,
            is_cancelled: is_cancelled.clone(),
            completed: recovered.into_iter().collect(),
        };
        let run = move || task.run(&receiver);
        let thread = thread::Builder::new().name("vxtap-zstd".to_owned()).spawn(run)?;
        Ok((Self { is_cancelled, thread }, sender))
    }

    /// Waits until all files are compressed, at most for `timeout`. The next run compresses the
    /// rest.
    pub(super) fn join(self, timeout: Option<Duration>) -> thread::Result<()> {
        let start = Instant::now();
        while timeout.is_some_and(|timeout| start.elapsed() < timeout) && !self.thread.is_finished()
        {
            thread::sleep(JOIN_INTERVAL);
        }
        self.is_cancelled.store(timeout.is_some(), Ordering::Relaxed);
        self.thread.join()
    }
}

/// State of the thread.
struct CompressTask {
    job: CompressJob,
    is_cancelled: Arc<AtomicBool>,
    /// Names of files that this process has completed.
    completed: HashSet<OsString>,
}

impl CompressTask {
    fn run(mut self, receiver: &Receiver<OsString>) {
        // Without permission the thread runs at normal priority.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let mut error_log = LogOnChange::default();
        let mut finished = Err(RecvTimeoutError::Timeout);
        loop {
            let is_last = finished == Err(RecvTimeoutError::Disconnected);
            self.completed.extend(finished.into_iter().chain(receiver.try_iter()));
            let message =
                self.compress_all().err().map(|error| format!("{error}; it will be tried again"));
            if let Some(message) = error_log.of(message) {
                (self.job.log)(message);
            }
            if is_last {
                return self.report_rest();
            }
            finished = receiver.recv_timeout(SCAN_INTERVAL);
        }
    }

    fn is_cancelled(&self) -> bool {
        self.is_cancelled.load(Ordering::Relaxed)
    }

    /// Compresses all complete files, the oldest first. Returns the first error; the other files
    /// are tried nevertheless unless the disk is full, since the capture needs the space.
    fn compress_all(&mut self) -> io::Result<()> {
        let mut first = Ok(());
        for path in self.complete_files()? {
            let compressed = self.compress(&path);
            if self.is_cancelled() {
                break;
            }
            let Err(error) = compressed else {
                path.file_name().map(|name| self.completed.remove(name));
                continue;
            };
            let is_full =
                matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
            first = first
                .and(Err(io::Error::other(format!("cannot compress {}: {error}", path.display()))));
            if is_full {
                break;
            }
        }
        first
    }

    /// Returns the complete files that are not compressed, the least recently written first.
    fn complete_files(&self) -> io::Result<Vec<PathBuf>> {
        let files = output_directory::list_files(&self.job.names)?;
        let plain = files.into_iter().filter(|file| file.is_complete && !file.is_compressed());
        let now = SystemTime::now();
        let mut dated = Vec::new();
        for OutputFile { path, name, .. } in plain {
            let Ok(modified_at) = fs::symlink_metadata(&path).and_then(|it| it.modified()) else {
                continue;
            };
            // Another program may still write to a recent file that this process has not completed.
            let is_stable = now.duration_since(modified_at).is_ok_and(|age| age >= STABLE_AGE);
            if is_stable || self.completed.contains(&name) {
                dated.push((modified_at, path));
            }
        }
        dated.sort();
        Ok(dated.into_iter().map(|(_, path)| path).collect())
    }

    /// Reports the number of files that are left uncompressed because the thread was cancelled.
    fn report_rest(&self) {
        let rest = self.complete_files().unwrap_or_default();
        let count = rest.iter().filter(|path| matches!(self.source(path), Ok(Some(_)))).count();
        if self.is_cancelled() && count > 0 {
            let directory = self.job.names.directory().display();
            let files = counted(count, "file");
            (self.job.log)(format!(
                "{directory} has {files} left to compress, which the next run does"
            ));
        }
    }

    /// Replaces a file by a compressed one, unless another process writes or compresses it.
    fn compress(&self, path: &Path) -> io::Result<()> {
        let Some(source) = self.source(path)? else { return Ok(()) };
        let target = output_directory::with_suffix(path, ZST_SUFFIX);
        let part = output_directory::with_suffix(&target, PART_SUFFIX);
        let Some(file) = self.create_target(&part)? else { return Ok(()) };
        let filled = self.fill(&source, file);
        if !matches!(filled, Ok(true)) {
            // The incomplete file takes up space; a failure to remove it adds nothing to the error.
            let _ = fs::remove_file(&part);
            return filled.map(drop);
        }
        let target = output_directory::rename(&part, &target)?;
        output_directory::sync_directory(self.job.names.directory(), self.job.fsync)?;
        match fs::remove_file(path) {
            // Retention has deleted it since: the compressed file is not to be kept either.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_file(target),
            removed => removed,
        }
    }

    /// Opens and locks the file at `path` if it belongs to this output and no process writes to it.
    /// A program with write access to the directory could have put another file there, which it may
    /// not read itself.
    fn source(&self, path: &Path) -> io::Result<Option<File>> {
        // A compressed file exists already: a user wants to keep both, or an earlier run could not
        // remove the original. Files with a fixed name replace each other.
        if self.job.names.has_fields() && output_directory::with_suffix(path, ZST_SUFFIX).exists() {
            return Ok(None);
        }
        let Some(file) = secure_open::open_no_follow(path)? else { return Ok(None) };
        let is_owned = secure_open::is_owned(&file, self.job.owner)?;
        Ok((is_owned && secure_open::lock(&file)?).then_some(file))
    }

    /// Creates the file for the compressed data, in place of one that was left unfinished. Returns
    /// `None` if another process writes to that one.
    fn create_target(&self, part: &Path) -> io::Result<Option<File>> {
        match secure_open::create_new(part, self.job.owner) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(Some),
        }
        if let Some(left) = secure_open::open_no_follow(part)?
            && !secure_open::lock(&left)?
        {
            return Ok(None);
        }
        fs::remove_file(part)?;
        secure_open::create_new(part, self.job.owner).map(Some)
    }

    /// Compresses `source` into `target`. Returns `false` if the thread was cancelled.
    fn fill(&self, source: &File, mut target: File) -> io::Result<bool> {
        let mut input = Vec::new();
        while source.take(FRAME_BYTES).read_to_end(&mut input)? > 0 {
            if self.is_cancelled() {
                return Ok(false);
            }
            target.write_all(&compress_to_vec(&input[..], CompressionLevel::Fastest))?;
            input.clear();
        }
        if self.job.fsync != Fsync::Never {
            target.sync_all()?;
        }
        // Retention goes by the time of the last write to the original.
        target.set_modified(source.metadata()?.modified()?)?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;
    use crate::config::FileName;

    #[test]
    fn what_is_not_compressed_at_the_end_is_left_whole_and_said() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("{number}.pcapng");
        fs::write(directory.path().join("000001.pcapng"), vec![7; 64 << 20]).unwrap();
        let messages = Arc::new(Mutex::new(Vec::new()));
        let sink = messages.clone();
        let job = CompressJob {
            names: FileNames::new(&path, FileName::of(&path).unwrap(), 0),
            fsync: Fsync::Never,
            owner: None,
            log: Arc::new(move |message| sink.lock().unwrap().push(message)),
        };
        let (compressor, sender) = Compressor::start(job, vec!["000001.pcapng".into()]).unwrap();
        let part = directory.path().join("000001.pcapng.zst.part");
        while !part.exists() {
            thread::sleep(JOIN_INTERVAL);
        }
        drop(sender);
        compressor.join(Some(Duration::ZERO)).unwrap();
        let message = format!(
            "{} has 1 file left to compress, which the next run does",
            directory.path().display()
        );
        assert_eq!(*messages.lock().unwrap(), [message]);
        assert!(!part.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
