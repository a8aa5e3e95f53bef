//! The ring from one worker to one consumer: a single producer, a single consumer, in order.
//!
//! ```text
//!            reclaimed          tail               head
//!   ───────────┬─────────────────┬──────────────────┬─────────────
//!     chunks   │ released, on    │ published, the   │ free slots
//!     back     │ the way home    │ consumer reads   │
//! ```
//!
//! Positions count up for ever in `u64` and never wrap; the slot is the position modulo the length. Each side writes
//! one position and reads the other's. The worker keeps its own list of what it has published and takes chunks back
//! by that list, never by what the consumer could have written.

use std::cell::UnsafeCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use crossbeam_utils::CachePadded;

use super::descriptor::Descriptor;
use crate::xsk::{Share, Umem, prefetch_line};

/// What both sides touch. The positions are on cache lines of their own, so that a store by one side does not take
/// the other's line away.
#[derive(Debug)]
struct Shared {
    /// Everything before it is published. Written by the worker.
    head: CachePadded<AtomicU64>,
    /// Everything before it is released. Written by the consumer.
    tail: CachePadded<AtomicU64>,
    /// The worker publishes no more. Written by the worker, after its last store to `head`.
    writer_gone: AtomicBool,
    /// The consumer reads no more. Written by the consumer, after its last read.
    reader_gone: AtomicBool,
    slots: Box<[UnsafeCell<Descriptor>]>,
}

// SAFETY: the slots are the only part that is not Sync by itself. There is one Writer and one Reader (`ring` makes one
// of each, and neither can be cloned); the Writer writes only slots at `head` and beyond, up to a whole ring after
// `reclaimed`, and the Reader reads only slots from `tail` to `head`. As `reclaimed` <= `tail` <= `head`, or nobody
// reads any more, these never meet, and the release store and acquire load of `head` and of `tail` order the accesses.
unsafe impl Sync for Shared {}

impl Shared {
    /// The slot of a position.
    #[inline]
    fn slot(&self, position: u64) -> &UnsafeCell<Descriptor> {
        let mask = self.slots.len() - 1;
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes the lowest bits")]
        let index = position as usize & mask;
        &self.slots[index]
    }
}

/// Where the frames of a ring come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Origin {
    /// Place of the interface in the configuration.
    pub(crate) interface: usize,
    /// RX queue of it.
    pub(crate) queue: u32,
}

/// A ring of `len` slots (a power of two) for frames in `umem`.
///
/// # Panics
///
/// If `len` is not a power of two; the configuration admits no other.
pub(crate) fn ring(len: usize, umem: Arc<Umem>, origin: Origin) -> (Writer, Reader) {
    assert!(len.is_power_of_two(), "ring lengths are powers of two");
    let shared = Arc::new(Shared {
        head: CachePadded::new(AtomicU64::new(0)),
        tail: CachePadded::new(AtomicU64::new(0)),
        writer_gone: AtomicBool::new(false),
        reader_gone: AtomicBool::new(false),
        slots: (0..len).map(|_| UnsafeCell::new(Descriptor::default())).collect(),
    });
    let claims = (0..len).map(|_| Share::NONE).collect();
    let writer = Writer { shared: shared.clone(), umem: umem.clone(), head: 0, reclaimed: 0, claims };
    (writer, Reader { shared, umem, origin, tail: 0, head: 0 })
}

/// The worker's side.
#[derive(Debug)]
pub(crate) struct Writer {
    shared: Arc<Shared>,
    umem: Arc<Umem>,
    /// Position after the last pushed descriptor; in memory after `publish`.
    head: u64,
    /// Everything before it has come back; at most a ring's length behind `head`.
    reclaimed: u64,
    /// A claim for each descriptor from `reclaimed` to `head`, in its slot's place.
    claims: Box<[Share]>,
}

impl Writer {
    /// Length of the ring.
    #[inline]
    pub(crate) const fn len(&self) -> usize {
        self.claims.len()
    }

    /// How many more descriptors can be pushed. Chunks that the consumer has released count only after `reclaim`.
    #[inline]
    #[expect(clippy::cast_possible_truncation, reason = "at most the length of the ring")]
    pub(crate) const fn room(&self) -> usize {
        self.len() - (self.head - self.reclaimed) as usize
    }

    /// Adds descriptors, for the consumer to see after `publish`.
    ///
    /// # Panics
    ///
    /// If there is no room: callers ask [`Self::room`] first. If the bytes that a descriptor names, outer headers
    /// included, do not all lie in the chunk that its share is a claim on.
    #[inline]
    pub(crate) fn push_all<'a>(&mut self, frames: impl IntoIterator<Item = (&'a Descriptor, Share)>) {
        let Self { shared, umem, head, reclaimed, claims } = self;
        let (shared, geometry, claims) = (&**shared, umem.geometry(), &mut **claims);
        let end = *reclaimed + claims.len() as u64;
        let mut position = *head;
        for (descriptor, share) in frames {
            assert!(position < end, "pushed into a full ring");
            let &Descriptor { addr, len, outer_len, .. } = descriptor;
            let is_covered = geometry.is_covered(addr, outer_len, len, &share);
            assert!(is_covered, "a descriptor names bytes of its own chunk");
            let slot = shared.slot(position).get();
            // SAFETY: with room in the ring this slot lies less than a ring's length after the oldest unreclaimed one,
            // so it is not one of those between the consumer's tail and head: only the writer touches it until
            // `publish`.
            unsafe { slot.write(*descriptor) };
            *claim(claims, position) = share;
            position += 1;
        }
        *head = position;
    }

    /// Makes everything pushed visible to the consumer, with one store.
    #[inline]
    pub(crate) fn publish(&mut self) {
        self.shared.head.store(self.head, Ordering::Release);
    }

    /// Takes back the claims on what the consumer has released, oldest first; on everything, once it is gone. A tail
    /// that makes no sense releases nothing.
    #[inline]
    pub(crate) fn reclaim(&mut self, mut give_back: impl FnMut(Share)) {
        let reader_gone = self.is_reader_gone();
        let tail = if reader_gone { self.head } else { self.shared.tail.load(Ordering::Acquire) };
        if tail < self.reclaimed || tail > self.head {
            return;
        }
        while self.reclaimed < tail {
            let share = std::mem::replace(claim(&mut self.claims, self.reclaimed), Share::NONE);
            self.reclaimed += 1;
            give_back(share);
        }
    }

    /// Descriptors pushed since the start.
    pub(crate) const fn pushed(&self) -> u64 {
        self.head
    }

    /// Tells the consumer that nothing more will come; what is in the ring it can still read. To be followed by `reclaim`
    /// until nothing is outstanding.
    pub(crate) fn close(&self) {
        self.shared.writer_gone.store(true, Ordering::Release);
    }

    /// Number of descriptors whose claims have not come back.
    pub(crate) const fn outstanding(&self) -> usize {
        self.len() - self.room()
    }

    /// Whether the consumer has been dropped.
    #[inline]
    pub(crate) fn is_reader_gone(&self) -> bool {
        self.shared.reader_gone.load(Ordering::Acquire)
    }
}

/// The place of a position's claim.
#[inline]
fn claim(claims: &mut [Share], position: u64) -> &mut Share {
    #[expect(clippy::cast_possible_truncation, reason = "the mask takes the lowest bits")]
    let index = position as usize & (claims.len() - 1);
    &mut claims[index]
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.close();
    }
}

/// How far ahead of the descriptor that is read the CPU is told to fetch frames, and descriptors. Both are in the worker's
/// cache, some 50 to 100 ns away; a consumer that only reads headers takes 10 to 20 ns for a frame.
const FRAMES_AHEAD: u64 = 6;
const DESCRIPTORS_AHEAD: u64 = 16;

/// The consumer's side.
#[derive(Debug)]
pub(crate) struct Reader {
    shared: Arc<Shared>,
    umem: Arc<Umem>,
    origin: Origin,
    /// Position of the oldest descriptor that is not released.
    tail: u64,
    /// `Shared::head` when last read; may be stale, which only hides frames for a moment.
    head: u64,
}

impl Reader {
    /// Where the frames come from.
    pub(super) const fn origin(&self) -> Origin {
        self.origin
    }

    /// Looks for descriptors that have come since; returns how many can be read.
    #[inline]
    pub(super) fn look(&mut self) -> u64 {
        self.head = self.shared.head.load(Ordering::Acquire);
        self.head - self.tail
    }

    /// Number of descriptors that were there at the last look.
    #[inline]
    pub(super) const fn peeked(&self) -> u64 {
        self.head - self.tail
    }

    /// Length of the ring.
    pub(super) fn len(&self) -> u64 {
        self.shared.slots.len() as u64
    }

    /// Number of descriptors that can be read.
    #[inline]
    pub(super) fn available(&mut self) -> u64 {
        if self.head == self.tail {
            self.head = self.shared.head.load(Ordering::Acquire);
        }
        self.head - self.tail
    }

    /// Whether nothing is there and nothing will come.
    pub(super) fn is_finished(&mut self) -> bool {
        let writer_gone = self.shared.writer_gone.load(Ordering::Acquire);
        self.available() == 0 && writer_gone
    }

    /// The `nth` descriptor that is not released.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(super) fn descriptor(&self, nth: u64) -> Descriptor {
        assert!(nth < self.head - self.tail, "read beyond the head of a ring");
        let slot = self.shared.slot(self.tail + nth).get();
        // SAFETY: the slot lies between tail and head, checked above, where the writer does not write; it was written
        // before the head that was loaded with acquire.
        unsafe { slot.read() }
    }

    /// The `nth` descriptor that is not released, and the bytes that it names. The borrow of the reader keeps them from
    /// being released meanwhile.
    ///
    /// # Panics
    ///
    /// If there are not so many descriptors.
    #[inline]
    pub(super) fn segment(&self, nth: u64) -> (Descriptor, &[u8]) {
        let descriptor = self.descriptor(nth);
        let Descriptor { addr, len, .. } = descriptor;
        // SAFETY: `descriptor` has checked that the position lies between tail and head; `push_all` has checked that the
        // range lies in a chunk that a share was given for. The share is in the writer's list until `release`, which
        // needs `&mut self` and so comes after the result's life; until then nobody writes to the chunk.
        (descriptor, unsafe { self.umem.untouched(addr, len) })
    }

    /// Asks the CPU to fetch what will be read soon: the start of the bytes of the descriptor that is `FRAMES_AHEAD` behind
    /// the `nth`, and that one's successors in the ring. Does nothing where there are not so many.
    #[inline]
    pub(super) fn prefetch_behind(&self, nth: u64) {
        let available = self.head - self.tail;
        if nth + DESCRIPTORS_AHEAD < available {
            prefetch_line(self.shared.slot(self.tail + nth + DESCRIPTORS_AHEAD).get().cast());
        }
        if nth + FRAMES_AHEAD < available {
            self.umem.prefetch(self.descriptor(nth + FRAMES_AHEAD).addr);
        }
    }

    /// The bytes in front of those that the `nth` descriptor names: from the outer IP header to the end of the tunnel
    /// header.
    ///
    /// # Panics
    ///
    /// If there are not so many descriptors.
    #[inline]
    pub(super) fn outer(&self, nth: u64) -> &[u8] {
        let Descriptor { addr, outer_len, .. } = self.descriptor(nth);
        let start = addr.saturating_sub(u64::from(outer_len));
        // SAFETY: as for `segment`: `push_all` has checked the outer headers with the rest.
        unsafe { self.umem.untouched(start, u32::from(outer_len)) }
    }

    /// Gives the oldest `count` descriptors and their chunks back, with one store.
    ///
    /// # Panics
    ///
    /// If there are not so many.
    #[inline]
    pub(super) fn release(&mut self, count: u64) {
        assert!(count <= self.head - self.tail, "released more than there is");
        self.tail += count;
        self.shared.tail.store(self.tail, Ordering::Release);
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.shared.reader_gone.store(true, Ordering::Release);
    }
}

#[cfg(test)]
mod tests;
