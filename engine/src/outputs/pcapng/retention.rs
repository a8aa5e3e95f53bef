//! Selects the files to delete, by count, size and age.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::clock_steps::ClockSteps;
use super::file_names::ZST_SUFFIX;
use super::output_directory::{self, OutputFile};
use crate::config::PcapngFiles;

/// Limits of the completed files of an output: number, bytes of all together, and age since the
/// last write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    files: Option<usize>,
    bytes: Option<u64>,
    age: Option<Duration>,
}

/// A completed file. The order is that in which files are deleted.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RetainedFile {
    /// `false` for a file that undeclared senders have caused.
    is_declared: bool,
    modified_at: SystemTime,
    path: PathBuf,
    bytes: u64,
}

impl Retention {
    pub(super) fn new(files: &PcapngFiles) -> Self {
        Self {
            files: files.keep_files.map(|files| files as usize),
            bytes: files.keep_mib.map(|mib| u64::from(mib) << 20),
            age: files.keep_s.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }

    /// Returns whether files may have to be deleted although no file was added.
    pub(super) const fn has_age_limit(&self) -> bool {
        self.age.is_some()
    }

    pub(super) fn keeps_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Deletes completed files that exceed a limit: files of undeclared senders first, and the
    /// least recently written of them first. So no undeclared sender can make a file of a declared
    /// session go. `deleted` is called for each with `true` for a file of undeclared senders.
    pub(super) fn apply(
        &self,
        files: Vec<OutputFile>,
        clock: &mut ClockSteps,
        mut deleted: impl FnMut(&Path, bool),
    ) -> io::Result<()> {
        // The compressor is about to delete a file that exists in compressed form, too.
        let compressed = files.iter().filter(|file| file.is_complete && file.is_compressed());
        let compressed: HashSet<_> = compressed.map(|file| file.path.clone()).collect();
        let counts = |file: &OutputFile| {
            file.is_complete
                && !compressed.contains(&output_directory::with_suffix(&file.path, ZST_SUFFIX))
        };
        let mut retained = Vec::new();
        for file in files.into_iter().filter(counts) {
            match fs::metadata(&file.path) {
                Ok(it) => retained.push(RetainedFile {
                    is_declared: !file.is_undeclared,
                    modified_at: it.modified()?,
                    path: file.path,
                    bytes: it.len(),
                }),
                // Another program has removed it since.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        retained.sort();
        let now = clock.look();
        let surplus = self.surplus(&retained);
        for (index, file) in retained.iter().enumerate() {
            if index >= surplus && !self.is_too_old(clock.age(file.modified_at, now)) {
                continue;
            }
            match fs::remove_file(&file.path) {
                Ok(()) => deleted(&file.path, !file.is_declared),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Returns the number of files from the first on that exceed a limit of number or length.
    fn surplus(&self, files: &[RetainedFile]) -> usize {
        let too_many = self.files.map_or(0, |max| files.len().saturating_sub(max));
        let mut bytes = 0_u64;
        let kept = files.iter().rev().take_while(|file| {
            bytes = bytes.saturating_add(file.bytes);
            self.bytes.is_none_or(|max| bytes <= max)
        });
        too_many.max(files.len() - kept.count())
    }

    fn is_too_old(&self, age: Duration) -> bool {
        self.age.is_some_and(|max| age > max)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn undeclared_files_and_the_oldest_are_too_many_by_number_and_by_length() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let file = |(is_declared, seconds, bytes)| RetainedFile {
            is_declared,
            modified_at: at(seconds),
            path: PathBuf::new(),
            bytes,
        };
        let mut files = [(true, 20, 50), (true, 30, 70), (false, 40, 100)].map(file);
        files.sort();
        assert!(!files[0].is_declared, "the newest is the first to go");
        let surplus = |retention: Retention| retention.surplus(&files);
        assert_eq!(surplus(Retention::default()), 0);
        for (max, expected) in [(1, 2), (2, 1), (3, 0), (9, 0)] {
            assert_eq!(surplus(Retention { files: Some(max), ..Retention::default() }), expected);
        }
        for (bytes, expected) in [(0, 3), (69, 3), (70, 2), (119, 2), (120, 1), (219, 1), (220, 0)]
        {
            let retention = Retention { bytes: Some(bytes), ..Retention::default() };
            assert_eq!(surplus(retention), expected, "{bytes}");
        }
        let age = Some(Duration::from_secs(30));
        let retention = Retention { age, ..Retention::default() };
        assert_eq!([30, 31].map(|s| retention.is_too_old(Duration::from_secs(s))), [false, true]);
    }
}
