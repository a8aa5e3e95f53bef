//! Ownership of chunks, in types.
//!
//! ```text
//!   Chunk (free list) ──► Lent (fill ring, kernel, RX ring) ──► Chunk (worker) ──► Share, Share ... (outputs) ──► Chunk
//! ```
//!
//! None of the types is `Copy` or `Clone`, and none can be made outside of this module, so that safe code can neither
//! use a chunk twice nor give it back twice.
#![expect(clippy::needless_pass_by_value, reason = "taking the value is taking the ownership")]

/// A chunk that belongs to whoever holds this value.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Chunk(u32);

impl Chunk {
    /// Index of the chunk in its UMEM.
    pub(super) const fn index(&self) -> u32 {
        self.0
    }
}

/// Chunks that nobody uses. Last in, first out, so that the ones used next are those whose bytes are still in the
/// cache.
#[derive(Debug)]
pub(crate) struct FreeList(Vec<Chunk>);

impl FreeList {
    /// All chunks of a UMEM of `chunk_count` chunks. To be called once for each UMEM.
    pub(super) fn all(chunk_count: u32) -> Self {
        Self((0..chunk_count).rev().map(Chunk).collect())
    }

    /// Takes a chunk out.
    #[inline]
    pub(crate) fn take(&mut self) -> Option<Chunk> {
        self.0.pop()
    }

    /// Puts a chunk back.
    #[inline]
    pub(crate) fn give(&mut self, chunk: Chunk) {
        self.0.push(chunk);
    }

    /// Number of free chunks.
    pub(crate) const fn len(&self) -> usize {
        self.0.len()
    }
}

/// Chunks that the kernel has, from the fill ring to the RX ring.
#[derive(Debug)]
pub(crate) struct Lent {
    is_lent: Box<[bool]>,
    count: u32,
}

impl Lent {
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

/// One output's claim on a published chunk.
#[derive(Debug)]
pub(crate) struct Share(u32);

impl Share {
    /// Index of the chunk in its UMEM.
    pub(super) const fn index(&self) -> u32 {
        self.0
    }
}

/// The claims that a chunk was published with.
#[derive(Debug)]
pub(crate) struct Shares {
    index: u32,
    left: usize,
}

impl Shares {
    /// The next claim.
    ///
    /// # Panics
    ///
    /// If all have been taken.
    #[inline]
    pub(crate) const fn take(&mut self) -> Share {
        self.left = self.left.checked_sub(1).expect("no more claims than the chunk was published with");
        Share(self.index)
    }
}

/// How many outputs hold each published chunk.
#[derive(Debug)]
pub(crate) struct Holders {
    counts: Box<[u8]>,
    published: u32,
}

impl Holders {
    /// Nothing published yet, of `chunk_count` chunks.
    pub(crate) fn none(chunk_count: u32) -> Self {
        Self { counts: vec![0; chunk_count as usize].into_boxed_slice(), published: 0 }
    }

    /// Publishes `chunk` to `count` outputs, at least 1: a claim for each. All of them have to be taken.
    ///
    /// # Panics
    ///
    /// If `count` is 0 or above 255, which the limit on outputs rules out.
    #[inline]
    pub(crate) fn publish(&mut self, chunk: Chunk, count: usize) -> Shares {
        let Chunk(index) = chunk;
        debug_assert_eq!(self.counts[index as usize], 0, "an owned chunk is held by no output");
        assert!(count > 0, "a published chunk is held by somebody");
        self.counts[index as usize] = u8::try_from(count).expect("the number of outputs is limited");
        self.published += 1;
        Shares { index, left: count }
    }

    /// Gives a claim back; the last one turns into the chunk.
    #[inline]
    pub(crate) fn give_back(&mut self, share: Share) -> Option<Chunk> {
        let Share(index) = share;
        let count = &mut self.counts[index as usize];
        debug_assert!(*count > 0, "a claim stands for a count");
        *count -= 1;
        if *count > 0 {
            return None;
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
        let mut lent = Lent::none(2);
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
        let mut holders = Holders::none(1);
        let mut shares = holders.publish(FreeList::all(1).take().unwrap(), 2);
        let (first, second) = (shares.take(), shares.take());
        assert_eq!(holders.published(), 1);
        assert_eq!(holders.give_back(first), None);
        assert_eq!(holders.give_back(second), Some(Chunk(0)));
        assert_eq!(holders.published(), 0);
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
