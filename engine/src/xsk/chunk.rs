//! Ownership of the chunks of a UMEM, as move-only types.
//!
//! ```text
//!   Chunk (free list) ──► InFlight (fill ring, kernel, RX ring) ──► Chunk (worker)
//!     ▲                                                               │
//!     └────────────── Chunk ◄── ChunkRef, ChunkRef ... (outputs) ◄────┘
//! ```
//!
//! None of the types is `Copy` or `Clone`, and none can be made outside of this layer, so that safe
//! code can neither use a chunk twice nor give it back twice.
#![expect(clippy::needless_pass_by_value, reason = "taking the value is taking the ownership")]

/// A chunk that the owner of this value alone uses.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk(u32);

impl Chunk {
    /// No chunk at all; it has no bytes, and every list of chunks is too short for it.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Returns the index of the chunk in its UMEM.
    pub(super) const fn index(&self) -> u32 {
        self.0
    }
}

/// Chunks that are not in use. Last in, first out, so that the ones used next are those whose bytes
/// are still in the cache.
#[derive(Debug)]
pub(crate) struct FreeList {
    /// Indices of chunks; the first `len` are free.
    indices: Box<[u32]>,
    len: usize,
}

impl FreeList {
    /// Makes the list of all chunks of a UMEM of `chunk_count` chunks. To be called once for each
    /// UMEM.
    pub(super) fn all(chunk_count: u32) -> Self {
        assert!(chunk_count < ALONE, "the highest bit has a meaning");
        Self { indices: (0..chunk_count).rev().collect(), len: chunk_count as usize }
    }

    /// Takes a chunk out.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        self.len = self.len.checked_sub(1)?;
        Some(Chunk(self.indices[self.len]))
    }

    /// Puts a chunk back.
    ///
    /// # Panics
    ///
    /// If there are more than the UMEM has.
    #[inline]
    pub(crate) fn give(&mut self, chunk: Chunk) {
        debug_assert_ne!(chunk, Chunk::NONE, "no chunk is not a free one");
        self.indices[self.len] = chunk.0;
        self.len += 1;
    }

    /// Returns the number of free chunks.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

/// Chunks that the kernel has: in the fill ring, in the driver, or in the RX ring.
#[derive(Debug)]
pub(crate) struct InFlight {
    is_in_flight: Box<[bool]>,
    count: u32,
}

impl InFlight {
    /// No chunk of a UMEM of `chunk_count` chunks is in flight.
    pub(super) fn none(chunk_count: u32) -> Self {
        Self { is_in_flight: vec![false; chunk_count as usize].into_boxed_slice(), count: 0 }
    }

    /// Marks `chunk` as the kernel's, and returns its index.
    #[inline]
    pub(super) fn insert(&mut self, chunk: Chunk) -> u32 {
        let Chunk(index) = chunk;
        self.is_in_flight[index as usize] = true;
        self.count += 1;
        index
    }

    /// Takes back the chunk that the kernel names; `None` if the kernel did not have it.
    #[inline]
    pub(super) fn remove(&mut self, index: u32) -> Option<Chunk> {
        let is_in_flight = self.is_in_flight.get_mut(index as usize)?;
        if !std::mem::replace(is_in_flight, false) {
            return None;
        }
        self.count -= 1;
        Some(Chunk(index))
    }

    /// Returns the number of chunks that the kernel has.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }
}

/// A chunk in the hands of code of this process that plays the driver: taken from the fill ring,
/// and not yet in the RX ring.
#[derive(Debug)]
pub(crate) struct DriverChunk(Chunk);

impl DriverChunk {
    /// No chunk at all, to leave in the place of one.
    const NONE: Self = Self(Chunk::NONE);

    /// The chunk of an index that has just come out of the fill ring, where each index is once
    /// between [`InFlight::insert`] and [`InFlight::remove`]. Only for the driver's end of the
    /// ring.
    #[inline]
    pub(super) const fn from_fill_ring(index: u32) -> Self {
        Self(Chunk(index))
    }

    /// Returns the index, to be put into the RX ring.
    pub(super) const fn into_index(self) -> u32 {
        self.0.0
    }

    /// Lends the chunk as one that belongs to this process.
    #[inline]
    pub(super) const fn inner_mut(&mut self) -> &mut Chunk {
        &mut self.0
    }

    /// Takes the chunk out and leaves none.
    pub(crate) const fn take(&mut self) -> Self {
        std::mem::replace(self, Self::NONE)
    }

    /// Returns whether the chunk has been taken out.
    pub(crate) fn is_taken(&self) -> bool {
        self.0 == Chunk::NONE
    }
}

/// One output's reference to a published chunk. Bit 31 is set if it is the only one.
#[derive(Debug)]
pub(crate) struct ChunkRef(u32);

const ALONE: u32 = 1 << 31;

impl ChunkRef {
    /// A reference to no chunk, to fill a list with.
    pub(crate) const NONE: Self = Self(!ALONE);

    /// Returns the index of the chunk in its UMEM.
    pub(super) const fn index(&self) -> u32 {
        self.0 & !ALONE
    }
}

/// The references that a chunk was published with, one for each output.
#[derive(Debug)]
pub(crate) struct ChunkRefs {
    index: u32,
    left: u32,
}

impl ChunkRefs {
    /// No references.
    pub(crate) const NONE: Self = Self { index: u32::MAX, left: 0 };

    /// Takes the next reference.
    ///
    /// # Panics
    ///
    /// If all have been taken.
    #[inline]
    pub(crate) const fn take(&mut self) -> ChunkRef {
        self.left =
            self.left.checked_sub(1).expect("no more references than the chunk was published with");
        ChunkRef(self.index)
    }
}

/// Number of outputs that hold each published chunk.
#[derive(Debug)]
pub(crate) struct RefCounts {
    counts: Box<[u8]>,
    published: u32,
}

impl RefCounts {
    /// No chunk of a UMEM of `chunk_count` chunks is published.
    pub(crate) fn none(chunk_count: u32) -> Self {
        Self { counts: vec![0; chunk_count as usize].into_boxed_slice(), published: 0 }
    }

    /// Publishes `chunk` to `count` outputs, at least 1; returns a reference for each. All of them
    /// have to be taken.
    ///
    /// # Panics
    ///
    /// If `count` is 0 or above 255, which the limit on outputs rules out.
    #[inline]
    pub(crate) fn publish(&mut self, chunk: Chunk, count: usize) -> ChunkRefs {
        let Chunk(index) = chunk;
        let count = u8::try_from(count).ok().filter(|&count| count > 0);
        let count = count.expect("a published chunk is held by 1 to 255 outputs");
        let held = &mut self.counts[index as usize];
        debug_assert_eq!(*held, 0, "an owned chunk is held by no output");
        *held = count;
        self.published += 1;
        ChunkRefs { index, left: u32::from(count) }
    }

    /// Publishes `chunk` to one output alone, which costs less.
    #[inline]
    pub(crate) fn publish_alone(&mut self, chunk: Chunk) -> ChunkRef {
        debug_assert!((chunk.0 as usize) < self.counts.len(), "a chunk of this region");
        self.published += 1;
        ChunkRef(chunk.0 | ALONE)
    }

    /// Gives a reference back; the last one turns into the chunk.
    ///
    /// # Panics
    ///
    /// If it is [`ChunkRef::NONE`].
    #[inline]
    pub(crate) fn give_back(&mut self, chunk_ref: ChunkRef) -> Option<Chunk> {
        let index = chunk_ref.index();
        if chunk_ref.0 & ALONE == 0 {
            let count = &mut self.counts[index as usize];
            debug_assert!(*count > 0, "a reference stands for a count");
            *count -= 1;
            if *count > 0 {
                return None;
            }
        }
        self.published -= 1;
        Some(Chunk(index))
    }

    /// Returns the number of published chunks.
    pub(crate) const fn published(&self) -> u32 {
        self.published
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunk_comes_back_from_the_kernel_once() {
        let mut free = FreeList::all(2);
        let mut in_flight = InFlight::none(2);
        let index = in_flight.insert(free.take().unwrap());
        assert_eq!(in_flight.count(), 1);
        assert_eq!(in_flight.remove(index), Some(Chunk(index)));
        assert_eq!(in_flight.remove(index), None, "given back twice");
        assert_eq!(in_flight.remove(1 - index), None, "never in flight");
        assert_eq!(in_flight.remove(99), None, "not a chunk");
        assert_eq!(in_flight.count(), 0);
    }

    #[test]
    fn a_published_chunk_comes_back_with_its_last_share() {
        let mut refs = RefCounts::none(1);
        let mut chunk_refs = refs.publish(FreeList::all(1).take().unwrap(), 2);
        let (first, second) = (chunk_refs.take(), chunk_refs.take());
        assert_eq!(refs.published(), 1);
        assert_eq!(refs.give_back(first), None);
        assert_eq!(refs.give_back(second), Some(Chunk(0)));
        assert_eq!(refs.published(), 0);
    }

    #[test]
    fn a_chunk_published_to_one_alone_comes_back_with_its_share() {
        let mut refs = RefCounts::none(2);
        let mut free = FreeList::all(2);
        let (first, second) = (free.take().unwrap(), free.take().unwrap());
        let chunk_ref = refs.publish_alone(second);
        assert_eq!((chunk_ref.index(), refs.published()), (1, 1));
        assert_eq!(refs.give_back(chunk_ref), Some(Chunk(1)));
        assert_eq!((refs.published(), first), (0, Chunk(0)));
    }

    #[test]
    fn the_chunk_given_last_is_taken_first() {
        let mut free = FreeList::all(3);
        let (first, second) = (free.take().unwrap(), free.take().unwrap());
        let expected = first.index();
        free.give(second);
        free.give(first);
        assert_eq!(free.take().unwrap().index(), expected);
    }
}
