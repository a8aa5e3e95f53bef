//! Layout of a ring in memory, as docs/ring-abi.md and `vxtap.h` describe it to other programs.
//!
//! ```text
//!   ring, written by the engine only            tail, written by the consumer
//!   0    header                                 0   tail
//!   128  head
//!   256  writer gone: not 0 once the writer has ended
//!   260  revoked: not 0 once the chunks have been taken back
//!   512  descriptors, 32 bytes each
//! ```
//!
//! Head, flag and tail are on cache lines of their own, two lines apart since CPUs fetch lines in
//! pairs: a store by one side does not take the other's line away.

use super::Descriptor;

/// Version of everything that two processes agree on: this layout, the descriptor, and the words on
/// the socket.
pub(crate) const VERSION: u32 = 2;
/// The first eight bytes of a ring: `vxtapRNG`.
pub(crate) const MAGIC: [u8; 8] = *b"vxtapRNG";

/// Offset of the head, a `u64`: descriptors before this position are published.
pub(crate) const HEAD: usize = 128;
/// Offset of the flag, a `u32`: not 0 once the worker publishes no more, stored after its last
/// store to the head.
pub(crate) const WRITER_GONE: usize = 256;
/// Offset of the flag, a `u32`: not 0 once the worker has taken back chunks that the consumer had
/// not released, because it was disconnected. Stored before the first of them can change.
pub(crate) const REVOKED: usize = 260;
/// Offset of the tail of a ring inside of this process, which is in the same memory.
pub(crate) const LOCAL_TAIL: usize = 384;
/// Offset of the descriptors.
pub(crate) const DESCRIPTORS: usize = 512;
/// Offset of the tail, a `u64`, of a ring of another process, in a file of its own of
/// [`TAIL_BYTES`]: descriptors before this position are released.
pub(crate) const TAIL: usize = 0;
/// Size of that file: a page.
pub(crate) const TAIL_BYTES: usize = 4096;

/// Offset and size of the descriptors in bytes, as the header has them.
pub(crate) const DESCRIPTORS_OFFSET: u32 = 512;
pub(crate) const DESCRIPTOR_BYTES: u32 = 32;

/// Returns the bytes of a ring of `len` descriptors.
pub(crate) const fn bytes(len: usize) -> usize {
    DESCRIPTORS + len * size_of::<Descriptor>()
}

/// Header at the beginning of a ring that another process reads. Native byte order: both processes
/// are on one machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(C)]
pub(crate) struct Header {
    pub(crate) magic: [u8; 8],
    pub(crate) version: u32,
    /// Number of descriptors, a power of two.
    pub(crate) ring_len: u32,
    /// Bytes of a descriptor: 32.
    pub(crate) descriptor_size: u32,
    /// Offset of the descriptors in bytes.
    pub(crate) descriptors: u32,
    /// Bytes of a chunk of the UMEM.
    pub(crate) chunk_size: u32,
    /// Number of chunks.
    pub(crate) chunk_count: u32,
    /// Index of the interface in `capture.interface`.
    pub(crate) interface: u32,
    /// RX queue of the interface.
    pub(crate) queue: u32,
}

const _: () = assert!(
    DESCRIPTORS_OFFSET as usize == DESCRIPTORS
        && DESCRIPTOR_BYTES as usize == size_of::<Descriptor>()
);
const _: () = assert!(size_of::<Header>() == 40 && HEAD >= 40);
