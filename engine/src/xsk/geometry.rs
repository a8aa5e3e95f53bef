//! Layout of a UMEM: the positions of chunks and frames.

use super::chunk::ChunkRef;

/// Bytes in front of each frame beyond those that the kernel keeps free anyway
/// (`XDP_PACKET_HEADROOM`, 256 bytes,
/// [`include/uapi/linux/bpf.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/bpf.h)):
/// the arrival time lies in them. Without, it would lie at the end of the cache line before the
/// frame's first; with, the time and the outer headers share a line, and the inner headers of an
/// IPv4 mirror (62 to 102 bytes into the frame) lie in the next.
pub(super) const EXTRA_HEADROOM: u32 = 16;

/// Bytes of a chunk in front of its frame.
pub(crate) const HEADROOM: u32 = 256 + EXTRA_HEADROOM;

/// Size and number of the chunks of a UMEM. Chunk `i` starts at byte `i * chunk_size`.
///
/// ```text
///   chunk:  | kernel headroom, 256 bytes | arrival time, 16 bytes | frame ...  |
///           0                            256                      272
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Geometry {
    chunk_size_log2: u32,
    chunk_count: u32,
}

impl Geometry {
    /// `chunk_count` chunks of `chunk_size` bytes.
    ///
    /// # Panics
    ///
    /// If `chunk_size` is not a power of two from 2048 to 65536 or there is no chunk. The kernel
    /// takes 2048 and 4096, which the configuration sees to; chunks that it never sees may be
    /// larger.
    pub(crate) const fn new(chunk_size: u32, chunk_count: u32) -> Self {
        assert!(chunk_size.is_power_of_two(), "chunk sizes are powers of two");
        assert!(chunk_size >= 2048 && chunk_size <= 65_536, "chunks are 2 to 64 KiB");
        assert!(chunk_count > 0, "a UMEM has at least one chunk");
        Self { chunk_size_log2: chunk_size.ilog2(), chunk_count }
    }

    /// Returns the bytes per chunk.
    pub(crate) const fn chunk_size(self) -> u32 {
        1 << self.chunk_size_log2
    }

    /// Returns the number of chunks.
    pub(crate) const fn chunk_count(self) -> u32 {
        self.chunk_count
    }

    /// Returns the size of the whole region in bytes.
    pub(crate) const fn len(self) -> u64 {
        (self.chunk_count as u64) << self.chunk_size_log2
    }

    /// Returns the length, in bytes, of the longest frame that fits into one chunk.
    pub(crate) const fn frame_max(self) -> u32 {
        self.chunk_size() - HEADROOM
    }

    /// Returns the address of a chunk: the offset of its first byte in the UMEM.
    #[inline]
    pub(super) const fn start(self, index: u32) -> u64 {
        (index as u64) << self.chunk_size_log2
    }

    /// Returns the index of the chunk that `addr` lies in, and the offset in it. Indices beyond the
    /// last chunk are of no chunk.
    #[inline]
    pub(super) fn locate(self, addr: u64) -> (u32, u32) {
        let index = u32::try_from(addr >> self.chunk_size_log2).unwrap_or(u32::MAX);
        #[expect(clippy::cast_possible_truncation, reason = "less than the size of a chunk")]
        let offset = (addr & (u64::from(self.chunk_size()) - 1)) as u32;
        (index, offset)
    }

    /// Returns whether the `len` bytes at `addr` and the `before` bytes in front of them lie in the
    /// chunk that is referred to. Neither sum can wrap round and be accepted: an index has 31 bits
    /// and a chunk at most 16, so that an address that lies in the chunk is far from the end of the
    /// address space.
    #[inline]
    pub(crate) fn is_covered(self, addr: u64, before: u16, len: u32, chunk: &ChunkRef) -> bool {
        let is_in = |addr: u64| addr >> self.chunk_size_log2 == u64::from(chunk.index());
        is_in(addr.wrapping_sub(u64::from(before)))
            && is_in(addr.wrapping_add(u64::from(len)).wrapping_sub(1))
    }

    /// Returns whether `len` bytes from `offset` on lie inside of one chunk, with room for an
    /// arrival time in front.
    #[inline]
    pub(super) fn holds(self, offset: u32, len: u32) -> bool {
        let fits = offset.checked_add(len).is_some_and(|end| end <= self.chunk_size());
        fits && offset as usize >= vxtap_ebpf::arrival::AREA_LEN
    }

    /// Returns the chunk in which the `len` bytes at `addr` lie, with room for an arrival time in
    /// front; `None` if they reach outside of it or of the region.
    #[inline]
    pub(super) fn chunk_of(self, addr: u64, len: u32) -> Option<u32> {
        let (index, offset) = self.locate(addr);
        (index < self.chunk_count && self.holds(offset, len)).then_some(index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_in_one_chunk_name_it_and_bytes_across_an_edge_name_none() {
        let geometry = Geometry::new(4096, 4);
        assert_eq!(geometry.chunk_of(256, 1500), Some(0));
        assert_eq!(geometry.chunk_of(3 * 4096 + 256, 3840), Some(3));
        assert_eq!(geometry.chunk_of(3 * 4096 + 256, 3841), None);
        assert_eq!(geometry.chunk_of(4 * 4096 + 256, 1), None);
        assert_eq!(geometry.chunk_of(4096 + 15, 1), None, "no room for the arrival time");
        assert_eq!(geometry.chunk_of(u64::MAX, 1), None);
        assert_eq!(geometry.chunk_of(256, u32::MAX), None);
    }
}
