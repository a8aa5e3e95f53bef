//! One open file, and the factory that creates files.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Instant;

use super::capture_writer::CaptureWriter;
use super::file::{PcapngError, PcapngFile};
use super::file_names::{FileKey, FileNames, PART_SUFFIX, ZST_SUFFIX, repeated};
use super::interface_key::FrameKey;
use super::output_directory;
use super::secure_open::Owner;
use super::stats_source::StatsSource;
use crate::diagnostics::LogOnChange;
use crate::session::{Directory, SessionId};

/// Upper bound of the suffix that tells apart files with the same name.
const REPEATS_MAX: u32 = 100_000;

/// An open file.
pub(super) struct OpenFile {
    pub(super) key: FileKey,
    pub(super) writer: CaptureWriter,
    /// Final path, which the file has when it is complete.
    pub(super) path: PathBuf,
    pub(super) start_ns: u64,
    /// Time from which frames belong to the next file.
    pub(super) end_ns: u64,
    /// Timestamp of the last frame.
    pub(super) last_frame_ns: u64,
    /// `true` if the file has another name than `path` until it is complete.
    pub(super) has_part_name: bool,
    /// Result of [`FileFactory::is_undeclared`] for its first frame.
    pub(super) is_undeclared: bool,
    /// Frames that were in the file when it was last seen in its directory.
    pub(super) frames_seen: u64,
    /// Reports that it was removed and cannot be created again.
    pub(super) removal_log: LogOnChange,
}

impl OpenFile {
    /// Returns whether a frame of `len` bytes belongs to this file and not to the next one.
    pub(super) const fn has_room(&self, time_ns: u64, len: u32, rotate_bytes: u64) -> bool {
        time_ns < self.end_ns && self.writer.file().len() + len as u64 <= rotate_bytes
    }

    pub(super) const fn file(&self) -> &File {
        self.writer.file().storage()
    }

    /// Returns the number of frames lost for this file.
    pub(super) const fn frames_lost(&self) -> u64 {
        self.writer.file().frames_lost()
    }

    /// Returns the number of frames in the file, including those that wait to be written.
    pub(super) const fn frames_written(&self) -> u64 {
        self.writer.frames() - self.frames_lost()
    }

    /// Adds the frames of the file to `stats`.
    pub(super) fn add_delivered(&self, stats: &mut dyn StatsSource) {
        let counts = self.writer.frames_by_interface();
        for (key, frames) in counts {
            stats.add_delivered(key, frames);
        }
    }

    /// Returns the path that it has at present.
    pub(super) fn present_path(&self) -> PathBuf {
        if self.has_part_name {
            output_directory::with_suffix(&self.path, PART_SUFFIX)
        } else {
            self.path.clone()
        }
    }

    /// Returns whether it is a regular file without a name.
    pub(super) fn is_removed(&self) -> bool {
        self.file().metadata().is_ok_and(|it| it.is_file() && it.nlink() == 0)
    }

    /// Returns whether its path still leads to it, or to something that is not a regular file.
    pub(super) fn is_at_its_path(&self) -> bool {
        let Ok(there) = fs::metadata(&self.path) else { return false };
        let here = self.file().metadata();
        !there.is_file()
            || here.is_ok_and(|here| (here.dev(), here.ino()) == (there.dev(), there.ino()))
    }
}

/// A file to be created.
#[derive(Clone, Copy, Debug)]
pub(super) struct NewFile {
    pub(super) key: FileKey,
    /// Result of [`FileFactory::is_undeclared`] for its first frame.
    pub(super) is_undeclared: bool,
    /// Time of its first frame.
    pub(super) time_ns: u64,
    /// The first frame, if it is known. The file describes its session or pair from the beginning:
    /// tools refuse a file without an interface, which an engine that is killed would leave.
    pub(super) frame: Option<FrameKey>,
}

impl NewFile {
    /// Returns the only file of an output, which begins before its first frame.
    pub(super) fn only(time_ns: u64) -> Self {
        Self { key: FileKey::default(), is_undeclared: false, time_ns, frame: None }
    }
}

/// Creates the files of an output.
#[derive(Debug)]
pub(super) struct FileFactory {
    pub(super) names: FileNames,
    /// Path of the only file if the name has no fields.
    pub(super) path: PathBuf,
    pub(super) owner: Option<Owner>,
    pub(super) directory: Directory,
    /// Sessions that each file describes from its beginning.
    pub(super) sessions: Vec<SessionId>,
    /// Length of the period of a file; `None` if files do not rotate by time.
    pub(super) rotate_ns: Option<u64>,
    /// Number of the next file.
    pub(super) next_number: u64,
    /// `true` until the only file is open: an existing one is truncated then, and never later.
    pub(super) may_truncate: bool,
    /// Earliest time that a file name may state.
    pub(super) earliest_ns: u64,
    /// Session of the last frame for which the directory was asked, and the answer.
    pub(super) last_sender: Option<(u32, bool)>,
}

impl FileFactory {
    /// Creates a file.
    pub(super) fn open(&mut self, new: NewFile) -> Result<OpenFile, PcapngError> {
        let NewFile { key, is_undeclared, time_ns, frame } = new;
        let now = Instant::now();
        let has_part_name = self.names.has_fields();
        let period_start = |period: u64| (time_ns - time_ns % period).max(self.earliest_ns);
        let start_ns = self.rotate_ns.map_or(time_ns, period_start);
        let (path, file) = if has_part_name {
            self.create(&key, start_ns, now)?
        } else {
            let may_truncate = std::mem::replace(&mut self.may_truncate, false);
            let file = PcapngFile::create_for(&self.path, self.owner, may_truncate, now)?;
            (self.path.clone(), file)
        };
        let writer = CaptureWriter::for_frame(file, &self.directory, &self.sessions, frame);
        if writer.is_err() && has_part_name {
            // The file is empty; a failure to remove it adds nothing to the error.
            let _ = fs::remove_file(output_directory::with_suffix(&path, PART_SUFFIX));
        }
        let (writer, end_ns) = (writer?, self.period_end(time_ns));
        Ok(OpenFile {
            key,
            writer,
            path,
            start_ns,
            end_ns,
            last_frame_ns: time_ns,
            has_part_name,
            is_undeclared,
            frames_seen: 0,
            removal_log: LogOnChange::default(),
        })
    }

    /// Returns whether the sender controls how many files this frame's key can create: an
    /// undeclared session, or a `{source}` name without a declared source.
    pub(super) fn is_undeclared(&mut self, frame: &FrameKey) -> bool {
        if frame.session == SessionId::DEFAULT.0 || !self.names.has_source() {
            return self.names.is_keyed() && frame.session == SessionId::DEFAULT.0;
        }
        if let Some((session, is_undeclared)) = self.last_sender
            && session == frame.session
        {
            return is_undeclared;
        }
        let is_undeclared = self.directory.source_of(SessionId(frame.session)).is_none();
        self.last_sender = Some((frame.session, is_undeclared));
        is_undeclared
    }

    /// Returns the end of the period that contains `time_ns`.
    pub(super) fn period_end(&self, time_ns: u64) -> u64 {
        self.rotate_ns
            .map_or(u64::MAX, |period: u64| (time_ns - time_ns % period).saturating_add(period))
    }

    /// Creates a file with a name that no other file has.
    fn create(
        &mut self,
        key: &FileKey,
        time_ns: u64,
        now: Instant,
    ) -> Result<(PathBuf, PcapngFile), PcapngError> {
        let name = self.names.render(key, time_ns, self.next_number, &self.directory);
        let mut path = self.names.directory().join(&name);
        for times in 2..REPEATS_MAX {
            let is_free = [path.clone(), output_directory::with_suffix(&path, ZST_SUFFIX)]
                .iter()
                .all(|path| !path.exists());
            match is_free.then(|| {
                PcapngFile::create_new(
                    output_directory::with_suffix(&path, PART_SUFFIX),
                    self.owner,
                    now,
                )
            }) {
                None => {}
                Some(Err(PcapngError::Create { source, .. }))
                    if source.kind() == io::ErrorKind::AlreadyExists => {}
                Some(created) => {
                    let file = created?;
                    self.next_number += 1;
                    return Ok((path, file));
                }
            }
            path = self.names.directory().join(repeated(&name, times));
        }
        Err(PcapngError::Create { path, source: io::ErrorKind::AlreadyExists.into() })
    }
}
