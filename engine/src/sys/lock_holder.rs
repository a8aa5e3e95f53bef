//! The process that has locked a file.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

use rustix::fs::{major, minor};

/// Returns the process that has locked a file with flock(2), as `/proc/locks` shows it; `None` if
/// it does not, as for a file of a network or an overlay, or for a process of another PID
/// namespace.
pub(crate) fn lock_holder(file: &File) -> Option<u32> {
    let metadata = file.metadata().ok()?;
    let (device, inode) = (metadata.dev(), metadata.ino());
    let place = format!("{:02x}:{:02x}:{inode}", major(device), minor(device));
    holder_in(&fs::read_to_string("/proc/locks").ok()?, &place)
}

/// Finds a lock by its place: lines of number, kind, `ADVISORY`, `WRITE`, process, place, range
/// (`proc_locks(5)`).
fn holder_in(locks: &str, place: &str) -> Option<u32> {
    locks.lines().find_map(|line| {
        let words: Vec<_> = line.split_whitespace().collect();
        let is_it = words.get(1) == Some(&"FLOCK") && words.get(5) == Some(&place);
        words.get(4).filter(|_| is_it)?.parse().ok().filter(|id| *id != 0)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_found_by_device_and_inode() {
        let locks = "1: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF\n\
                     2: POSIX  ADVISORY  WRITE 12 08:01:132 0 EOF\n\
                     3: FLOCK  ADVISORY  WRITE 0 08:01:133 0 EOF\n";
        assert_eq!(holder_in(locks, "08:01:131"), Some(4711));
        for other in ["08:01:13", "08:01:132", "08:01:133"] {
            assert_eq!(holder_in(locks, other), None, "{other}");
        }
    }
}
