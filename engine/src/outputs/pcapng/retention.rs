//! Which files are kept.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use super::directory::{self, Own};
use super::name::ZST;
use crate::config::PcapngFiles;

/// How many files, how many bytes of them, and for how long.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Retention {
    files: Option<usize>,
    bytes: Option<u64>,
    time: Option<Duration>,
}

/// A whole file.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct RetainedFile {
    written_at: SystemTime,
    path: PathBuf,
    bytes: u64,
}

impl Retention {
    pub(super) fn new(files: &PcapngFiles) -> Self {
        Self {
            files: files.keep_files.map(|files| files as usize),
            bytes: files.keep_mib.map(|mib| u64::from(mib) << 20),
            time: files.keep_s.map(|seconds| Duration::from_secs(seconds.into())),
        }
    }

    /// Whether it is to be looked at the files although no other one has come.
    pub(super) const fn has_time(&self) -> bool {
        self.time.is_some()
    }

    pub(super) fn is_everything(&self) -> bool {
        *self == Self::default()
    }

    /// Deletes what is too much of the whole files among `own`, those first that were written to
    /// longest ago.
    pub(super) fn apply(&self, own: Vec<Own>, now: SystemTime) -> io::Result<()> {
        // What is compressed already and still there is about to go.
        let compressed = own.iter().filter(|file| file.is_whole && file.is_compressed());
        let compressed: HashSet<_> = compressed.map(|file| file.path.clone()).collect();
        let is_kept = |file: &Own| {
            file.is_whole && !compressed.contains(&directory::with_suffix(&file.path, ZST))
        };
        let mut kept = Vec::new();
        for file in own.into_iter().filter(is_kept) {
            match fs::metadata(&file.path) {
                Ok(it) => kept.push(RetainedFile {
                    written_at: it.modified()?,
                    path: file.path,
                    bytes: it.len(),
                }),
                // Somebody has taken it away meanwhile.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        kept.sort();
        for file in &kept[..self.surplus(&kept, now)] {
            match fs::remove_file(&file.path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    /// How many of the oldest are too many.
    fn surplus(&self, kept: &[RetainedFile], now: SystemTime) -> usize {
        let too_many = self.files.map_or(0, |files| kept.len().saturating_sub(files));
        let is_too_old = |file: &RetainedFile| {
            let age = now.duration_since(file.written_at).unwrap_or_default();
            self.time.is_some_and(|time| age > time)
        };
        let too_old = kept.iter().take_while(|file| is_too_old(file)).count();
        let mut bytes = 0_u64;
        let newest = kept.iter().rev().take_while(|file| {
            bytes = bytes.saturating_add(file.bytes);
            self.bytes.is_none_or(|most| bytes <= most)
        });
        too_many.max(too_old).max(kept.len() - newest.count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_are_too_many_by_number_by_length_and_by_age() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let kept: Vec<_> = [(10, 100), (20, 50), (30, 70)]
            .into_iter()
            .map(|(seconds, bytes)| RetainedFile {
                written_at: at(seconds),
                path: PathBuf::new(),
                bytes,
            })
            .collect();
        let surplus = |keep: Retention| keep.surplus(&kept, at(40));
        assert_eq!(surplus(Retention::default()), 0);
        for (files, expected) in [(1, 2), (2, 1), (3, 0), (9, 0)] {
            assert_eq!(surplus(Retention { files: Some(files), ..Retention::default() }), expected);
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
            let time = Some(Duration::from_secs(seconds));
            assert_eq!(surplus(Retention { time, ..Retention::default() }), expected, "{seconds}");
        }
    }
}
