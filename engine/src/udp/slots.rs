//! Buffers for the datagrams of a batch: chunks, and room for what does not fit into them.

use std::array;
use std::io::{self, IoSliceMut};
use std::os::fd::BorrowedFd;

use super::PAYLOAD;
use crate::sys::recvmmsg::{BATCH, Datagram, Datagrams};
use crate::xsk::{DriverChunk, DriverRings, HEADROOM};

/// Most chunks that a datagram is given beforehand; a longer datagram overflows.
pub(super) const SEGMENTS_MAX: usize = 6;
/// Bytes of the longest datagram.
const DATAGRAM_MAX: usize = 65_535;

/// The datagrams of the last batch, and the bytes that did not fit into their chunks. Pages of the
/// overflow that are never written to cost no memory.
#[derive(Debug)]
pub(super) struct Slots {
    datagrams: Datagrams,
    overflow: Box<[u8]>,
}

impl Slots {
    pub(super) fn new() -> Self {
        Self { datagrams: Datagrams::new(), overflow: vec![0; BATCH * DATAGRAM_MAX].into() }
    }

    /// Receives datagrams without waiting, each into `segments` of the `chunks`; returns their
    /// number.
    ///
    /// # Errors
    ///
    /// The errno of the system call, EAGAIN if there is no datagram.
    pub(super) fn receive(
        &mut self,
        fd: BorrowedFd<'_>,
        rings: &DriverRings,
        chunks: &mut [DriverChunk],
        segments: usize,
    ) -> io::Result<usize> {
        let mut buffers: [[IoSliceMut<'_>; SEGMENTS_MAX + 1]; BATCH] =
            array::from_fn(|_| array::from_fn(|_| IoSliceMut::new(&mut [])));
        let count = chunks.len() / segments;
        let overflow = self.overflow.chunks_mut(DATAGRAM_MAX);
        let of_datagrams = chunks.chunks_mut(segments).zip(overflow).zip(&mut buffers);
        for ((chunks, overflow), buffers) in of_datagrams {
            for (segment, (buffer, chunk)) in buffers.iter_mut().zip(chunks).enumerate() {
                let offset = if segment == 0 { PAYLOAD } else { HEADROOM };
                *buffer = IoSliceMut::new(&mut rings.bytes_mut(chunk)[offset as usize..]);
            }
            buffers[segments] = IoSliceMut::new(overflow);
        }
        self.datagrams.receive(fd, &mut buffers[..count])
    }

    /// Returns the `nth` datagram of the last batch.
    pub(super) fn datagram(&self, nth: usize) -> Datagram {
        self.datagrams.datagram(nth)
    }

    /// Returns the last `len` bytes of the `nth` datagram, which did not fit into its chunks.
    pub(super) fn overflow(&self, nth: usize, len: usize) -> &[u8] {
        &self.overflow[nth * DATAGRAM_MAX..][..len.min(DATAGRAM_MAX)]
    }
}
