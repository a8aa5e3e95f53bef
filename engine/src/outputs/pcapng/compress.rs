//! The thread that compresses whole files. It looks for them in the directory, so that also those
//! get their turn that an earlier run has left, or that found no room on the disk.

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

use super::directory::{self, Own};
use super::loss_report::Tell;
use super::name::{Names, PART, ZST};
use super::secure_open::{self, Owner};
use crate::config::Fsync;
use crate::diagnostics::LogOnChange;

/// How often it looks for files without being called, for those that have failed before.
const TURN: Duration = Duration::from_secs(10);
/// What is compressed at a time, in bytes: a frame of zstd that can be read by itself. Longer
/// compresses hardly better, and takes more memory.
const PIECE: u64 = 4 << 20;
/// Compressing gives way to everything else.
const NICE: i32 = 19;
/// How often it is looked whether it has ended.
const END_TURN: Duration = Duration::from_millis(5);

/// For how long a file that we have not finished ourselves has to be as it is before it is taken
/// for a whole one.
const SETTLED: Duration = Duration::from_secs(60);

/// Compresses the whole files of an output.
#[derive(Debug)]
pub(super) struct Compressor {
    is_over: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

/// How files are compressed.
pub(super) struct CompressJob {
    pub(super) names: Names,
    pub(super) fsync: Fsync,
    pub(super) owner: Option<Owner>,
    pub(super) tell: Tell,
}

impl Compressor {
    /// Starts the thread; the channel is for the names of files that are whole, its end says that
    /// none follows. Others are `finished` already.
    pub(super) fn start(
        press: CompressJob,
        finished: Vec<OsString>,
    ) -> io::Result<(Self, Sender<OsString>)> {
        let (call, calls) = channel();
        let is_over = Arc::new(AtomicBool::new(false));
        let work = CompressTask {
            press,
            is_over: is_over.clone(),
            finished: finished.into_iter().collect(),
        };
        let run = move || work.run(&calls);
        let thread = thread::Builder::new().name("vxtap-zstd".to_owned()).spawn(run)?;
        Ok((Self { is_over, thread }, call))
    }

    /// Waits until all files are compressed, or for so long: then it leaves the rest to the next
    /// run.
    pub(super) fn end(self, patience: Option<Duration>) -> thread::Result<()> {
        let begin = Instant::now();
        while patience.is_some_and(|patience| begin.elapsed() < patience)
            && !self.thread.is_finished()
        {
            thread::sleep(END_TURN);
        }
        self.is_over.store(patience.is_some(), Ordering::Relaxed);
        self.thread.join()
    }
}

struct CompressTask {
    press: CompressJob,
    is_over: Arc<AtomicBool>,
    /// Names of files that were finished by us.
    finished: HashSet<OsString>,
}

impl CompressTask {
    fn run(mut self, calls: &Receiver<OsString>) {
        // If it may not, it competes with others.
        let _ = rustix::process::setpriority_process(Some(rustix::thread::gettid()), NICE);
        let mut news = LogOnChange::default();
        let mut call = Err(RecvTimeoutError::Timeout);
        loop {
            let is_last = call == Err(RecvTimeoutError::Disconnected);
            self.finished.extend(call.into_iter().chain(calls.try_iter()));
            let sentence =
                self.compress_all().err().map(|error| format!("{error}; it is tried again"));
            if let Some(sentence) = news.of(sentence) {
                (self.press.tell)(sentence);
            }
            if is_last {
                return self.say_what_is_left();
            }
            call = calls.recv_timeout(TURN);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    /// Compresses what is whole, the oldest first; the error is the first one, and no reason not to
    /// try the others unless the disk is full: what is captured needs the room.
    fn compress_all(&mut self) -> io::Result<()> {
        let mut first = Ok(());
        for path in self.whole_files()? {
            let compressed = self.compress(&path);
            if self.is_over() {
                break;
            }
            let Err(error) = compressed else {
                path.file_name().map(|name| self.finished.remove(name));
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

    /// The files that are not compressed, those first that were written to longest ago.
    fn whole_files(&self) -> io::Result<Vec<PathBuf>> {
        let own = directory::own_files(&self.press.names)?;
        let plain = own.into_iter().filter(|file| file.is_whole && !file.is_compressed());
        let now = SystemTime::now();
        let mut dated = Vec::new();
        for Own { path, name, .. } in plain {
            let Ok(written_at) = fs::symlink_metadata(&path).and_then(|it| it.modified()) else {
                continue;
            };
            // Else it may be that of a program that still writes it.
            let is_settled = now.duration_since(written_at).is_ok_and(|age| age >= SETTLED);
            if is_settled || self.finished.contains(&name) {
                dated.push((written_at, path));
            }
        }
        dated.sort();
        Ok(dated.into_iter().map(|(_, path)| path).collect())
    }

    fn say_what_is_left(&self) {
        let left = self.whole_files().unwrap_or_default();
        let left = left.iter().filter(|path| matches!(self.source(path), Ok(Some(_)))).count();
        if self.is_over() && left > 0 {
            let directory = self.press.names.directory().display();
            (self.press.tell)(format!(
                "{left} files in {directory} are not compressed: the next run does that"
            ));
        }
    }

    /// Puts a compressed file in the place of a file, unless somebody writes that, or compresses
    /// it.
    fn compress(&self, path: &Path) -> io::Result<()> {
        let Some(source) = self.source(path)? else { return Ok(()) };
        let target = directory::with_suffix(path, ZST);
        let part = directory::with_suffix(&target, PART);
        let Some(file) = self.begin(&part)? else { return Ok(()) };
        let filled = self.fill(&source, file);
        if !matches!(filled, Ok(true)) {
            // What there is of it takes up room, and whether it can be removed says nothing new.
            let _ = fs::remove_file(&part);
            return filled.map(drop);
        }
        let target = directory::rename(&part, &target)?;
        directory::sync_directory(self.press.names.directory(), self.press.fsync)?;
        match fs::remove_file(path) {
            // It was deleted meanwhile, as there were too many.
            Err(error) if error.kind() == io::ErrorKind::NotFound => fs::remove_file(target),
            removed => removed,
        }
    }

    /// The file at a path, if it is one of ours and nobody writes it. Who may write to the
    /// directory could have put something else there, which only we may read.
    fn source(&self, path: &Path) -> io::Result<Option<File>> {
        // There is somebody who wants to read it, or an earlier run has not come to remove it.
        // Files with a fixed name follow each other.
        if self.press.names.has_fields() && directory::with_suffix(path, ZST).exists() {
            return Ok(None);
        }
        let Some(file) = secure_open::open_own(path)? else { return Ok(None) };
        let is_own = secure_open::is_own(&file, self.press.owner)?;
        Ok((is_own && secure_open::lock(&file)?).then_some(file))
    }

    /// Begins a file; `None` if somebody writes it. What somebody has left unfinished goes.
    fn begin(&self, part: &Path) -> io::Result<Option<File>> {
        match secure_open::create_new(part, self.press.owner) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            created => return created.map(Some),
        }
        if let Some(left) = secure_open::open_own(part)?
            && !secure_open::lock(&left)?
        {
            return Ok(None);
        }
        fs::remove_file(part)?;
        secure_open::create_new(part, self.press.owner).map(Some)
    }

    /// Compresses a file into another one; says whether it came to the end.
    fn fill(&self, source: &File, mut target: File) -> io::Result<bool> {
        let mut piece = Vec::new();
        while source.take(PIECE).read_to_end(&mut piece)? > 0 {
            if self.is_over() {
                return Ok(false);
            }
            target.write_all(&compress_to_vec(&piece[..], CompressionLevel::Fastest))?;
            piece.clear();
        }
        if self.press.fsync != Fsync::Never {
            target.sync_all()?;
        }
        // As old as what it is made of, for what is kept.
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
        let said = Arc::new(Mutex::new(Vec::new()));
        let told = said.clone();
        let press = CompressJob {
            names: Names::new(&path, FileName::of(&path).unwrap(), 0),
            fsync: Fsync::Never,
            owner: None,
            tell: Arc::new(move |sentence| told.lock().unwrap().push(sentence)),
        };
        let (compressor, call) = Compressor::start(press, vec!["000001.pcapng".into()]).unwrap();
        let part = directory.path().join("000001.pcapng.zst.part");
        while !part.exists() {
            thread::sleep(END_TURN);
        }
        drop(call);
        compressor.end(Some(Duration::ZERO)).unwrap();
        let sentence = format!(
            "1 files in {} are not compressed: the next run does that",
            directory.path().display()
        );
        assert_eq!(*said.lock().unwrap(), [sentence]);
        assert!(!part.exists());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
