//! The headers of a frame in several chunks: in one piece for the code that reads them, wherever
//! the frame is divided.

use super::chain::{ChainedChunk, FurtherChunks};
use crate::flow::{Addresses, Flow};
use crate::ring::Descriptor;
use crate::xsk::{FreeList, RxFrame, RxQueue};

/// Bytes of a frame that have all its headers, unless it has IPv6 extension headers: Ethernet, two
/// VLAN tags, IPv4 with all options, ports; or IPv6 and ports.
pub(super) const HEADERS_LEN: usize = 128;

/// Bytes of a frame that can belong to an IP packet: link header with two VLAN tags, IPv6 header
/// and the longest payload, rounded up. Whatever is behind them is padding.
const FRAME_MAX: usize = 66 << 10;

/// The chunks of a frame, before it is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Parts<'a> {
    first: &'a RxFrame,
    further: &'a [ChainedChunk],
}

impl<'a> Parts<'a> {
    /// Returns the chunks of a frame whose further chunks are a range of `chained`.
    pub(super) fn new(
        first: &'a RxFrame,
        further: FurtherChunks,
        chained: &'a [ChainedChunk],
    ) -> Self {
        Self { first, further: &chained[further.range()] }
    }

    /// Returns the number of bytes in all chunks.
    pub(super) fn len(&self) -> usize {
        let further = self.further.iter().map(|chunk| chunk.received.len() as usize);
        self.first.len() as usize + further.sum::<usize>()
    }
}

/// Buffer in which the bytes of a frame in several chunks are put together. Allocated once.
#[derive(Debug)]
pub(super) struct HeadBuffer(Vec<u8>);

impl HeadBuffer {
    /// Allocates the memory for the longest frame.
    pub(super) fn new() -> Self {
        Self(Vec::with_capacity(FRAME_MAX))
    }

    /// Returns the number of bytes that it has memory for.
    #[cfg(test)]
    pub(super) const fn capacity(&self) -> usize {
        self.0.capacity()
    }

    /// Returns up to `len` bytes of a frame, without padding behind the longest IP packet, from the
    /// offset `addr` in the UMEM on, which lies in the first chunk or at its end.
    #[cold]
    pub(super) fn gather(
        &mut self,
        queue: &RxQueue,
        parts: Parts<'_>,
        addr: u64,
        len: u32,
    ) -> &[u8] {
        let Self(bytes) = self;
        bytes.clear();
        let first = queue.part(parts.first, addr, u32::MAX);
        let further = parts.further.iter().map(|chunk| queue.frame(&chunk.received));
        for part in std::iter::once(first).chain(further) {
            let room = FRAME_MAX.min(len as usize) - bytes.len();
            bytes.extend_from_slice(&part[..part.len().min(room)]);
        }
        bytes
    }

    /// Returns up to `len` bytes of the inner frame, with everything that decides about its flow
    /// and its direction: those in the first chunk if they suffice, else all.
    #[cold]
    pub(super) fn inner<'a>(
        &'a mut self,
        queue: &'a RxQueue,
        parts: Parts<'a>,
        descriptor: &Descriptor,
        len: u32,
    ) -> &'a [u8] {
        let here = queue.part(parts.first, descriptor.addr, len);
        let flow = Flow::in_frame(here, descriptor.link());
        let is_behind_extensions = flow.is_some_and(|flow| {
            matches!(flow.addresses, Addresses::V6 { .. }) && flow.ports.is_none()
        });
        if here.len() >= HEADERS_LEN && !is_behind_extensions {
            here
        } else {
            self.gather(queue, parts, descriptor.addr, len)
        }
    }
}

/// Moves bytes from the further chunks of a frame into `first`, until that is full or has all of
/// them. Chunks that become empty go to `free`.
pub(super) fn fill_first_chunk(
    queue: &RxQueue,
    first: &mut RxFrame,
    further: &mut FurtherChunks,
    chained: &mut [ChainedChunk],
    free: &mut FreeList,
) {
    let range = further.range();
    for index in range.clone() {
        let part = &mut chained[index].received;
        let room = queue.room_behind(first);
        let moved = queue.part(part, part.addr(), u32::try_from(room).unwrap_or(u32::MAX));
        let count = moved.len();
        queue.append(first, moved);
        part.remove_front(count);
        if part.len() > 0 {
            return;
        }
        free.give(part.take_chunk());
        *further = FurtherChunks::new(index + 1, range.end - index - 1);
    }
}
