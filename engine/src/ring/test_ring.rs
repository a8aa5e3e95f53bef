//! A ring to which tests add frames, divided among chunks as they like.

use std::sync::Arc;

use super::{Descriptor, QueueId, Reader, Writer, ring};
use crate::xsk::{FreeList, Geometry, Pages, RefCounts, Umem};

/// The worker's end of the ring, with its chunks.
pub(crate) struct TestRing {
    umem: Arc<Umem>,
    free: FreeList,
    refs: RefCounts,
    pub(crate) writer: Writer,
}

/// Returns a ring of `len` descriptors, and as many chunks of 2048 bytes.
pub(crate) fn test_ring(len: u32) -> (TestRing, Reader) {
    let (umem, free) = Umem::create(Geometry::new(2048, len), Pages::Ordinary).unwrap();
    let umem = Arc::new(umem);
    let (writer, reader) = ring(len as usize, umem.clone(), QueueId::default()).unwrap();
    (TestRing { umem, free, refs: RefCounts::none(len), writer }, reader)
}

impl TestRing {
    /// Publishes a frame whose parts lie in a chunk each, the first one behind these outer headers.
    /// Everything else is as in `like`.
    pub(crate) fn push(&mut self, outer: &[u8], parts: &[&[u8]], like: Descriptor) {
        for (nth, part) in parts.iter().enumerate() {
            let mut chunk = self.free.take().unwrap();
            let outer = if nth == 0 { outer } else { &[] };
            let start = 256 + outer.len();
            let bytes = self.umem.bytes_mut(&mut chunk);
            bytes[256..start].copy_from_slice(outer);
            bytes[start..start + part.len()].copy_from_slice(part);
            let descriptor = Descriptor {
                addr: self.umem.address_of(&chunk) + start as u64,
                len: u32::try_from(part.len()).unwrap(),
                outer_len: u16::try_from(outer.len()).unwrap(),
                flags: like.flags | if nth + 1 < parts.len() { Descriptor::CONTINUES } else { 0 },
                ..like
            };
            self.writer.push_all([(&descriptor, self.refs.publish(chunk, 1).take())]);
        }
        self.writer.publish();
    }
}
