//! The ring from one worker to one consumer: a single producer, a single consumer, in order.
//!
//! ```text
//!            reclaimed          tail               head
//!   ───────────┬─────────────────┬──────────────────┬─────────────
//!     chunks   │ released, on    │ published, the   │ free slots
//!     back     │ the way home    │ consumer reads   │
//! ```
//!
//! Positions count up for ever in `u64` and never wrap; the slot is the position modulo the length.
//! Each side writes one position and reads the other's. The worker keeps its own list of what it
//! has published and takes chunks back by that list, never by what the consumer could have written:
//! the tail is all that a consumer of another process can write, and one that makes no sense cuts
//! it off.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use super::layout::{self, Header, VERSION};
use super::memory::{Files, Memory};
use super::{Reader, Writer};
use crate::xsk::{Geometry, Umem};

/// Where the frames of a ring come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct QueueId {
    /// Place of the interface in the configuration.
    pub(crate) interface: usize,
    /// RX queue of it.
    pub(crate) queue: u32,
}

/// What this process knows of the consumer of a ring. A consumer of another process cannot touch
/// it.
#[derive(Debug, Default)]
pub(crate) struct PeerState {
    is_gone: AtomicBool,
    has_invalid_tail: AtomicBool,
}

impl PeerState {
    /// The consumer reads no more; to be said after its last read.
    pub(crate) fn leave(&self) {
        self.is_gone.store(true, Ordering::Release);
    }

    /// Whether it reads no more.
    #[inline]
    pub(crate) fn is_gone(&self) -> bool {
        self.is_gone.load(Ordering::Acquire)
    }

    /// Whether it has been cut off, because its tail made no sense.
    pub(crate) fn has_invalid_tail(&self) -> bool {
        self.has_invalid_tail.load(Ordering::Acquire)
    }

    #[cold]
    pub(super) fn cut_off(&self) {
        self.has_invalid_tail.store(true, Ordering::Release);
        self.leave();
    }
}

/// A ring of `len` descriptors (a power of two) for frames in `umem`, inside of this process.
///
/// # Errors
///
/// If there is no memory.
///
/// # Panics
///
/// If `len` is not a power of two; the configuration admits no other.
pub(crate) fn ring(len: usize, umem: Arc<Umem>, origin: QueueId) -> io::Result<(Writer, Reader)> {
    let memory = Arc::new(Memory::local(len)?);
    let presence = Arc::<PeerState>::default();
    let writer = Writer::new(memory.clone(), umem.clone(), presence.clone());
    Ok((writer, Reader::new(memory, umem, origin, presence)))
}

/// The end of a ring that another process is given.
#[derive(Debug)]
pub(crate) struct RingFds {
    pub(crate) umem: OwnedFd,
    pub(crate) files: Files,
    /// To be told when the process is gone.
    pub(crate) presence: Arc<PeerState>,
}

/// A ring as [`ring`] makes it, for a consumer in another process.
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
    origin: QueueId,
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
        interface: u32::try_from(origin.interface).map_err(io::Error::other)?,
        queue: origin.queue,
    };
    let file = umem.file().ok_or_else(|| io::Error::other("the memory is another process's"))?;
    let file = file.try_clone_to_owned()?;
    let (memory, files) = Memory::shared(&header)?;
    let presence = Arc::<PeerState>::default();
    let writer = Writer::new(Arc::new(memory), umem, presence.clone());
    Ok((writer, RingFds { umem: file, files, presence }))
}

/// The reading end of a ring that another process has handed over.
///
/// # Errors
///
/// If the files are not what [`shared_ring`] makes, or cannot be mapped.
pub(crate) fn open(umem: &OwnedFd, files: &Files) -> io::Result<Reader> {
    let (memory, header) = Memory::open(files)?;
    let geometry = Geometry::new(header.chunk_size, header.chunk_count);
    let umem = Umem::open(umem.as_fd(), geometry)?;
    let interface = usize::try_from(header.interface).map_err(io::Error::other)?;
    let origin = QueueId { interface, queue: header.queue };
    Ok(Reader::new(Arc::new(memory), Arc::new(umem), origin, Arc::default()))
}
