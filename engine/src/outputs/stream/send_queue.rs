//! The records that wait for a reader, and the thread that writes them.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::encoder::Records;
use super::stream_writer::StreamWriter;

use crate::sys::lock;

/// Interval at which a thread that waits for its reader checks whether to give up.
const CHECK_INTERVAL: Duration = Duration::from_millis(100);
/// Shorter records are combined, so that many small ones cost one system call.
const COMBINE_MIN: usize = 1 << 16;

/// Queue between the fan-out, which adds records, and the thread of a reader, which writes them.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// Bytes that were added and not written.
    queued: AtomicUsize,
    /// Bytes that were written.
    written: AtomicU64,
    /// Frames that were added.
    put: AtomicU64,
    /// Frames that are written to their last byte.
    sent: AtomicU64,
}

#[derive(Debug, Default)]
struct QueueState {
    pieces: VecDeque<Records>,
    word: Word,
    /// Nothing is written any more.
    is_closed: bool,
    /// The error that ended the writing, other than a reader that detached.
    failure: Option<String>,
}

/// Command to the thread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Word {
    #[default]
    GoOn,
    /// Write the rest, then end.
    Finish,
    /// End at once.
    Abort,
}

impl SendQueue {
    /// Starts the thread, which writes to `writer`.
    pub(super) fn open(writer: Arc<StreamWriter>) -> io::Result<Arc<Self>> {
        let queue = Arc::new(Self::default());
        let own = queue.clone();
        // Detached: its descriptor may be stuck in the kernel.
        thread::Builder::new().name("vxtap-reader".to_owned()).spawn(move || own.run(&writer))?;
        Ok(queue)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        lock(&self.state)
    }

    /// Adds records.
    pub(super) fn put(&self, records: Records) {
        self.queued.fetch_add(records.bytes.len(), Ordering::Relaxed);
        self.put.fetch_add(records.ends.len() as u64, Ordering::Relaxed);
        let mut state = self.lock();
        match state.pieces.back_mut() {
            Some(last) if last.bytes.len() + records.bytes.len() <= COMBINE_MIN => {
                last.append(&records);
            }
            _ => state.pieces.push_back(records),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Returns the bytes that were added and not written.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that were written.
    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Returns the number of frames that were added.
    pub(super) fn added(&self) -> u64 {
        self.put.load(Ordering::Relaxed)
    }

    /// Returns the number of frames that are written to their last byte.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Tells the thread that no more records follow.
    pub(super) fn finish(&self) {
        self.report_change(Word::Finish);
    }

    /// Tells the thread to stop waiting for the reader.
    pub(super) fn abort(&self) {
        self.report_change(Word::Abort);
    }

    fn report_change(&self, word: Word) {
        self.lock().word = word;
        self.changed.notify_one();
    }

    /// Returns whether nothing is written any more.
    pub(super) fn is_closed(&self) -> bool {
        self.lock().is_closed
    }

    /// Returns the error that ended the writing, other than a reader that detached.
    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn run(&self, writer: &StreamWriter) {
        let mut written = Ok(());
        while written.is_ok()
            && let Some(records) = self.next()
        {
            written = self.write(writer, &records);
        }
        writer.finish();
        let mut state = self.lock();
        state.is_closed = true;
        state.failure =
            written.err().filter(|error| !is_disconnected(error)).map(|error| error.to_string());
    }

    /// Waits for records; `None` if there are no more.
    fn next(&self) -> Option<Records> {
        let mut state = self.lock();
        loop {
            if state.word == Word::Abort {
                return None;
            }
            if let Some(records) = state.pieces.pop_front() {
                return Some(records);
            }
            if state.word == Word::Finish {
                return None;
            }
            state = self.changed.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn write(&self, writer: &StreamWriter, records: &Records) -> io::Result<()> {
        let (mut rest, mut ends) = (&records.bytes[..], &records.ends[..]);
        while !rest.is_empty() {
            match writer.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    let written = records.bytes.len() - rest.len();
                    let frames = ends.partition_point(|end| *end <= written);
                    ends = &ends[frames..];
                    self.sent.fetch_add(frames as u64, Ordering::Relaxed);
                    self.queued.fetch_sub(count, Ordering::Relaxed);
                    self.written.fetch_add(count as u64, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lock().word == Word::Abort {
                        return Err(error);
                    }
                    writer.wait(CHECK_INTERVAL)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Returns whether the error means that the reader has detached or was given up.
fn is_disconnected(error: &io::Error) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, NotConnected, WouldBlock};
    matches!(
        error.kind(),
        BrokenPipe | ConnectionAborted | ConnectionReset | NotConnected | WouldBlock
    )
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::time::Instant;

    use super::*;

    fn records(len: usize, frames: usize) -> Records {
        Records {
            bytes: vec![7; len * frames],
            ends: (1..=frames).map(|frame| frame * len).collect(),
        }
    }

    fn until(condition: impl Fn() -> bool) {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < Duration::from_secs(10));
            thread::sleep(Duration::from_millis(1));
        }
    }

    #[test]
    fn a_frame_is_sent_when_its_last_byte_is() {
        let (mut reader, writer) = UnixStream::pair().unwrap();
        let queue = SendQueue::open(Arc::new(StreamWriter::Socket(writer.into()))).unwrap();
        // More than the socket takes; one frame is longer than its buffer.
        queue.put(records(1000, 3));
        queue.put(records(4 << 20, 1));
        until(|| queue.sent() == 3);
        assert!(queue.queued() > 0 && !queue.is_closed());
        queue.finish();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        until(|| queue.is_closed());
        assert_eq!((bytes.len(), queue.sent(), queue.queued()), (3000 + (4 << 20), 4, 0));
    }

    #[test]
    fn a_reader_that_stands_still_can_be_given_up_and_one_that_has_gone_is_noticed() {
        let (_reader, writer) = UnixStream::pair().unwrap();
        let queue = SendQueue::open(Arc::new(StreamWriter::Socket(writer.into()))).unwrap();
        queue.put(records(1 << 20, 8));
        queue.finish();
        assert!(!queue.is_closed());
        queue.abort();
        until(|| queue.is_closed());

        let (reader, writer) = UnixStream::pair().unwrap();
        let writer = Arc::new(StreamWriter::Socket(writer.into()));
        let queue = SendQueue::open(writer.clone()).unwrap();
        assert!(!writer.is_gone());
        drop(reader);
        assert!(writer.is_gone());
        queue.put(records(1, 1));
        until(|| queue.is_closed());
        assert_eq!((queue.sent(), queue.failure()), (0, None));
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let queue = SendQueue::open(Arc::new(StreamWriter::File(full.into()))).unwrap();
        queue.put(records(1, 1));
        until(|| queue.is_closed());
        assert_eq!(queue.failure().as_deref(), Some("No space left on device (os error 28)"));
    }
}
