//! Merging: frames of several rings in the order of their times.
//!
//! A frame that arrived earlier may be published later, by another worker. So a frame waits until
//! it is as old as the window, or until each ring has shown something later; one whose predecessors
//! take longer than the window comes out of order, and is counted. No frame waits where its ring is
//! half full: an order is not worth a loss.

use super::Reader;

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
    /// Time of the last frame.
    last_ns: u64,
    out_of_order: u64,
}

impl Merge {
    /// Makes a merge in which frames wait up to `window_ns` nanoseconds for earlier ones; 0:
    /// nothing is merged.
    pub(super) const fn new(window_ns: u64) -> Self {
        Self { window_ns, frames: Vec::new(), counts: Vec::new(), last_ns: 0, out_of_order: 0 }
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
        let is_half_full = readers.iter_mut().any(Reader::is_half_full);
        let release_ns =
            if is_half_full { u64::MAX } else { now_ns.saturating_sub(self.window_ns) };
        // A ring that is empty may still get a frame from within the window; one that is not shows
        // the next one itself.
        let mut may_earlier_come =
            readers.iter_mut().any(|reader| reader.available() == 0 && !reader.is_finished());
        while self.frames.len() < max
            && let Some((index, time_ns)) = earliest(readers, &self.counts)
            && (!may_earlier_come || time_ns <= release_ns)
        {
            self.take(&readers[index], index, time_ns);
            may_earlier_come |= self.counts[index] == readers[index].peeked();
        }
        !self.frames.is_empty()
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
        self.out_of_order += u64::from(time_ns < self.last_ns);
        self.last_ns = self.last_ns.max(time_ns);
    }
}

/// Returns the index of the reader whose next frame is the earliest, and that frame's time.
fn earliest(readers: &[Reader], counts: &[u64]) -> Option<(usize, u64)> {
    let next = |(index, (reader, &count)): (usize, (&Reader, &u64))| {
        (count < reader.peeked()).then(|| (index, reader.descriptor(count).timestamp_ns))
    };
    readers.iter().zip(counts).enumerate().filter_map(next).min_by_key(|(_, time_ns)| *time_ns)
}
