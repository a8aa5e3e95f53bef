//! A file that is open, and how one begins.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use super::capture::{CaptureWriter, FrameKey};
use super::directory;
use super::file::{PcapngError, PcapngFile};
use super::name::{FileKey, Names, PART, ZST, repeated};
use super::secure_open::Owner;
use super::sink::RetryingWriter;
use super::statement::Statement;
use crate::session::{Directory, SessionId};

/// Most files that begin in the same second with the same name.
const REPEATS_MAX: u32 = 100_000;

/// A file that is open.
pub(super) struct OpenFile {
    pub(super) key: FileKey,
    pub(super) sink: RetryingWriter,
    /// Where it is to be found when it is whole.
    pub(super) path: PathBuf,
    pub(super) begins_ns: u64,
    /// Frames from here on belong to the next one.
    pub(super) ends_ns: u64,
    /// Time of the last frame.
    pub(super) touched_ns: u64,
    /// Whether it is called otherwise until it is whole.
    pub(super) is_renamed: bool,
    /// Whether its first frame is a stranger's, as [`FileFactory::is_stranger`] has it.
    pub(super) is_stranger: bool,
}

impl OpenFile {
    pub(super) const fn has_room(&self, time_ns: u64, len: u32, rotate_bytes: u64) -> bool {
        time_ns < self.ends_ns && self.sink.writer().len() + len as u64 <= rotate_bytes
    }

    pub(super) const fn file(&self) -> &File {
        self.sink.writer().file().storage()
    }

    /// Tells which frames are in it.
    pub(super) fn deliver(&self, statement: &mut dyn Statement) {
        self.sink
            .writer()
            .deliveries()
            .into_iter()
            .for_each(|(key, frames)| statement.deliver(key, frames));
    }

    /// Whether its path still leads to it, or to something that is no file.
    pub(super) fn is_at_its_path(&self) -> bool {
        let Ok(there) = fs::metadata(&self.path) else { return false };
        let here = self.file().metadata();
        !there.is_file()
            || here.is_ok_and(|here| (here.dev(), here.ino()) == (there.dev(), there.ino()))
    }
}

/// Begins files.
#[derive(Debug)]
pub(super) struct FileFactory {
    pub(super) names: Names,
    /// Of the only file, if names have no fields.
    pub(super) path: PathBuf,
    pub(super) owner: Option<Owner>,
    pub(super) directory: Directory,
    /// Sessions that each file describes from its beginning.
    pub(super) sessions: Vec<SessionId>,
    /// Length of the period that a file is for, if it is for one.
    pub(super) rotate_ns: Option<u64>,
    /// Of the next file.
    pub(super) number: u64,
    /// No file has a name with a time before.
    pub(super) floor_ns: u64,
}

impl FileFactory {
    /// Begins a file for frames from this time on.
    pub(super) fn begin(
        &mut self,
        key: FileKey,
        is_stranger: bool,
        time_ns: u64,
    ) -> Result<OpenFile, PcapngError> {
        let now = Instant::now();
        let is_part = self.names.has_fields();
        let period_start = |period: u64| (time_ns - time_ns % period).max(self.floor_ns);
        let begins_ns = self.rotate_ns.map_or(time_ns, period_start);
        let (path, file) = if is_part {
            self.create(&key, begins_ns, now)?
        } else {
            (self.path.clone(), PcapngFile::create_for(&self.path, self.owner, now)?)
        };
        let writer = CaptureWriter::with_directory(file, &self.directory, &self.sessions);
        if writer.is_err() && is_part {
            // There is nothing in it, and whether it can be removed says nothing new.
            let _ = fs::remove_file(directory::with_suffix(&path, PART));
        }
        let (sink, ends_ns) = (RetryingWriter::new(writer?), self.end_of(time_ns));
        Ok(OpenFile {
            key,
            sink,
            path,
            begins_ns,
            ends_ns,
            touched_ns: time_ns,
            is_renamed: is_part,
            is_stranger,
        })
    }

    /// Whether a frame is of those for whose files whoever sends them chooses the number: sessions
    /// that nobody has declared, or sources of which nobody has said which.
    pub(super) fn is_stranger(&self, frame: &FrameKey) -> bool {
        if frame.session == SessionId::DEFAULT.0 {
            return true;
        }
        self.names.has_source() && self.directory.source_of(SessionId(frame.session)).is_none()
    }

    /// Where the period ends that a time is in.
    pub(super) fn end_of(&self, time_ns: u64) -> u64 {
        self.rotate_ns
            .map_or(u64::MAX, |period: u64| (time_ns - time_ns % period).saturating_add(period))
    }

    /// Creates a file that has a name of its own.
    fn create(
        &mut self,
        key: &FileKey,
        time_ns: u64,
        now: Instant,
    ) -> Result<(PathBuf, PcapngFile), PcapngError> {
        let name = self.names.render(key, time_ns, self.number, &self.directory);
        let mut path = self.names.directory().join(&name);
        for times in 2..REPEATS_MAX {
            let is_free = [path.clone(), directory::with_suffix(&path, ZST)]
                .iter()
                .all(|path| !path.exists());
            match is_free.then(|| {
                PcapngFile::create_new(directory::with_suffix(&path, PART), self.owner, now)
            }) {
                None => {}
                Some(Err(PcapngError::Create { source, .. }))
                    if source.kind() == io::ErrorKind::AlreadyExists => {}
                Some(created) => {
                    let file = created?;
                    self.number += 1;
                    return Ok((path, file));
                }
            }
            path = self.names.directory().join(repeated(&name, times));
        }
        Err(PcapngError::Create { path, source: io::ErrorKind::AlreadyExists.into() })
    }
}
