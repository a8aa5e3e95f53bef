//! What waits for a reader, and the thread that writes it.

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use super::encoder::Records;
use super::writer::StreamWriter;

/// How soon a thread that waits for its reader notices that it is to give up.
const TURN: Duration = Duration::from_millis(100);
/// Records shorter than this are put together, so that many small ones cost one call.
const PIECE_MIN: usize = 1 << 16;

/// Between the hub, which puts records in, and the thread of a reader, which writes them.
#[derive(Debug, Default)]
pub(super) struct SendQueue {
    state: Mutex<QueueState>,
    changed: Condvar,
    /// Bytes that are in and not written.
    queued: AtomicUsize,
    /// Frames that were put in.
    put: AtomicU64,
    /// Frames that are written to their last byte.
    sent: AtomicU64,
}

#[derive(Debug, Default)]
struct QueueState {
    pieces: VecDeque<Records>,
    word: Word,
    /// Nothing is written any more.
    is_over: bool,
    /// Why not, if it is neither that all is written nor that nobody reads it.
    failure: Option<String>,
}

/// What the thread is told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Word {
    #[default]
    GoOn,
    /// Write what is in, then end.
    Finish,
    /// End at once.
    GiveUp,
}

impl SendQueue {
    /// Starts the thread, which writes to `sink`.
    pub(super) fn open(sink: Arc<StreamWriter>) -> io::Result<Arc<Self>> {
        let pipe = Arc::new(Self::default());
        let own = pipe.clone();
        // Nobody waits for it: what it writes to may be stuck in the kernel.
        thread::Builder::new().name("vxtap-reader".to_owned()).spawn(move || own.run(&sink))?;
        Ok(pipe)
    }

    fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts records in.
    pub(super) fn put(&self, records: Records) {
        self.queued.fetch_add(records.bytes.len(), Ordering::Relaxed);
        self.put.fetch_add(records.ends.len() as u64, Ordering::Relaxed);
        let mut state = self.lock();
        match state.pieces.back_mut() {
            Some(last) if last.bytes.len() + records.bytes.len() <= PIECE_MIN => {
                last.append(&records)
            }
            _ => state.pieces.push_back(records),
        }
        drop(state);
        self.changed.notify_one();
    }

    /// Bytes that are in and not written.
    pub(super) fn queued(&self) -> usize {
        self.queued.load(Ordering::Relaxed)
    }

    /// Frames that were put in.
    pub(super) fn put_in(&self) -> u64 {
        self.put.load(Ordering::Relaxed)
    }

    /// Frames that are written to their last byte.
    pub(super) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }

    /// Nothing is put in any more.
    pub(super) fn finish(&self) {
        self.tell(Word::Finish);
    }

    /// The reader is not waited for any more.
    pub(super) fn give_up(&self) {
        self.tell(Word::GiveUp);
    }

    fn tell(&self, word: Word) {
        self.lock().word = word;
        self.changed.notify_one();
    }

    /// Whether nothing is written any more.
    pub(super) fn is_over(&self) -> bool {
        self.lock().is_over
    }

    /// Why nothing is written any more, if it is neither that all is written nor that nobody reads
    /// it.
    pub(super) fn failure(&self) -> Option<String> {
        self.lock().failure.clone()
    }

    fn run(&self, sink: &StreamWriter) {
        let mut written = Ok(());
        while written.is_ok()
            && let Some(records) = self.next()
        {
            written = self.write(sink, &records);
        }
        sink.finish();
        let mut state = self.lock();
        state.is_over = true;
        state.failure =
            written.err().filter(|error| !is_nobody(error)).map(|error| error.to_string());
    }

    /// Waits for records; `None` if none are to be written any more.
    fn next(&self) -> Option<Records> {
        let mut state = self.lock();
        loop {
            if state.word == Word::GiveUp {
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

    fn write(&self, sink: &StreamWriter, records: &Records) -> io::Result<()> {
        let (mut rest, mut ends) = (&records.bytes[..], &records.ends[..]);
        while !rest.is_empty() {
            match sink.write(rest) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(count) => {
                    rest = &rest[count..];
                    let written = records.bytes.len() - rest.len();
                    let frames = ends.partition_point(|end| *end <= written);
                    ends = &ends[frames..];
                    self.sent.fetch_add(frames as u64, Ordering::Relaxed);
                    self.queued.fetch_sub(count, Ordering::Relaxed);
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if self.lock().word == Word::GiveUp {
                        return Err(error);
                    }
                    sink.wait(TURN)?;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// Whether a reader has gone, or was given up.
fn is_nobody(error: &io::Error) -> bool {
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
        let pipe = SendQueue::open(Arc::new(StreamWriter::Socket(writer.into()))).unwrap();
        // More than the socket takes, of which one frame is longer than all that.
        pipe.put(records(1000, 3));
        pipe.put(records(4 << 20, 1));
        until(|| pipe.sent() == 3);
        assert!(pipe.queued() > 0 && !pipe.is_over());
        pipe.finish();
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).unwrap();
        until(|| pipe.is_over());
        assert_eq!((bytes.len(), pipe.sent(), pipe.queued()), (3000 + (4 << 20), 4, 0));
    }

    #[test]
    fn a_reader_that_stands_still_can_be_given_up_and_one_that_has_gone_is_noticed() {
        let (_reader, writer) = UnixStream::pair().unwrap();
        let pipe = SendQueue::open(Arc::new(StreamWriter::Socket(writer.into()))).unwrap();
        pipe.put(records(1 << 20, 8));
        pipe.finish();
        assert!(!pipe.is_over());
        pipe.give_up();
        until(|| pipe.is_over());

        let (reader, writer) = UnixStream::pair().unwrap();
        let sink = Arc::new(StreamWriter::Socket(writer.into()));
        let pipe = SendQueue::open(sink.clone()).unwrap();
        assert!(!sink.is_gone());
        drop(reader);
        assert!(sink.is_gone());
        pipe.put(records(1, 1));
        until(|| pipe.is_over());
        assert_eq!((pipe.sent(), pipe.failure()), (0, None));
    }

    #[test]
    fn what_cannot_be_written_says_why() {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let pipe = SendQueue::open(Arc::new(StreamWriter::File(full.into()))).unwrap();
        pipe.put(records(1, 1));
        until(|| pipe.is_over());
        assert_eq!(pipe.failure().as_deref(), Some("No space left on device (os error 28)"));
    }
}
