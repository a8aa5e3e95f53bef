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
pub(crate) struct OuterFrame {
    /// Arrival, in nanoseconds since 1970-01-01 UTC.
    pub(crate) timestamp_ns: u64,
    /// Number of its bytes.
    len: u32,
    /// Reason for which it was not delivered; `None` if it was.
    pub(crate) dropped: Option<DropReason>,
}

/// Copied frames in order of arrival.
#[derive(Debug, Default)]
pub(crate) struct OuterFrames {
    frames: Vec<OuterFrame>,
    /// The bytes of all frames, one after the other.
    bytes: Vec<u8>,
    /// Number of frames for which there was no room.
    lost: u64,
}

impl OuterFrames {
    /// Appends a frame that lies in these parts.
    pub(crate) fn push<'a>(&mut self, timestamp_ns: u64, parts: impl Iterator<Item = &'a [u8]>) {
        let start = self.bytes.len();
        parts.for_each(|part| self.bytes.extend_from_slice(part));
        let len = u32::try_from(self.bytes.len() - start).unwrap_or(u32::MAX);
        self.frames.push(OuterFrame { timestamp_ns, len, dropped: None });
    }

    /// Returns the frames without their bytes.
    pub(crate) fn frames_mut(&mut self) -> &mut [OuterFrame] {
        &mut self.frames
    }

    /// Returns the frames with their bytes.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (OuterFrame, &[u8])> {
        let mut rest = &self.bytes[..];
        self.frames.iter().map(move |&frame| {
            let (bytes, behind) = rest.split_at(frame.len as usize);
            rest = behind;
            (frame, bytes)
        })
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
pub(crate) struct OuterSender(Arc<Mutex<OuterFrames>>);

/// The reader's end of a queue.
#[derive(Debug)]
pub(crate) struct OuterReceiver(Arc<Mutex<OuterFrames>>);

/// Returns the ends of an empty queue.
pub(crate) fn outer_queue() -> (OuterSender, OuterReceiver) {
    let queue = Arc::<Mutex<OuterFrames>>::default();
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

    /// Appends copies of frames if there is room for all of them, and counts them as lost if not.
    pub(crate) fn send(&self, batch: &OuterFrames) {
        let mut queue = lock(&self.0);
        if queue.bytes.len() + batch.bytes.len() > CAPACITY {
            queue.lost += batch.frames.len() as u64;
            return;
        }
        queue.frames.extend_from_slice(&batch.frames);
        queue.bytes.extend_from_slice(&batch.bytes);
    }
}

impl OuterReceiver {
    /// Returns whether the worker has ended: what [`Self::take`] returns then is the last.
    pub(crate) fn has_ended(&self) -> bool {
        Arc::strong_count(&self.0) == 1
    }

    /// Takes everything, into the place of frames that are no longer used.
    pub(crate) fn take(&self, frames: &mut OuterFrames) {
        frames.clear();
        mem::swap(&mut *lock(&self.0), frames);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_finds_no_room_is_counted_and_what_was_sent_comes_out_in_order() {
        let (sender, receiver) = outer_queue();
        let mut batch = OuterFrames::default();
        batch.push(1, [&b"ab"[..], b"c"].into_iter());
        batch.push(2, std::iter::once(&b""[..]));
        batch.frames_mut()[1].dropped = Some(DropReason::NotUdp);
        sender.send(&batch);
        let big = vec![0; CAPACITY];
        let mut large = OuterFrames::default();
        large.push(3, std::iter::once(&big[..]));
        sender.send(&large);
        assert!(sender.has_room() && !sender.is_reader_gone() && !receiver.has_ended());
        let mut taken = OuterFrames::default();
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
