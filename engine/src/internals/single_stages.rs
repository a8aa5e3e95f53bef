//! Single stages of the data path, each small enough to time.

use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use vxtap_ebpf::parse::Source;

use crate::config;
use crate::decap::{Ports, plain_vxlan, tunnel};
use crate::flow::Flow;
use crate::ring::{self, Consumer, Descriptor, Next, Writer};
use crate::session::{Directory, SessionId, SessionKey, SessionTable, Vni};
use crate::xsk::{FreeList, Geometry, HEADROOM, Pages, RefCounts, Umem};

/// Removes the tunnel headers as a worker does. Returns the range of the captured part of the inner
/// frame in `outer`.
#[inline]
pub fn decap(outer: &[u8]) -> Option<Range<usize>> {
    let inner = plain_vxlan(outer, config::VXLAN_PORT)
        .or_else(|| tunnel(outer, outer.len(), &Ports::default()).ok())?;
    Some(inner.start..inner.start + inner.captured_len)
}

/// The table of declared sessions.
#[derive(Debug)]
pub struct SessionLookup(SessionTable);

impl SessionLookup {
    /// A table of valid declarations.
    pub fn new(sessions: &[config::Session]) -> Self {
        let mut directory = Directory::default();
        let ids = directory.assign(sessions);
        Self(SessionTable::new(sessions, &ids, directory.names()))
    }

    /// Returns the number of the session that mirrors from `source` with `vni`, 0 if it is not
    /// declared.
    #[inline]
    pub fn find(&self, source: [u8; 4], vni: Vni) -> u32 {
        self.0.find(SessionKey::new(Source::V4(source), vni)).0
    }
}

/// The symmetric hash of inner flows, with a seed.
#[derive(Clone, Copy, Debug)]
pub struct FlowHash {
    /// Seed of the hash, the same for all workers of an engine.
    pub seed: u64,
}

impl FlowHash {
    /// Returns the hash of the frame's flow; `None` if it is not IP.
    #[inline]
    pub fn of(self, session: u32, inner: &[u8]) -> Option<u64> {
        Some(Flow::of(inner)?.hash(SessionId(session), self.seed))
    }
}

/// An output ring with both its ends on one thread.
#[derive(Debug)]
pub struct Ring {
    umem: Arc<Umem>,
    free: FreeList,
    refs: RefCounts,
    writer: Writer,
    consumer: Consumer,
}

impl Ring {
    /// A ring of `len` slots, a power of two, and as many chunks.
    ///
    /// # Panics
    ///
    /// If there is no memory.
    pub fn new(len: u32) -> Self {
        let (umem, free) = Umem::create(Geometry::new(2048, len), Pages::Ordinary).expect("memory");
        let umem = Arc::new(umem);
        let (writer, reader) =
            ring::ring(len as usize, umem.clone(), ring::QueueId::default()).expect("memory");
        let consumer = Consumer::new(vec![reader]);
        Self { umem, free, refs: RefCounts::none(len), writer, consumer }
    }

    /// Publishes up to `count` frames of 64 bytes, with one store. Returns how many there was room
    /// for.
    #[inline]
    pub fn publish(&mut self, count: usize) -> usize {
        let Self { umem, free, refs, writer, .. } = self;
        let count = count.min(writer.room()).min(free.len());
        let mut descriptor =
            Descriptor { len: 64, original_len: 64, session: 1, ..Descriptor::default() };
        for _ in 0..count {
            let Some(chunk) = free.take() else { break };
            descriptor.addr = umem.address_of(&chunk) + u64::from(HEADROOM);
            writer.push_all([(&descriptor, refs.publish_alone(chunk))]);
        }
        writer.publish();
        count
    }

    /// Reads the first byte of each frame of a batch, then releases the batch. Returns the number
    /// of frames and the sum of the bytes.
    #[inline]
    pub fn consume(&mut self) -> (usize, u64) {
        let Next::Batch(batch) = self.consumer.next(Duration::ZERO) else { return (0, 0) };
        batch.iter().fold((0, 0), |(count, sum), frame| {
            let first = frame.segments().next().and_then(|bytes| bytes.first());
            (count + 1, sum + u64::from(*first.unwrap_or(&0)))
        })
    }

    /// Takes the chunks of the released frames back. Returns how many are free.
    #[inline]
    pub fn reclaim(&mut self) -> usize {
        let Self { free, refs, writer, .. } = self;
        writer.reclaim(|chunk_ref| {
            refs.give_back(chunk_ref).into_iter().for_each(|chunk| free.give(chunk));
        });
        free.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_chunks_of_a_ring_go_round() {
        let mut ring = Ring::new(512);
        for _ in 0..3 {
            assert_eq!((ring.publish(500), ring.publish(500)), (500, 12));
            let mut consumed = 0;
            while consumed < 512 {
                consumed += ring.consume().0;
            }
            assert_eq!(ring.reclaim(), 512);
        }
    }
}
