//! The thread that does with whole files what takes its time: onto the disk, to their names, compressed, old ones away.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, fchown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use ruzstd::encoding::{CompressionLevel, compress_to_vec};

use super::disk::{self, Owner};
use super::keep::Keep;
use super::name::{Names, PART, ZST};
use crate::config::{Compression, Fsync};

/// How often it looks for files that are too old.
const TURN: Duration = Duration::from_secs(10);
/// What is compressed at a time, in bytes: a frame of zstd that can be read by itself. Longer compresses hardly better, and takes more
/// memory.
const PIECE: u64 = 4 << 20;
/// Only the owner may read it.
const MODE: u32 = 0o600;
/// Compressing gives way to everything else.
const NICE: i32 = 19;

/// What is to be done.
#[derive(Debug)]
enum Job {
    /// A file is whole. It is to be called `path`, and may be already.
    Finish { file: File, path: PathBuf, is_part: bool },
    /// A file has grown.
    Sync(File),
}

/// How files are finished.
pub(super) struct Manner {
    pub(super) names: Names,
    pub(super) keep: Keep,
    pub(super) compression: Compression,
    pub(super) fsync: Fsync,
    pub(super) owner: Option<Owner>,
    pub(super) tell: Tell,
}

/// What goes wrong is told there, a sentence each.
pub(crate) type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// Finishes the files of an output.
#[derive(Debug)]
pub(super) struct Finisher {
    jobs: Sender<Job>,
    thread: JoinHandle<()>,
}

impl Finisher {
    pub(super) fn start(manner: Manner) -> io::Result<Self> {
        let (jobs, queue) = channel();
        let run = move || manner.work(&queue);
        let thread = thread::Builder::new().name("vxtap-files".to_owned()).spawn(run)?;
        Ok(Self { jobs, thread })
    }

    /// Has a whole file finished. Nobody may write to it any more.
    pub(super) fn finish(&self, file: File, path: PathBuf, is_part: bool) {
        // It ends with this only.
        let _ = self.jobs.send(Job::Finish { file, path, is_part });
    }

    /// Has what was written so far brought onto the disk.
    pub(super) fn sync(&self, file: &File) {
        if let Ok(file) = file.try_clone() {
            let _ = self.jobs.send(Job::Sync(file));
        }
    }

    /// Waits until everything is done.
    pub(super) fn end(self) -> thread::Result<()> {
        drop(self.jobs);
        self.thread.join()
    }
}

impl Manner {
    fn work(&self, queue: &Receiver<Job>) {
        // If it may not, it competes with others.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let tell_of = |what: &str, path: &Path, error: io::Error| {
            (self.tell)(format!("cannot {what} {}: {error}", path.display()));
        };
        self.tidy();
        loop {
            match queue.recv_timeout(TURN) {
                Ok(Job::Finish { file, path, is_part }) => {
                    match self.finish(&file, &path, is_part) {
                        Ok(path) => {
                            if self.compression == Compression::Zstd
                                && let Err(error) = self.compress(&path)
                            {
                                tell_of("compress", &path, error);
                            }
                        }
                        Err(error) => tell_of("finish", &path, error),
                    }
                    self.tidy();
                }
                Ok(Job::Sync(file)) => {
                    if let Err(error) = file.sync_data() {
                        tell_of("bring onto the disk what is in", self.names.directory(), error);
                    }
                }
                Err(RecvTimeoutError::Timeout) if self.keep.has_time() => self.tidy(),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Gives a file its name, and returns that.
    fn finish(&self, file: &File, path: &Path, is_part: bool) -> io::Result<PathBuf> {
        if self.fsync != Fsync::Never {
            file.sync_all()?;
        }
        if !is_part {
            return Ok(path.to_owned());
        }
        let path = disk::rename(&disk::with_suffix(path, PART), path)?;
        self.sync_directory()?;
        Ok(path)
    }

    fn sync_directory(&self) -> io::Result<()> {
        if self.fsync == Fsync::Never { Ok(()) } else { File::open(self.names.directory())?.sync_all() }
    }

    /// Puts a compressed file in the place of a file.
    fn compress(&self, path: &Path) -> io::Result<()> {
        let target = disk::with_suffix(path, ZST);
        let part = disk::with_suffix(&target, PART);
        let made = self.compress_to(path, &part).and_then(|()| disk::rename(&part, &target));
        if made.is_err() {
            // What there is of it takes up room, and whether it can be removed says nothing new.
            let _ = fs::remove_file(&part);
        }
        made?;
        self.sync_directory()?;
        fs::remove_file(path)
    }

    fn compress_to(&self, path: &Path, part: &Path) -> io::Result<()> {
        let source = File::open(path)?;
        let mut target = OpenOptions::new().write(true).create_new(true).mode(MODE).open(part)?;
        disk::lock(&target);
        if let Some(Owner { user, group }) = self.owner {
            fchown(&target, Some(user), Some(group))?;
        }
        let mut piece = Vec::new();
        while (&source).take(PIECE).read_to_end(&mut piece)? > 0 {
            target.write_all(&compress_to_vec(&piece[..], CompressionLevel::Fastest))?;
            piece.clear();
        }
        if self.fsync != Fsync::Never {
            target.sync_all()?;
        }
        // As old as what it is made of, for what is kept.
        target.set_modified(source.metadata()?.modified()?)
    }

    /// Deletes what is not kept.
    fn tidy(&self) {
        if self.keep.is_everything() {
            return;
        }
        let tidied = disk::own_files(&self.names).and_then(|own| self.keep.apply(own, SystemTime::now()));
        if let Err(error) = tidied {
            (self.tell)(format!("cannot delete old files in {}: {error}", self.names.directory().display()));
        }
    }
}
