//! Copies of outer frames, with their outcomes, on the way from a worker to a reader of
//! `vxtap tail --outer`.
//!
//! A queue exists only while somebody reads it. The worker locks it for a batch, not for a frame,
//! and the reader takes everything in it at once; a frame for which there is no room is lost for
//! this reader alone.

use std::mem;
use std::sync::{Arc, Mutex};

use crate::drop_reason::DropReason;
use crate::sys::lock;

/// Largest number of bytes that wait in a queue.
const CAPACITY: usize = 4 << 20;

/// A copied frame, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CopiedFrame {
    /// Arrival, in nanoseconds since 1970-01-01 UTC.
    pub(crate) timestamp_ns: u64,
    /// Number of its bytes.
    len: u32,
    /// Reason for which it was not delivered; `None` if it was.
    pub(crate) dropped: Option<DropReason>,
}

/// Copied frames in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct CopiedFrames {
    frames: Vec<CopiedFrame>,
    /// The bytes of all frames, one after the other.
    bytes: Vec<u8>,
    /// Number of frames for which there was no room.
    lost: u64,
}

impl CopiedFrames {
    /// Appends a frame that lies in these parts.
    pub(crate) fn push<'a>(&mut self, timestamp_ns: u64, parts: impl Iterator<Item = &'a [u8]>) {
        let start = self.bytes.len();
        parts.for_each(|part| self.bytes.extend_from_slice(part));
        let len = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.frames.push(CopiedFrame { timestamp_ns, len, dropped: None });
    }

    /// Returns the frames without their bytes.
    pub(crate) fn frames_mut(&mut self) -> &mut [CopiedFrame] {
        &mut self.frames
    }

    /// Returns the frames with their bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (CopiedFrame, &[u8])> {
        let mut rest = &self.bytes[..];
        self.frames.iter().map(move |&frame| {
            let (bytes, behind) = rest.split_at(frame.len as usize);
            rest = behind;
            (frame, bytes)
        })
    }

    /// Returns the first frames that have no more than `room` bytes together, and their bytes.
    fn first_within(&self, room: usize) -> (&[CopiedFrame], &[u8]) {
        if self.bytes.len() <= room {
            return (&self.frames, &self.bytes);
        }
        let mut end = 0;
        let fits = |frame: &&CopiedFrame| {
            let is_within = end + frame.len as usize <= room;
            end += if is_within { frame.len as usize } else { 0 };
            is_within
        };
        let count = self.frames.iter().take_while(fits).count();
        (&self.frames[..count], &self.bytes[..end])
    }

    /// Returns the number of frames.
    pub(crate) const fn len(&self) -> usize {
        self.frames.len()
    }

    /// Returns the number of frames for which there was no room.
    pub(crate) const fn lost(&self) -> u64 {
        self.lost
    }

    /// Removes everything, and keeps the memory.
    pub(crate) fn clear(&mut self) {
        self.frames.clear();
        self.bytes.clear();
        self.lost = 0;
    }
}

/// The worker's end of a queue. Dropped when the worker ends or the reader has gone.
#[derive(Debug)]
pub(crate) struct OuterSender(Arc<Mutex<CopiedFrames>>);

/// The reader's end of a queue.
#[derive(Debug)]
pub(crate) struct OuterReceiver(Arc<Mutex<CopiedFrames>>);

/// Returns the ends of an empty queue.
pub(crate) fn outer_queue() -> (OuterSender, OuterReceiver) {
    let queue = Arc::<Mutex<CopiedFrames>>::default();
    (OuterSender(queue.clone()), OuterReceiver(queue))
}

impl OuterSender {
    /// Returns whether the reader has gone.
    pub(crate) fn is_reader_gone(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Returns whether there is room for another frame.
    pub(crate) fn has_room(&self) -> bool {
        lock(&self.0).bytes.len() < CAPACITY
    }

    /// Counts frames as lost.
    pub(crate) fn lose(&self, frames: usize) {
        lock(&self.0).lost += frames as u64;
    }

    /// Appends copies of frames, the first ones for which there is room, and counts the others as
    /// lost.
    pub(crate) fn send(&self, batch: &CopiedFrames) {
        let mut queue = lock(&self.0);
        let room = CAPACITY.saturating_sub(queue.bytes.len());
        let (frames, bytes) = batch.first_within(room);
        queue.frames.extend_from_slice(frames);
        queue.bytes.extend_from_slice(bytes);
        queue.lost += (batch.frames.len() - frames.len()) as u64;
    }
}

impl OuterReceiver {
    /// Returns whether the worker has ended: what [`Self::take`] returns then is the last.
    pub(crate) fn has_ended(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Keeps the worker from handing on anything.
    #[cfg(test)]
    pub(crate) fn hold(&self) -> std::sync::MutexGuard<'_, CopiedFrames> {
        lock(&self.0)
    }

    /// Takes everything, into the place of frames that are no longer used.
    pub(crate) fn take(&self, frames: &mut CopiedFrames) {
        frames.clear();
        mem::swap(&mut *lock(&self.0), frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_batch_that_is_larger_than_the_room_the_first_frames_come_out() {
        let (sender, receiver) = outer_queue();
        let third = vec![0; CAPACITY / 3];
        let mut batch = CopiedFrames::default();
        (0..5).for_each(|time_ns| batch.push(time_ns, std::iter::once(&third[..])));
        sender.send(&batch);
        let mut taken = CopiedFrames::default();
        receiver.take(&mut taken);
        let times: Vec<_> = taken.iter().map(|(frame, _)| frame.timestamp_ns).collect();
        assert_eq!((times, taken.lost()), (vec![0, 1, 2], 2));
    }

    #[test]
    fn what_finds_no_room_is_counted_and_what_was_sent_comes_out_in_order() {
        let (sender, receiver) = outer_queue();
        let mut batch = CopiedFrames::default();
        batch.push(1, [&b"ab"[..], b"c"].into_iter());
        batch.push(2, std::iter::once(&b""[..]));
        batch.frames_mut()[1].dropped = Some(DropReason::NotUdp);
        sender.send(&batch);
        let big = vec![0; CAPACITY];
        let mut large = CopiedFrames::default();
        large.push(3, std::iter::once(&big[..]));
        sender.send(&large);
        assert!(sender.has_room() && !sender.is_reader_gone() && !receiver.has_ended());
        let mut taken = CopiedFrames::default();
        receiver.take(&mut taken);
        let seen: Vec<_> =
            taken.iter().map(|(frame, bytes)| (frame.timestamp_ns, frame.dropped, bytes)).collect();
        assert_eq!(seen, [(1, None, &b"abc"[..]), (2, Some(DropReason::NotUdp), b"")]);
        assert_eq!(taken.lost(), 1);
        sender.send(&large);
        assert!(!sender.has_room());
        receiver.take(&mut taken);
        assert_eq!((taken.len(), taken.lost()), (1, 0));
        drop(sender);
        assert!(receiver.has_ended());
    }
}
