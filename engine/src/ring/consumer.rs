//! The consumer of an output: it reads the rings of all workers.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_utils::Backoff;

use super::Reader;
use super::frame::Batch;
use super::merge::Merge;
use super::new_rings::NewRings;
use crate::sys::sleep_precisely;

/// Most descriptors in a [`Batch`]. Large enough that the one store per batch does not count, small
/// enough that the worker gets its chunks back soon.
const DESCRIPTORS_MAX: u64 = 256;

/// Shortest and longest sleep of a consumer that finds no frames; each is twice as long as the one
/// before. Shorter: more wake-ups while nothing arrives (5000 per second at the longest sleep);
/// longer: short rings overflow meanwhile, and frames are delayed after a quiet time.
const SLEEP_MIN: Duration = Duration::from_micros(20);
const SLEEP_MAX: Duration = Duration::from_micros(200);

/// Reads the frames of one output from the rings of all workers, in turn. Frames of one worker come
/// in the order of their arrival.
///
/// A consumer belongs to one thread at a time. The frames that it hands out are borrowed from the
/// workers' memory until their [`Batch`] is dropped; while a consumer keeps a batch, or does not
/// read, its rings fill up and further frames are lost for this output, counted.
///
/// # Examples
///
/// Prints the frames of a capture file, which needs no privileges. Dropping a batch returns its
/// memory.
///
/// ```no_run
/// use std::path::Path;
/// use std::thread;
/// use std::time::Duration;
///
/// use vxtap::Engine;
/// use vxtap::config::{Config, Output, OutputKind};
/// use vxtap::ring::Next;
///
/// let mut config = Config::default();
/// config.outputs.push(Output::new("print", OutputKind::Consumer));
/// let mut engine = Engine::open_capture_file(config, Path::new("mirror.pcap"))?;
/// let mut consumer = engine.take_consumer("print").expect("declared above");
/// let reader = thread::spawn(move || {
///     loop {
///         match consumer.next(Duration::from_millis(100)) {
///             Next::Batch(batch) => {
///                 for frame in &batch {
///                     println!("{}: {} bytes", frame.source_vni(), frame.original_len());
///                 }
///             }
///             Next::Idle => {}
///             Next::Closed => break,
///         }
///     }
/// });
/// engine.start()?;
/// while !engine.has_ended() {
///     thread::sleep(Duration::from_millis(10));
/// }
/// engine.stop();
/// reader.join().expect("the reader has not panicked");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug)]
pub struct Consumer {
    readers: Vec<Reader>,
    /// Index of the reader that had frames last.
    turn: usize,
    /// The timer slack of the calling thread has been set.
    is_precise: bool,
    new_rings: Arc<NewRings>,
    /// Number of readers that came through `new_rings`.
    rings_taken: usize,
    merge: Merge,
    /// Dropped with the consumer.
    keep_alive: Option<Box<dyn KeepAlive>>,
}

/// A value that lives as long as a consumer, for the effect of its drop.
pub(crate) trait KeepAlive: std::fmt::Debug + Send {}
impl<T: std::fmt::Debug + Send> KeepAlive for T {}

/// Result of [`Consumer::next`].
#[derive(Debug)]
pub enum Next<'a> {
    /// At least one frame.
    Batch(Batch<'a>),
    /// No frame came within the timeout.
    Idle,
    /// No frame will come: the engine has stopped and all frames have been read.
    Closed,
}

impl Consumer {
    pub(crate) fn new(readers: Vec<Reader>) -> Self {
        let (new_rings, merge) = (Arc::default(), Merge::new(0));
        Self {
            readers,
            turn: 0,
            is_precise: false,
            new_rings,
            rings_taken: 0,
            merge,
            keep_alive: None,
        }
    }

    /// Keeps a value until the consumer is dropped.
    pub(crate) fn keep_alive(&mut self, value: impl KeepAlive + 'static) {
        self.keep_alive = Some(Box::new(value));
    }

    /// Brings the frames of several queues into the order of their times from now on: a frame waits
    /// up to `window` for earlier ones of other queues, up to 10 ms for those of a queue that had
    /// no frame for a second, and no longer than until its ring is half full.
    /// `Duration::ZERO`: the queues take turns, and only the frames of one are in order.
    pub fn order_within(&mut self, window: Duration) {
        self.merge = Merge::new(u64::try_from(window.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Returns the number of frames that came out of order although [a window](Self::order_within)
    /// was set, because earlier ones took longer.
    pub const fn out_of_order(&self) -> u64 {
        self.merge.out_of_order()
    }

    /// Returns the list into which further rings can be put.
    pub(crate) const fn new_rings(&self) -> &Arc<NewRings> {
        &self.new_rings
    }

    #[cold]
    fn take_new_rings(&mut self) {
        self.rings_taken += self.new_rings.take(&mut self.readers);
    }

    /// Waits up to `timeout` for frames: spins for some microseconds, then sleeps for at most 200
    /// µs at a time. The first sleep sets the calling thread's timer slack
    /// (`PR_SET_TIMERSLACK(2const)`) to 1 µs.
    pub fn next(&mut self, timeout: Duration) -> Next<'_> {
        match self.wait(timeout) {
            Found::Merge => Next::Batch(Batch::merged(&mut self.readers, &self.merge)),
            Found::Reader(index) => {
                Next::Batch(Batch::new(&mut self.readers[index], DESCRIPTORS_MAX))
            }
            Found::Nothing => Next::Idle,
            Found::End => Next::Closed,
        }
    }

    fn wait(&mut self, timeout: Duration) -> Found {
        let backoff = Backoff::new();
        let mut sleep = SLEEP_MIN;
        let mut deadline = None;
        loop {
            let found = self.poll_rings();
            if !matches!(found, Found::Nothing) {
                return found;
            }
            if !backoff.is_completed() {
                backoff.snooze();
                continue;
            }
            let now = Instant::now();
            let left = deadline.get_or_insert_with(|| now + timeout).saturating_duration_since(now);
            if left.is_zero() {
                return Found::Nothing;
            }
            if !std::mem::replace(&mut self.is_precise, true) {
                sleep_precisely();
            }
            thread::sleep(sleep.min(left));
            sleep = (2 * sleep).min(SLEEP_MAX);
        }
    }

    /// Polls each ring once, beginning with the one after the last that had frames.
    fn poll_rings(&mut self) -> Found {
        if self.new_rings.count() != self.rings_taken {
            self.take_new_rings();
        }
        // Loaded before the rings are polled, so that all that was published before the end is
        // read.
        let is_closed = self.new_rings.is_closed();
        let count = self.readers.len();
        if self.merge.is_on() && count > 1 {
            return self.poll_merged(is_closed);
        }
        let mut finished = 0;
        for step in 1..=count {
            let index = (self.turn + step) % count;
            let reader = &mut self.readers[index];
            if reader.available() > 0 {
                self.turn = index;
                return Found::Reader(index);
            }
            finished += usize::from(reader.is_finished());
        }
        if is_closed || finished == count { Found::End } else { Found::Nothing }
    }

    /// Polls all rings for frames that need not wait for earlier ones.
    fn poll_merged(&mut self, is_closed: bool) -> Found {
        let Self { readers, merge, .. } = self;
        // Once nothing comes, no frame waits.
        let now_ns = if is_closed { u64::MAX } else { utc_ns() };
        if merge.choose(readers, usize::try_from(DESCRIPTORS_MAX).unwrap_or(usize::MAX), now_ns) {
            return Found::Merge;
        }
        if is_closed || readers.iter_mut().all(Reader::is_finished) {
            Found::End
        } else {
            Found::Nothing
        }
    }
}

/// Returns the time in nanoseconds since 1970-01-01 UTC.
fn utc_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}

/// Result of polling the rings.
enum Found {
    /// Frames of the reader of this index.
    Reader(usize),
    /// Frames of several readers, chosen by the merge.
    Merge,
    Nothing,
    End,
}

#[cfg(test)]
mod tests;
