//! Selects the files to delete, by count, size and age.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

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

/// A completed file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RetainedFile {
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

    /// Deletes completed files that exceed a limit, the least recently written first.
    pub(super) fn apply(&self, files: Vec<OutputFile>, now: SystemTime) -> io::Result<()> {
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
        for file in &retained[..self.surplus(&retained, now)] {
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// Returns the number of the oldest files that exceed a limit.
    fn surplus(&self, files: &[RetainedFile], now: SystemTime) -> usize {
        let too_many = self.files.map_or(0, |max| files.len().saturating_sub(max));
        let is_too_old = |file: &RetainedFile| {
            let age = now.duration_since(file.modified_at).unwrap_or_default();
            self.age.is_some_and(|max| age > max)
        };
        let too_old = files.iter().take_while(|file| is_too_old(file)).count();
        let mut bytes = 0_u64;
        let newest = files.iter().rev().take_while(|file| {
            bytes = bytes.saturating_add(file.bytes);
            self.bytes.is_none_or(|max| bytes <= max)
        });
        too_many.max(too_old).max(files.len() - newest.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_too_many_by_number_by_length_and_by_age() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let files: Vec<_> = [(10, 100), (20, 50), (30, 70)]
            .into_iter()
            .map(|(seconds, bytes)| RetainedFile {
                modified_at: at(seconds),
                path: PathBuf::new(),
                bytes,
            })
            .collect();
        let surplus = |retention: Retention| retention.surplus(&files, at(40));
        assert_eq!(surplus(Retention::default()), 0);
        for (max, expected) in [(1, 2), (2, 1), (3, 0), (9, 0)] {
            assert_eq!(surplus(Retention { files: Some(max), ..Retention::default() }), expected);
        }
        for (bytes, expected) in [(0, 3), (69, 3), (70, 2), (119, 2), (120, 1), (219, 1), (220, 0)]
        {
            assert_eq!(
                surplus(Retention { bytes: Some(bytes), ..Retention::default() }),
                expected,
                "{bytes}"
            );
        }
        for (seconds, expected) in [(9, 3), (10, 2), (29, 1), (30, 0)] {
            let age = Some(Duration::from_secs(seconds));
            assert_eq!(surplus(Retention { age, ..Retention::default() }), expected, "{seconds}");
        }
    }
}
