//! Ownership of chunks, in types.
//!
//! ```text
//!   Chunk (free list) ──► Lent (fill ring, kernel, RX ring) ──► Chunk (worker) ──► Share, Share ... (outputs) ──► Chunk
//! ```
//!
//! None of the types is `Copy` or `Clone`, and none can be made outside of this module, so that
//! safe code can neither use a chunk twice nor give it back twice.
#![expect(clippy::needless_pass_by_value, reason = "taking the value is taking the ownership")]

/// A chunk that belongs to whoever holds this value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk(u32);

impl Chunk {
    /// No chunk at all; it has no bytes, and every list of chunks is too short for it.
    pub(super) const NONE: Self = Self(u32::MAX);

    /// Index of the chunk in its UMEM.
    pub(super) const fn index(&self) -> u32 {
        self.0
    }
}

/// Chunks that nobody uses. Last in, first out, so that the ones used next are those whose bytes
/// are still in the cache.
#[derive(Debug)]
pub(crate) struct FreeList {
    /// The first `len` are free.
    indices: Box<[u32]>,
    len: usize,
}

impl FreeList {
    /// All chunks of a UMEM of `chunk_count` chunks. To be called once for each UMEM.
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

    /// Number of free chunks.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }
}

/// Chunks that the kernel has, from the fill ring to the RX ring.
#[derive(Debug)]
pub(crate) struct InFlight {
    is_lent: Box<[bool]>,
    count: u32,
}

impl InFlight {
    /// Nothing lent yet, of `chunk_count` chunks.
    pub(super) fn none(chunk_count: u32) -> Self {
        Self { is_lent: vec![false; chunk_count as usize].into_boxed_slice(), count: 0 }
    }

    /// Notes that the kernel gets `chunk`, and returns its index.
    #[inline]
    pub(super) fn lend(&mut self, chunk: Chunk) -> u32 {
        let Chunk(index) = chunk;
        self.is_lent[index as usize] = true;
        self.count += 1;
        index
    }

    /// The chunk that the kernel gives back, or `None` if it did not have it.
    #[inline]
    pub(super) fn take_back(&mut self, index: u32) -> Option<Chunk> {
        let is_lent = self.is_lent.get_mut(index as usize)?;
        if !std::mem::replace(is_lent, false) {
            return None;
        }
        self.count -= 1;
        Some(Chunk(index))
    }

    /// Number of chunks that the kernel has.
    pub(crate) const fn count(&self) -> u32 {
        self.count
    }
}

/// One output's claim on a published chunk. Bit 31 is set if it is the only one.
#[derive(Debug)]
pub(crate) struct ChunkRef(u32);

const ALONE: u32 = 1 << 31;

impl ChunkRef {
    /// A claim on nothing, to fill a list with.
    pub(crate) const NONE: Self = Self(!ALONE);

    /// Index of the chunk in its UMEM.
    pub(super) const fn index(&self) -> u32 {
        self.0 & !ALONE
    }
}

/// The claims that a chunk was published with.
#[derive(Debug)]
pub(crate) struct ChunkRefs {
    index: u32,
    left: u32,
}

impl ChunkRefs {
    /// No claims.
    pub(crate) const NONE: Self = Self { index: u32::MAX, left: 0 };

    /// The next claim.
    ///
    /// # Panics
    ///
    /// If all have been taken.
    #[inline]
    pub(crate) const fn take(&mut self) -> ChunkRef {
        self.left =
            self.left.checked_sub(1).expect("no more claims than the chunk was published with");
        ChunkRef(self.index)
    }
}

/// How many outputs hold each published chunk.
#[derive(Debug)]
pub(crate) struct RefCounts {
    counts: Box<[u8]>,
    published: u32,
}

impl RefCounts {
    /// Nothing published yet, of `chunk_count` chunks.
    pub(crate) fn none(chunk_count: u32) -> Self {
        Self { counts: vec![0; chunk_count as usize].into_boxed_slice(), published: 0 }
    }

    /// Publishes `chunk` to `count` outputs, at least 1: a claim for each. All of them have to be
    /// taken.
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

    /// Gives a claim back; the last one turns into the chunk.
    ///
    /// # Panics
    ///
    /// If it is [`ChunkRef::NONE`].
    #[inline]
    pub(crate) fn give_back(&mut self, share: ChunkRef) -> Option<Chunk> {
        let index = share.index();
        if share.0 & ALONE == 0 {
            let count = &mut self.counts[index as usize];
            debug_assert!(*count > 0, "a claim stands for a count");
            *count -= 1;
            if *count > 0 {
                return None;
            }
        }
        self.published -= 1;
        Some(Chunk(index))
    }

    /// Number of published chunks.
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
        let mut lent = InFlight::none(2);
        let index = lent.lend(free.take().unwrap());
        assert_eq!(lent.count(), 1);
        assert_eq!(lent.take_back(index), Some(Chunk(index)));
        assert_eq!(lent.take_back(index), None, "given back twice");
        assert_eq!(lent.take_back(1 - index), None, "never lent");
        assert_eq!(lent.take_back(99), None, "not a chunk");
        assert_eq!(lent.count(), 0);
    }

    #[test]
    fn a_published_chunk_comes_back_with_its_last_share() {
        let mut holders = RefCounts::none(1);
        let mut shares = holders.publish(FreeList::all(1).take().unwrap(), 2);
        let (first, second) = (shares.take(), shares.take());
        assert_eq!(holders.published(), 1);
        assert_eq!(holders.give_back(first), None);
        assert_eq!(holders.give_back(second), Some(Chunk(0)));
        assert_eq!(holders.published(), 0);
    }

    #[test]
    fn a_chunk_published_to_one_alone_comes_back_with_its_share() {
        let mut holders = RefCounts::none(2);
        let mut free = FreeList::all(2);
        let (first, second) = (free.take().unwrap(), free.take().unwrap());
        let share = holders.publish_alone(second);
        assert_eq!((share.index(), holders.published()), (1, 1));
        assert_eq!(holders.give_back(share), Some(Chunk(1)));
        assert_eq!((holders.published(), first), (0, Chunk(0)));
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
