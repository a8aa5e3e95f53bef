//! Merging: frames of several rings in the order of their times.
//!
//! A frame that arrived earlier may be published later, by another worker. So a frame waits until
//! each ring has shown one that is as late or later, which ends the wait at once while all queues
//! have traffic, or until it is as old as the window. One whose predecessors take longer comes out
//! of order, and is counted. No frame waits where its ring is half full: an order is not worth a
//! loss. For a queue without traffic frames wait a shorter time, since they would wait for it
//! always.
//!
//! When the clock is set back by more than the window, the times before and after the step cannot
//! be compared. Frames from before it, whose times lie ahead of the clock, come first and at once,
//! and what is known of the queues is forgotten.

use super::Reader;

/// Time without frames after which a queue counts as idle, in nanoseconds.
const IDLE_AFTER_NS: u64 = 1_000_000_000;
/// Longest wait for an idle queue, in nanoseconds: its worker sleeps, and is scheduled sooner after
/// its first frame than one that has used up its time slice.
const IDLE_WAIT_NS: u64 = 10_000_000;

/// A frame of a merged batch: the index of its reader, and that of its first descriptor among those
/// that are not released.
#[derive(Clone, Copy, Debug)]
pub(super) struct MergedFrame {
    pub(super) reader: u32,
    pub(super) nth: u32,
}

/// The frames of a batch that is taken from several rings.
#[derive(Debug)]
pub(super) struct Merge {
    window_ns: u64,
    frames: Vec<MergedFrame>,
    /// By reader: descriptors that are taken.
    counts: Vec<u64>,
    /// By reader: time of the last frame that was taken from it.
    last_by_reader_ns: Vec<u64>,
    /// Time of the last frame.
    last_ns: u64,
    /// Time at which traffic began after a quiet time of all queues.
    began_ns: u64,
    /// Later frames are older than a backward step of the clock.
    latest_ns: u64,
    out_of_order: u64,
}

impl Merge {
    /// Makes a merge in which frames wait up to `window_ns` nanoseconds for earlier ones; 0:
    /// nothing is merged.
    pub(super) const fn new(window_ns: u64) -> Self {
        Self {
            window_ns,
            frames: Vec::new(),
            counts: Vec::new(),
            last_by_reader_ns: Vec::new(),
            last_ns: 0,
            began_ns: 0,
            latest_ns: u64::MAX,
            out_of_order: 0,
        }
    }

    /// Returns whether rings are to be merged.
    pub(super) const fn is_on(&self) -> bool {
        self.window_ns > 0
    }

    /// Returns the chosen frames, in their order.
    pub(super) fn frames(&self) -> &[MergedFrame] {
        &self.frames
    }

    /// Returns, by reader, the number of descriptors of the chosen frames.
    pub(super) fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// Returns the number of frames that were earlier than one before them.
    pub(super) const fn out_of_order(&self) -> u64 {
        self.out_of_order
    }

    /// Chooses up to `max` frames that need not wait any longer at `now_ns`, nanoseconds since
    /// 1970-01-01 UTC; returns whether there are any. A ring whose worker has ended is waited for
    /// no longer.
    pub(super) fn choose(&mut self, readers: &mut [Reader], max: usize, now_ns: u64) -> bool {
        self.frames.clear();
        self.counts.clear();
        self.counts.resize(readers.len(), 0);
        self.last_by_reader_ns.resize(readers.len(), 0);
        let is_half_full = readers.iter_mut().any(Reader::is_half_full);
        self.latest_ns = now_ns.saturating_add(self.window_ns);
        if self.last_ns > self.latest_ns {
            self.forget(now_ns);
        }
        if now_ns.saturating_sub(self.last_ns) > IDLE_AFTER_NS {
            self.began_ns = now_ns;
        }
        // An empty ring may still get a frame, though not one that is earlier than its last: those
        // of a queue are in order. A ring that is not empty shows the next one itself.
        let mut complete_ns = u64::MAX;
        for (reader, last_ns) in readers.iter_mut().zip(&self.last_by_reader_ns) {
            if reader.available() == 0 && !reader.is_finished() {
                complete_ns = complete_ns.min(self.complete_ns(*last_ns, now_ns));
            }
        }
        while self.frames.len() < max
            && let Some((index, time_ns)) = self.earliest(readers)
            && (time_ns <= complete_ns || time_ns > self.latest_ns || is_half_full)
        {
            self.take(&readers[index], index, time_ns);
            if self.counts[index] == readers[index].peeked() {
                complete_ns = complete_ns.min(self.complete_ns(time_ns, now_ns));
            }
        }
        !self.frames.is_empty()
    }

    /// Returns the time up to which frames need not wait for a queue whose last frame is from
    /// `last_ns`. No queue counts as idle in the first second of traffic: all workers wake up then.
    fn complete_ns(&self, last_ns: u64, now_ns: u64) -> u64 {
        let is_idle = now_ns.saturating_sub(last_ns.max(self.began_ns)) > IDLE_AFTER_NS;
        let wait_ns = if is_idle { self.window_ns.min(IDLE_WAIT_NS) } else { self.window_ns };
        last_ns.max(now_ns.saturating_sub(wait_ns))
    }

    /// Forgets the times of all frames, as the clock was set back.
    #[cold]
    fn forget(&mut self, now_ns: u64) {
        (self.last_ns, self.began_ns) = (0, now_ns);
        self.last_by_reader_ns.fill(0);
    }

    fn take(&mut self, reader: &Reader, index: usize, time_ns: u64) {
        let mut nth = self.counts[index];
        let frame = MergedFrame {
            reader: u32::try_from(index).unwrap_or(u32::MAX),
            nth: u32::try_from(nth).unwrap_or(u32::MAX),
        };
        self.frames.push(frame);
        while reader.descriptor(nth).continues() {
            nth += 1;
        }
        self.counts[index] = nth + 1;
        if time_ns > self.latest_ns {
            return;
        }
        self.out_of_order += u64::from(time_ns < self.last_ns);
        self.last_ns = self.last_ns.max(time_ns);
        let last_ns = &mut self.last_by_reader_ns[index];
        *last_ns = time_ns.max(*last_ns);
    }

    /// Returns the index of the reader whose next frame is the earliest, and that frame's time.
    fn earliest(&self, readers: &[Reader]) -> Option<(usize, u64)> {
        let next = |(index, (reader, &count)): (usize, (&Reader, &u64))| {
            (count < reader.peeked()).then(|| (index, reader.descriptor(count).timestamp_ns))
        };
        let heads = readers.iter().zip(&self.counts).enumerate().filter_map(next);
        heads.min_by_key(|&(_, time_ns)| (time_ns <= self.latest_ns, time_ns))
    }
}

#[cfg(test)]
mod tests {
    use super::super::test_ring::{TestRing, test_ring};
    use super::super::{Batch, Descriptor};
    use super::*;

    const HOUR_NS: u64 = 3_600_000_000_000;
    const WINDOW_NS: u64 = 100_000_000;

    fn push(ring: &mut TestRing, timestamp_ns: u64) {
        ring.push(&[], &[b"frame"], Descriptor { timestamp_ns, ..Descriptor::default() });
    }

    /// Takes the frames that need not wait any longer at `now_ns`, and returns their times.
    fn taken(merge: &mut Merge, readers: &mut [Reader], now_ns: u64) -> Vec<u64> {
        if !merge.choose(readers, 64, now_ns) {
            return Vec::new();
        }
        Batch::merged(readers, merge).iter().map(|frame| frame.timestamp_ns()).collect()
    }

    #[test]
    fn after_the_clock_was_set_back_frames_are_brought_into_order_at_once() {
        let ((mut zero, zero_reader), (mut one, one_reader)) = (test_ring(64), test_ring(64));
        let (mut readers, mut merge) = ([zero_reader, one_reader], Merge::new(WINDOW_NS));
        let before = 9 * HOUR_NS;
        push(&mut zero, before);
        push(&mut one, before);
        assert_eq!(taken(&mut merge, &mut readers, before + WINDOW_NS), [before; 2]);
        let now = before - HOUR_NS;
        push(&mut zero, now + 1);
        let nothing = taken(&mut merge, &mut readers, now + 2);
        assert_eq!(nothing, [0; 0], "the other ring may have an earlier one");
        push(&mut one, now);
        assert_eq!(taken(&mut merge, &mut readers, now + 2), [now]);
        assert_eq!(taken(&mut merge, &mut readers, now + 1 + WINDOW_NS), [now + 1]);
        assert_eq!(merge.out_of_order(), 0);
    }

    #[test]
    fn no_frame_waits_until_a_clock_that_was_set_back_has_caught_up() {
        let ((mut zero, zero_reader), (mut one, one_reader)) = (test_ring(64), test_ring(64));
        let (mut readers, mut merge) = ([zero_reader, one_reader], Merge::new(WINDOW_NS));
        let (before, now) = (9 * HOUR_NS, 8 * HOUR_NS);
        push(&mut zero, before + 1);
        push(&mut zero, now + 1);
        push(&mut one, before);
        push(&mut one, now);
        let expected = [before, before + 1, now];
        assert_eq!(taken(&mut merge, &mut readers, now + 2), expected, "`now + 1` has to wait");
        assert_eq!(taken(&mut merge, &mut readers, now + 1 + WINDOW_NS), [now + 1]);
        assert_eq!(merge.out_of_order(), 0);
    }

    #[test]
    fn frames_wait_for_an_idle_queue_much_shorter_than_for_one_with_traffic() {
        const MS: u64 = 1_000_000;
        let merge = Merge { began_ns: 5000 * MS, ..Merge::new(100 * MS) };
        for (last, now, expected, queue) in [
            (0, 5500, 5400, "has not begun yet"),
            (0, 6500, 6490, "is idle"),
            (6200, 6500, 6400, "has sparse traffic"),
            (6450, 6500, 6450, "has just shown a later frame"),
        ] {
            assert_eq!(merge.complete_ns(last * MS, now * MS), expected * MS, "{queue}");
        }
        let merge = Merge { began_ns: 5000 * MS, ..Merge::new(MS) };
        assert_eq!(merge.complete_ns(0, 6500 * MS), 6499 * MS, "no longer than the window");
    }
}
