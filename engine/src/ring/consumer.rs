//! The consumer of an output: it reads the rings of all workers.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crossbeam_utils::Backoff;

use super::Reader;
use super::frame::Batch;
use super::merge::Merge;
use crate::sys::{lock, sleep_precisely};

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

/// Rings of workers that begin later, on their way to a consumer. The consumer has the only strong
/// reference, so that the engine sees whether the consumer is still there.
#[derive(Debug, Default)]
pub(crate) struct NewRings {
    /// Number of readers that were ever put in.
    count: AtomicUsize,
    readers: Mutex<Vec<Reader>>,
    /// No frame comes any more, also if writers have not closed their rings.
    is_closed: AtomicBool,
}

impl NewRings {
    /// Gives the consumer another ring.
    pub(crate) fn put(&self, reader: Reader) {
        lock(&self.readers).push(reader);
        self.count.fetch_add(1, Ordering::Release);
    }

    /// Tells the consumer that the writers of its rings are gone; it can still read what is in
    /// them.
    pub(crate) fn close(&self) {
        self.is_closed.store(true, Ordering::Release);
    }
}

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
        let mut readers = lock(&self.new_rings.readers);
        self.rings_taken += readers.len();
        self.readers.append(&mut readers);
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
        if self.new_rings.count.load(Ordering::Acquire) != self.rings_taken {
            self.take_new_rings();
        }
        // Loaded before the rings are polled, so that all that was published before the end is
        // read.
        let is_closed = self.new_rings.is_closed.load(Ordering::Acquire);
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
mod tests {
    use super::super::{Descriptor, Writer};
    use super::super::{QueueId, ring};
    use super::*;
    use crate::xsk::{FreeList, Geometry, Pages, RefCounts, Umem};

    fn push(writer: &mut Writer, umem: &Umem, free: &mut FreeList, refs: &mut RefCounts) {
        push_at(writer, umem, free, refs, 0);
    }

    fn queue(next: &Next<'_>) -> Option<u32> {
        match next {
            Next::Batch(batch) => batch.iter().next().map(|frame| frame.queue()),
            Next::Idle | Next::Closed => None,
        }
    }

    #[test]
    fn the_rings_take_turns_and_the_end_comes_when_all_writers_are_gone() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 1024), Pages::Ordinary).unwrap();
        let (umem, mut refs) = (Arc::new(umem), RefCounts::none(1024));
        let (mut zero, zero_reader) = ring(512, umem.clone(), QueueId::default()).unwrap();
        let (mut one, one_reader) =
            ring(512, umem.clone(), QueueId { queue: 1, ..QueueId::default() }).unwrap();
        let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Idle));
        push(&mut zero, &umem, &mut free, &mut refs);
        for _ in 0..300 {
            push(&mut one, &umem, &mut free, &mut refs);
        }
        // The second ring, which is looked at first, has more than one batch takes.
        let turns = [(); 3].map(|()| queue(&consumer.next(Duration::ZERO)));
        assert_eq!(turns, [Some(1), Some(0), Some(1)]);
        drop(zero);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Idle), "one writer is left");
        push(&mut one, &umem, &mut free, &mut refs);
        drop(one);
        assert_eq!(queue(&consumer.next(Duration::ZERO)), Some(1));
        assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    }

    /// Pushes a frame that arrived at `time_ns`.
    fn push_at(
        writer: &mut Writer,
        umem: &Umem,
        free: &mut FreeList,
        refs: &mut RefCounts,
        time_ns: u64,
    ) {
        let chunk = free.take().unwrap();
        let addr = umem.address_of(&chunk) + 256;
        let chunk_ref = refs.publish(chunk, 1).take();
        writer.push_all([(
            &Descriptor { addr, len: 1, timestamp_ns: time_ns, ..Descriptor::default() },
            chunk_ref,
        )]);
        writer.publish();
    }

    /// Times of what comes next; nothing if there is nothing.
    fn times(next: &Next<'_>) -> Vec<u64> {
        match next {
            Next::Batch(batch) => batch.iter().map(|frame| frame.timestamp_ns()).collect(),
            Next::Idle | Next::Closed => Vec::new(),
        }
    }

    #[test]
    fn within_the_window_frames_of_several_rings_come_in_the_order_of_their_times() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 1024), Pages::Ordinary).unwrap();
        let (umem, mut refs) = (Arc::new(umem), RefCounts::none(1024));
        let (mut zero, zero_reader) = ring(64, umem.clone(), QueueId::default()).unwrap();
        let (mut one, one_reader) =
            ring(64, umem.clone(), QueueId { queue: 1, ..QueueId::default() }).unwrap();
        let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
        consumer.order_within(Duration::from_secs(3600));
        let now = utc_ns() + 3_600_000_000_000;
        for time in [1, 4, 6] {
            push_at(&mut zero, &umem, &mut free, &mut refs, now + time);
        }
        assert_eq!(
            times(&consumer.next(Duration::ZERO)),
            [0; 0],
            "the other ring may have earlier ones"
        );
        for time in [2, 3, 5] {
            push_at(&mut one, &umem, &mut free, &mut refs, now + time);
        }
        // It is not known yet if something comes behind 5.
        assert_eq!(times(&consumer.next(Duration::ZERO)), [1, 2, 3, 4, 5].map(|time| now + time));
        assert_eq!(times(&consumer.next(Duration::ZERO)), [0; 0]);
        // A ring that is half full is not kept waiting, and what comes too late is counted.
        for time in 7..38 {
            push_at(&mut zero, &umem, &mut free, &mut refs, now + time);
        }
        assert_eq!(times(&consumer.next(Duration::ZERO)).len(), 32);
        push_at(&mut one, &umem, &mut free, &mut refs, now + 8);
        drop(zero);
        assert_eq!(times(&consumer.next(Duration::ZERO)), [now + 8]);
        assert_eq!(consumer.out_of_order(), 1);
        push_at(&mut one, &umem, &mut free, &mut refs, now + 40);
        drop(one);
        assert_eq!(times(&consumer.next(Duration::ZERO)), [now + 40]);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    }

    #[test]
    fn a_frame_waits_for_no_queue_that_has_shown_a_later_one() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 64), Pages::Ordinary).unwrap();
        let (umem, mut refs) = (Arc::new(umem), RefCounts::none(64));
        let (mut zero, zero_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
        let (mut one, one_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
        let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
        consumer.order_within(Duration::from_secs(3600));
        let now = utc_ns() + 3_600_000_000_000;
        push_at(&mut zero, &umem, &mut free, &mut refs, now + 1);
        push_at(&mut one, &umem, &mut free, &mut refs, now + 9);
        assert_eq!(times(&consumer.next(Duration::ZERO)), [now + 1]);
        for time in [5, 9, 10] {
            push_at(&mut zero, &umem, &mut free, &mut refs, now + time);
        }
        assert_eq!(times(&consumer.next(Duration::ZERO)), [5, 9, 9].map(|time| now + time));
        push_at(&mut zero, &umem, &mut free, &mut refs, now + 11);
        assert_eq!(times(&consumer.next(Duration::ZERO)), [0; 0], "9 is the last of the other");
        assert_eq!(consumer.out_of_order(), 0);
    }

    #[test]
    fn a_frame_waits_no_longer_than_the_window() {
        const WINDOW: Duration = Duration::from_millis(20);
        let (umem, mut free) = Umem::create(Geometry::new(2048, 64), Pages::Ordinary).unwrap();
        let (umem, mut refs) = (Arc::new(umem), RefCounts::none(64));
        let (mut zero, zero_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
        let (_one, one_reader) = ring(32, umem.clone(), QueueId::default()).unwrap();
        let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
        consumer.order_within(WINDOW);
        let begin = Instant::now();
        push_at(&mut zero, &umem, &mut free, &mut refs, utc_ns());
        assert_eq!(times(&consumer.next(Duration::from_secs(5))).len(), 1);
        assert!(begin.elapsed() >= WINDOW && begin.elapsed() < Duration::from_secs(4));
    }

    #[test]
    fn a_ring_that_comes_later_is_read_like_the_others() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 8), Pages::Ordinary).unwrap();
        let (umem, mut refs) = (Arc::new(umem), RefCounts::none(8));
        let (_zero, zero_reader) = ring(4, umem.clone(), QueueId::default()).unwrap();
        let (mut one, one_reader) =
            ring(4, umem.clone(), QueueId { queue: 1, ..QueueId::default() }).unwrap();
        let mut consumer = Consumer::new(vec![zero_reader]);
        push(&mut one, &umem, &mut free, &mut refs);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Idle));
        let new_rings = Arc::downgrade(consumer.new_rings());
        new_rings.upgrade().unwrap().put(one_reader);
        assert_eq!(queue(&consumer.next(Duration::ZERO)), Some(1));
        drop(consumer);
        assert!(new_rings.upgrade().is_none());
        assert!(one.is_reader_gone());
    }
}
