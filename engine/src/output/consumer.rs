//! The reading end of an output.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_utils::Backoff;

use super::frame::Batch;
use super::ring::Reader;
use crate::xsk::sleep_precisely;

/// Most descriptors in a [`Batch`]. Large enough that the one store per batch does not count, small enough that the
/// worker gets its chunks back soon.
const DESCRIPTORS_MAX: u64 = 256;

/// Naps of a consumer that finds nothing: from the first, doubling, to the longest. Shorter: more wake-ups while
/// nothing arrives (5000 per second at the longest nap); longer: short rings overflow before the consumer looks again,
/// and frames are delayed after a quiet time.
const NAP_MIN: Duration = Duration::from_micros(20);
const NAP_MAX: Duration = Duration::from_micros(200);

/// Reads the frames of one output from the rings of all workers, in turn. Frames of one worker come in order.
#[derive(Debug)]
pub struct Consumer {
    readers: Vec<Reader>,
    /// Whose turn it is.
    turn: usize,
    /// Whether the thread that naps has been told to nap precisely.
    is_precise: bool,
    inbox: Arc<Inbox>,
    /// How many rings came through the inbox.
    delivered: usize,
}

/// Through it a consumer gets rings of workers that begin later. Lives as long as the consumer, for the engine to see whether
/// it does.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    /// How many rings were put in.
    count: AtomicUsize,
    readers: Mutex<Vec<Reader>>,
}

impl Inbox {
    /// Gives the consumer another ring.
    pub(crate) fn put(&self, reader: Reader) {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner).push(reader);
        self.count.fetch_add(1, Ordering::Release);
    }
}

/// What a consumer finds.
#[derive(Debug)]
pub enum Next<'a> {
    /// Frames.
    Batch(Batch<'a>),
    /// None within the time.
    Idle,
    /// None, and none will come: the engine has stopped and everything has been read.
    Closed,
}

impl Consumer {
    pub(crate) fn new(readers: Vec<Reader>) -> Self {
        Self { readers, turn: 0, is_precise: false, inbox: Arc::default(), delivered: 0 }
    }

    /// Where further rings can be put in.
    pub(crate) const fn inbox(&self) -> &Arc<Inbox> {
        &self.inbox
    }

    #[cold]
    fn open_inbox(&mut self) {
        let mut readers = self.inbox.readers.lock().unwrap_or_else(PoisonError::into_inner);
        self.delivered += readers.len();
        self.readers.append(&mut readers);
    }

    /// Waits up to `timeout` for frames: spins for some microseconds, then naps of at most 200 µs. The first nap sets the
    /// calling thread's timer slack (`PR_SET_TIMERSLACK(2const)`) to 1 µs.
    pub fn next(&mut self, timeout: Duration) -> Next<'_> {
        match self.wait(timeout) {
            Found::Reader(index) => Next::Batch(Batch::new(&mut self.readers[index], DESCRIPTORS_MAX)),
            Found::Nothing => Next::Idle,
            Found::End => Next::Closed,
        }
    }

    fn wait(&mut self, timeout: Duration) -> Found {
        let backoff = Backoff::new();
        let mut nap = NAP_MIN;
        let mut deadline = None;
        loop {
            let found = self.look();
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
            thread::sleep(nap.min(left));
            nap = (2 * nap).min(NAP_MAX);
        }
    }

    /// Looks at each ring once, beginning with the one after the last that had frames.
    fn look(&mut self) -> Found {
        if self.inbox.count.load(Ordering::Acquire) != self.delivered {
            self.open_inbox();
        }
        let count = self.readers.len();
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
        if finished == count { Found::End } else { Found::Nothing }
    }
}

enum Found {
    Reader(usize),
    Nothing,
    End,
}

#[cfg(test)]
mod tests {
    use super::super::ring::{Origin, ring};
    use super::super::{Descriptor, Writer};
    use super::*;
    use crate::xsk::{FreeList, Geometry, Holders, Pages, Umem};

    fn push(writer: &mut Writer, umem: &Umem, free: &mut FreeList, holders: &mut Holders) {
        let chunk = free.take().unwrap();
        let addr = umem.address_of(&chunk) + 256;
        let share = holders.publish(chunk, 1).take();
        writer.push_all([(&Descriptor { addr, len: 1, ..Descriptor::default() }, share)]);
        writer.publish();
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
        let (umem, mut holders) = (Arc::new(umem), Holders::none(1024));
        let (mut zero, zero_reader) = ring(512, umem.clone(), Origin::default());
        let (mut one, one_reader) = ring(512, umem.clone(), Origin { queue: 1, ..Origin::default() });
        let mut consumer = Consumer::new(vec![zero_reader, one_reader]);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Idle));
        push(&mut zero, &umem, &mut free, &mut holders);
        for _ in 0..300 {
            push(&mut one, &umem, &mut free, &mut holders);
        }
        // The second ring, which is looked at first, has more than one batch takes.
        let turns = [(); 3].map(|()| queue(&consumer.next(Duration::ZERO)));
        assert_eq!(turns, [Some(1), Some(0), Some(1)]);
        drop(zero);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Idle), "one writer is left");
        push(&mut one, &umem, &mut free, &mut holders);
        drop(one);
        assert_eq!(queue(&consumer.next(Duration::ZERO)), Some(1));
        assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    }

    #[test]
    fn a_ring_that_comes_later_is_read_like_the_others() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 8), Pages::Ordinary).unwrap();
        let (umem, mut holders) = (Arc::new(umem), Holders::none(8));
        let (_zero, zero_reader) = ring(4, umem.clone(), Origin::default());
        let (mut one, one_reader) = ring(4, umem.clone(), Origin { queue: 1, ..Origin::default() });
        let mut consumer = Consumer::new(vec![zero_reader]);
        push(&mut one, &umem, &mut free, &mut holders);
        assert!(matches!(consumer.next(Duration::ZERO), Next::Idle));
        let inbox = Arc::downgrade(consumer.inbox());
        inbox.upgrade().unwrap().put(one_reader);
        assert_eq!(queue(&consumer.next(Duration::ZERO)), Some(1));
        drop(consumer);
        assert!(inbox.upgrade().is_none());
        assert!(one.is_reader_gone());
    }
}
