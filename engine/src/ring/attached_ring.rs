//! The ring of another process, and the copies of its frames that this process reads.
//!
//! The engine takes the chunks of a consumer that it disconnects back and writes to them again,
//! whether or not the consumer still reads. So nothing here refers to them: frames are copied, then
//! the flag is checked by which the engine announces that, and only then they are handed out.
//!
//! ```text
//!   ring and UMEM of the engine ── copy_published ──► ring and UMEM of this process ──► Reader
//! ```

use std::io;
use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::Descriptor;
use super::ring_memory::RingMemory;
use crate::xsk::{Geometry, Umem};

/// Most descriptors that are copied at once, and a frame to its end. Few enough that the copies are
/// in the caches when they are read.
const DESCRIPTORS_MAX: u64 = 256;
/// Descriptors by which bytes are prefetched ahead of those that are copied.
const PREFETCH_AHEAD: u64 = 6;
/// Largest number of chunks that the copies take, so that they stay in the caches. The smallest
/// ring, 64, holds the longest frame, 40 chunks.
const COPIES_MAX: usize = 2048;
/// Bytes are copied in words of this size.
const WORD: u64 = size_of::<u64>() as u64;

/// A ring of another process.
#[derive(Debug)]
pub(super) struct AttachedRing {
    shared: RingMemory,
    umem: Umem,
    /// Descriptors before this position have been copied and released.
    position: u64,
    copies: Copies,
    /// There was no room for another copy.
    is_full: bool,
    /// The engine has taken the chunks back.
    is_revoked: bool,
}

/// Memory for copies, used in a circle.
#[derive(Debug)]
struct Copies {
    umem: Arc<Umem>,
    /// End of the last copy. Counts up; the place is the remainder by the length of the memory.
    end: u64,
    /// Begin of the copy of each descriptor, by slot, in the same measure.
    begins: Box<[u64]>,
}

impl AttachedRing {
    pub(super) fn new(shared: RingMemory, umem: Umem) -> io::Result<Self> {
        let chunks = u32::try_from(shared.len().min(COPIES_MAX)).map_err(io::Error::other)?;
        let geometry = Geometry::new(umem.geometry().chunk_size(), chunks);
        let copies = Copies {
            umem: Arc::new(Umem::private(geometry)?),
            end: 0,
            begins: vec![0; shared.len()].into(),
        };
        Ok(Self { shared, umem, position: 0, copies, is_full: false, is_revoked: false })
    }

    /// Returns the memory that the copies lie in.
    pub(super) const fn copies(&self) -> &Arc<Umem> {
        &self.copies.umem
    }

    /// Returns whether there was no room for another copy when frames were last copied.
    pub(super) const fn is_full(&self) -> bool {
        self.is_full
    }

    /// Returns whether no more frames come than can be copied now.
    pub(super) fn is_ended(&self) -> bool {
        self.is_revoked || self.shared.writer_gone().load(Ordering::Acquire) != 0
    }

    /// Copies published frames into the ring `own`, as many as there is room for, and releases them
    /// in the engine's ring. `released` is the position in `own` before which no copy is needed.
    /// Returns the head of `own`: the position behind the last whole frame.
    ///
    /// If the engine has taken its chunks back meanwhile, none of these copies counts, and no more
    /// are made.
    pub(super) fn copy_published(&mut self, own: &RingMemory, released: u64) -> u64 {
        if self.is_revoked {
            return self.position;
        }
        let head = self.shared.head().load(Ordering::Acquire);
        if released == self.position {
            // The same memory again, which is in the caches.
            self.copies.end = 0;
        }
        let (begin, mut next) = (self.position, self.position);
        let (mut whole, mut whole_end) = (begin, self.copies.end);
        self.is_full = false;
        while next < head && (next - begin < DESCRIPTORS_MAX || next != whole) {
            if next + PREFETCH_AHEAD < head {
                let Descriptor { addr, .. } = self.descriptor(next + PREFETCH_AHEAD);
                self.umem.prefetch(addr);
            }
            let descriptor = self.descriptor(next);
            let Some(continues) = self.copy(descriptor, own, next, released) else { break };
            next += 1;
            if !continues {
                (whole, whole_end) = (next, self.copies.end);
            }
        }
        // If the flag is not set yet, the copies are what the engine published: it is set before
        // the chunks can change (`Writer::reclaim_all`).
        fence(Ordering::Acquire);
        self.is_revoked |= self.shared.revoked().load(Ordering::Relaxed) != 0;
        if self.is_revoked {
            return self.position;
        }
        self.copies.end = whole_end;
        if whole != begin {
            self.position = whole;
            self.shared.tail().store(whole, Ordering::Release);
        }
        whole
    }

    /// Returns the descriptor of a position between `self.position` and the loaded head.
    const fn descriptor(&self, position: u64) -> Descriptor {
        let slot = self.shared.slot(position);
        // SAFETY: the slot lies between tail and head, where the engine does not write, not even
        // after it has taken the chunks back; it was written before the head that was loaded with
        // acquire.
        unsafe { slot.read() }
    }

    /// Copies a descriptor and the bytes that it names; returns whether its frame goes on in the
    /// next one. `None` if there is no room, or if it names no bytes of the UMEM, which no engine
    /// does: the ring ends then.
    fn copy(
        &mut self,
        descriptor: Descriptor,
        own: &RingMemory,
        position: u64,
        released: u64,
    ) -> Option<bool> {
        let Descriptor { addr, len, outer_len, .. } = descriptor;
        let outer_begin = addr.checked_sub(outer_len.into());
        let end = addr.checked_add(len.into()).map(|end| end.next_multiple_of(WORD));
        let (Some(outer_begin), Some(end)) = (outer_begin, end) else { return self.refuse() };
        // Whole words around the bytes; a chunk begins and ends with one.
        let begin = outer_begin - outer_begin % WORD;
        if end > self.umem.geometry().len() || end - begin > self.longest() {
            return self.refuse();
        }
        let oldest = (released < position).then(|| self.copies.begins[slot_of(own, released)]);
        let is_free = position - released < own.len() as u64;
        let place = self.copies.place(end - begin, oldest).filter(|_| is_free);
        let Some(place) = place else {
            self.is_full = true;
            return None;
        };
        self.copies.begins[slot_of(own, position)] = place;
        self.copies.end = place + (end - begin);
        let to = place % self.copies.umem.geometry().len();
        // SAFETY: `place` lies behind all copies that are not released, and the caller has `&mut`
        // to the reader that alone hands out references to them.
        unsafe { self.copies.umem.copy_words(to, &self.umem, begin, (end - begin) / WORD) };
        let own_slot = own.slot(position);
        // SAFETY: the slot does not lie between the tail and the head of the own ring, as `is_free`
        // says and since the head is at most `position`; no other code writes to it.
        unsafe { own_slot.write(Descriptor { addr: to + (addr - begin), ..descriptor }) };
        Some(descriptor.continues())
    }

    /// Returns the largest number of bytes that one descriptor names.
    fn longest(&self) -> u64 {
        self.umem.geometry().chunk_size().into()
    }

    #[cold]
    const fn refuse(&mut self) -> Option<bool> {
        self.is_revoked = true;
        None
    }
}

impl Copies {
    /// Returns the place for `len` bytes behind the last copy; `oldest` is the begin of the oldest
    /// copy that is not released. `None` if there is no room.
    fn place(&self, len: u64, oldest: Option<u64>) -> Option<u64> {
        let capacity = self.umem.geometry().len();
        let left = capacity - self.end % capacity;
        let place = if len <= left { self.end } else { self.end + left };
        (place + len - oldest.unwrap_or(place) <= capacity).then_some(place)
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the mask takes the lowest bits")]
const fn slot_of(ring: &RingMemory, position: u64) -> usize {
    position as usize & (ring.len() - 1)
}
