//! Keeps the last part of the file system's space for declared sessions.

use std::fmt::Display;
use std::time::{Duration, Instant};

use rustix::fs::StatVfs;

use super::loss_report::LogFn;

/// Smallest space above the floor, in bytes, in which frames of undeclared senders are written.
const MARGIN_BYTES: u64 = 1 << 18;
/// Part of the space above the floor that may be used before the next look: other outputs may write
/// to the same file system.
const ALLOWANCE_DIVISOR: u64 = 4;
/// Bytes of a block in addition to those of its frame.
const BLOCK_OVERHEAD: u64 = 44;
/// Time without a refused frame after which enough space counts as free again.
const QUIET: Duration = Duration::from_secs(10);

/// Decides whether frames of undeclared senders are written.
pub(super) struct SpaceFloor {
    percent: u32,
    log: LogFn,
    /// Bytes that undeclared senders may take before the next look at the file system.
    allowance: u64,
    /// `true` if the last look found too little space.
    is_low: bool,
    shortage: Option<Shortage>,
}

/// A time with too little space.
struct Shortage {
    refused: u64,
    /// `refused` at the last tick, and the time since which it has not changed.
    last: u64,
    quiet_since: Instant,
}

impl SpaceFloor {
    /// Returns a floor in percent of the file system; 0: none.
    pub(super) fn new(percent: u32, log: LogFn) -> Self {
        Self { percent, log, allowance: 0, is_low: false, shortage: None }
    }

    /// Returns whether a frame of an undeclared sender may be written as far as the last look at
    /// the file system says, and takes its bytes from the allowance.
    pub(super) fn admits(&mut self, frame_len: u32) -> bool {
        let needed = u64::from(frame_len) + BLOCK_OVERHEAD;
        let is_enough = self.allowance >= needed;
        if is_enough {
            self.allowance -= needed;
        }
        is_enough
    }

    /// Returns whether a look at the file system can change the answer before the next tick.
    pub(super) const fn may_look_again(&self) -> bool {
        !self.is_low
    }

    /// Takes the result of a look at the file system: `None` if there is no floor, for example
    /// because it cannot be found out or because no session is declared. `waiting` bytes are not
    /// written yet.
    pub(super) fn looked(&mut self, space: Option<&StatVfs>, waiting: u64) {
        let Some(space) = space.filter(|_| self.percent > 0) else {
            (self.allowance, self.is_low) = (u64::MAX, false);
            return;
        };
        let above = bytes_above_floor(space, self.percent).saturating_sub(waiting);
        self.is_low = above < MARGIN_BYTES;
        self.allowance = if self.is_low { 0 } else { above / ALLOWANCE_DIVISOR };
    }

    /// Counts a frame that is not written for lack of space.
    pub(super) fn refuse(&mut self, directory: impl Display, now: Instant) {
        let percent = self.percent;
        let shortage = self.shortage.get_or_insert_with(|| {
            (self.log)(format!(
                "less than {percent} % of the file system of {directory} is free: frames of undeclared senders are not written until there is more, so that declared sessions have room"
            ));
            Shortage { refused: 0, last: 0, quiet_since: now }
        });
        shortage.refused += 1;
    }

    /// Reports the end of a shortage; to be called every 250 ms or more often.
    pub(super) fn tick(&mut self, now: Instant) {
        let Some(Shortage { refused, last, quiet_since }) = &mut self.shortage else { return };
        if *refused != *last {
            (*last, *quiet_since) = (*refused, now);
        } else if !self.is_low && now.saturating_duration_since(*quiet_since) >= QUIET {
            (self.log)(format!(
                "there is enough space for undeclared senders again; {refused} of their frames were not written"
            ));
            self.shortage = None;
        }
    }
}

/// Returns the bytes that may be used until the floor is reached; none if there are fewer free
/// inodes than the same percentage.
fn bytes_above_floor(space: &StatVfs, percent: u32) -> u64 {
    let is_below =
        |free: u64, all: u64| u128::from(free) * 100 < u128::from(all) * u128::from(percent);
    // A file system without a fixed number of inodes states 0.
    if is_below(space.f_favail, space.f_files) {
        return 0;
    }
    let floor = u128::from(space.f_blocks) * u128::from(percent) / 100;
    let blocks = u128::from(space.f_bavail).saturating_sub(floor);
    u64::try_from(blocks * u128::from(space.f_frsize)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use rustix::fs::StatVfsMountFlags;

    use super::*;

    fn space(free_mib: u64, free_inodes: u64) -> StatVfs {
        StatVfs {
            f_bsize: 4096,
            f_frsize: 4096,
            f_blocks: 1000 * 256,
            f_bfree: 1000 * 256,
            f_bavail: free_mib * 256,
            f_files: 1000,
            f_ffree: 1000,
            f_favail: free_inodes,
            f_fsid: 0,
            f_flag: StatVfsMountFlags::empty(),
            f_namemax: 255,
        }
    }

    #[test]
    fn undeclared_senders_may_use_what_is_above_the_floor_and_look_before_they_reach_it() {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let sink = messages.clone();
        let log: LogFn = Arc::new(move |message| sink.lock().unwrap().push(message));
        let mut floor = SpaceFloor::new(5, log);
        assert!(!floor.admits(60) && floor.may_look_again(), "nothing is known yet");
        floor.looked(Some(&space(54, 1000)), 0);
        let frame = (1 << 20) - u32::try_from(BLOCK_OVERHEAD).unwrap();
        assert_eq!([(); 2].map(|()| floor.admits(frame)), [true, false], "a quarter of 4 MiB");
        floor.looked(Some(&space(54, 1000)), 4 << 20);
        assert!(!floor.admits(60) && !floor.may_look_again(), "what waits counts");
        for (free_mib, free_inodes, expected) in [
            (50, 1000, false),
            (51, 1000, true),
            (1, 1000, false),
            (500, 49, false),
            (500, 50, true),
        ] {
            floor.looked(Some(&space(free_mib, free_inodes)), 0);
            assert_eq!(floor.admits(60), expected, "{free_mib} MiB, {free_inodes} inodes");
        }
        floor.looked(None, 0);
        assert!(floor.admits(u32::MAX));
        let start = Instant::now();
        floor.looked(Some(&space(1, 1000)), 0);
        (0..3).for_each(|_| floor.refuse("dir", start));
        floor.tick(start);
        floor.looked(Some(&space(500, 1000)), 0);
        (1..=10).for_each(|seconds| floor.tick(start + Duration::from_secs(seconds)));
        let messages = messages.lock().unwrap();
        let [begin, end] = &messages[..] else { panic!("{messages:?}") };
        assert!(begin.starts_with("less than 5 % of the file system of dir is free"), "{begin}");
        assert!(end.ends_with("; 3 of their frames were not written"), "{end}");
    }
}
