//! The ring from one worker to one consumer: a single producer, a single consumer, in order.
//!
//! ```text
//!            reclaimed          tail               head
//!   ───────────┬─────────────────┬──────────────────┬─────────────
//!     chunks   │ released, on    │ published, the   │ free slots
//!     back     │ the way back    │ consumer reads   │
//! ```
//!
//! Positions count up for ever in `u64` and never wrap; the slot is the position modulo the length.
//! Each side writes one position and reads the other's. The worker keeps its own list of what it
//! has published and takes chunks back by that list, never by what the consumer could have written:
//! the tail is all that a consumer of another process can write, and an invalid tail ends its
//! service.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::attached_ring::AttachedRing;
use super::layout::{self, Header, VERSION};
use super::ring_memory::{Files, RingMemory};
use super::{PeerState, QueueId, Reader, Writer};
use crate::xsk::{Geometry, Umem};

/// Makes a ring of `len` descriptors (a power of two) for frames in `umem`, inside of this process.
///
/// # Errors
///
/// If there is no memory.
///
/// # Panics
///
/// If `len` is not a power of two; the configuration admits no other.
pub(crate) fn ring(len: usize, umem: Arc<Umem>, queue_id: QueueId) -> io::Result<(Writer, Reader)> {
    let memory = Arc::new(RingMemory::local(len)?);
    let peer_state = Arc::<PeerState>::default();
    let writer = Writer::new(memory.clone(), umem.clone(), peer_state.clone());
    Ok((writer, Reader::new(memory, umem, queue_id, peer_state)))
}

/// The files that another process needs to read from a ring.
#[derive(Debug)]
pub(crate) struct RingFds {
    pub(crate) umem: OwnedFd,
    pub(crate) files: Files,
    /// To be marked when the process is gone.
    pub(crate) peer_state: Arc<PeerState>,
}

/// Makes a ring as [`ring`] does, for a consumer in another process.
///
/// # Errors
///
/// If there is no memory, or no descriptor.
///
/// # Panics
///
/// As [`ring`].
pub(crate) fn shared_ring(
    len: u32,
    umem: Arc<Umem>,
    queue_id: QueueId,
) -> io::Result<(Writer, RingFds)> {
    let geometry = umem.geometry();
    let header = Header {
        magic: layout::MAGIC,
        version: VERSION,
        ring_len: len,
        descriptor_size: layout::DESCRIPTOR_BYTES,
        descriptors: layout::DESCRIPTORS_OFFSET,
        chunk_size: geometry.chunk_size(),
        chunk_count: geometry.chunk_count(),
        interface: u32::try_from(queue_id.interface).map_err(io::Error::other)?,
        queue: queue_id.queue,
    };
    let file = umem.file().ok_or_else(|| io::Error::other("the memory is another process's"))?;
    let file = file.try_clone_to_owned()?;
    let (memory, files) = RingMemory::shared(&header)?;
    let peer_state = Arc::<PeerState>::default();
    let writer = Writer::new(Arc::new(memory), umem, peer_state.clone());
    Ok((writer, RingFds { umem: file, files, peer_state }))
}

/// Opens the reading end of a ring that another process has made. It reads copies of the frames:
/// the other process may take its memory back at any time.
///
/// # Errors
///
/// If the files are not what [`shared_ring`] makes, or cannot be mapped.
pub(crate) fn open(umem: &OwnedFd, files: &Files) -> io::Result<Reader> {
    let (shared, header) = RingMemory::open(files)?;
    let geometry = Geometry::new(header.chunk_size, header.chunk_count);
    let umem = Umem::open(umem.as_fd(), geometry)?;
    let memory = RingMemory::local(shared.len())?;
    let interface = usize::try_from(header.interface).map_err(io::Error::other)?;
    let queue_id = QueueId { interface, queue: header.queue };
    Ok(Reader::of_attached(memory, AttachedRing::new(shared, umem)?, queue_id))
}
