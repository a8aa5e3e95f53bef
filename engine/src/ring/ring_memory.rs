//! The memory of a ring, as both sides see it.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU32, AtomicU64};

use super::Descriptor;
use super::layout::{
    self, DESCRIPTORS, HEAD, Header, LOCAL_TAIL, REVOKED, TAIL, TAIL_BYTES, WRITER_GONE,
};
use crate::sys::Mapping;
use crate::sys::sealed::{self, Access};

/// Positions and descriptors of a ring, in memory that lives as long as the value.
#[derive(Debug)]
pub(super) struct RingMemory {
    head: NonNull<AtomicU64>,
    tail: NonNull<AtomicU64>,
    writer_gone: NonNull<AtomicU32>,
    revoked: NonNull<AtomicU32>,
    descriptors: NonNull<Descriptor>,
    len: usize,
    /// The ring, and the tail if it lies apart.
    _mappings: (Mapping, Option<Mapping>),
}

// SAFETY: the pointers lead into the mappings that the value itself keeps; positions are atomics,
// and of the descriptors a side touches only those that the positions say are its own (`Writer`,
// `Reader`).
unsafe impl Send for RingMemory {}
// SAFETY: as above.
unsafe impl Sync for RingMemory {}

/// The files of a ring that another process reads.
#[derive(Debug)]
pub(crate) struct Files {
    /// Header, head and descriptors: only the process that made it can write to it.
    pub(crate) ring: OwnedFd,
    /// The tail.
    pub(crate) tail: OwnedFd,
}

impl RingMemory {
    /// Makes memory of this process for `len` descriptors.
    pub(super) fn local(len: usize) -> io::Result<Self> {
        let mapping = Mapping::anonymous(layout::bytes(len))?;
        Ok(Self::new(mapping, None, len))
    }

    /// Makes memory for another process, with its files. `header` says how many descriptors there
    /// are.
    pub(super) fn shared(header: &Header) -> io::Result<(Self, Files)> {
        let len = header.ring_len as usize;
        let (ring_file, ring) = sealed::create(c"vxtap-ring", layout::bytes(len), Access::Read)?;
        let (tail_file, tail) = sealed::create(c"vxtap-tail", TAIL_BYTES, Access::Write)?;
        let place = ring.at::<Header>(0, 1);
        // SAFETY: in bounds and aligned (`Mapping::at`), and no other code has the memory yet.
        unsafe { place.write(*header) };
        Ok((Self::new(ring, Some(tail), len), Files { ring: ring_file, tail: tail_file }))
    }

    /// Maps the memory that another process has made.
    ///
    /// # Errors
    ///
    /// If the files are not what [`Self::shared`] makes.
    pub(super) fn open(files: &Files) -> io::Result<(Self, Header)> {
        let ring = sealed::open(files.ring.as_fd(), Access::Read)?;
        if ring.len() < DESCRIPTORS {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file of a ring is too short",
            ));
        }
        let place = ring.at::<Header>(0, 1);
        // SAFETY: in bounds and aligned (`Mapping::at`); any bytes are a header, and the engine
        // wrote them before it sent the file.
        let header = unsafe { place.read() };
        header
            .check(ring.len())
            .map_err(|problem| io::Error::new(io::ErrorKind::InvalidData, problem))?;
        let tail = sealed::open(files.tail.as_fd(), Access::Write)?;
        if tail.len() < TAIL_BYTES {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "the file of a tail is too short",
            ));
        }
        Ok((Self::new(ring, Some(tail), header.ring_len as usize), header))
    }

    fn new(ring: Mapping, tail: Option<Mapping>, len: usize) -> Self {
        assert!(len.is_power_of_two(), "ring lengths are powers of two");
        Self {
            head: ring.at(HEAD, 1),
            tail: tail.as_ref().map_or_else(|| ring.at(LOCAL_TAIL, 1), |tail| tail.at(TAIL, 1)),
            writer_gone: ring.at(WRITER_GONE, 1),
            revoked: ring.at(REVOKED, 1),
            descriptors: ring.at(DESCRIPTORS, len),
            len,
            _mappings: (ring, tail),
        }
    }

    /// Returns the number of descriptors.
    #[inline]
    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the head: descriptors before this position are published. Written by the worker.
    #[inline]
    pub(super) const fn head(&self) -> &AtomicU64 {
        // SAFETY: `new` got the pointer from `Mapping::at`, so that it is in bounds and aligned,
        // and the mapping lives as long as `self`; an atomic may be shared with another process.
        unsafe { self.head.as_ref() }
    }

    /// Returns the tail: descriptors before this position are released. Written by the consumer.
    #[inline]
    pub(super) const fn tail(&self) -> &AtomicU64 {
        // SAFETY: as for `head`.
        unsafe { self.tail.as_ref() }
    }

    /// Returns the flag that is not 0 once the worker publishes no more. Written by the worker,
    /// after its last store to `head`.
    #[inline]
    pub(super) const fn writer_gone(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        unsafe { self.writer_gone.as_ref() }
    }

    /// Returns the flag that is not 0 once chunks that the consumer has not released have been
    /// taken back. Written by the worker, before the first of them can change.
    #[inline]
    pub(super) const fn revoked(&self) -> &AtomicU32 {
        // SAFETY: as for `head`.
        unsafe { self.revoked.as_ref() }
    }

    /// Returns the address of the descriptor of a position.
    #[inline]
    pub(super) const fn slot(&self, position: u64) -> NonNull<Descriptor> {
        #[expect(clippy::cast_possible_truncation, reason = "the mask takes the lowest bits")]
        let index = position as usize & (self.len - 1);
        // SAFETY: the masked index is below `len`, for which `new` has had the bounds checked.
        unsafe { self.descriptors.add(index) }
    }
}

impl Header {
    /// Checks a header that stands in a file of `bytes` bytes.
    ///
    /// # Errors
    ///
    /// A sentence about the first field that is wrong.
    fn check(&self, bytes: usize) -> Result<(), String> {
        let Self {
            magic,
            version,
            ring_len,
            descriptor_size,
            descriptors,
            chunk_size,
            chunk_count,
            ..
        } = *self;
        if magic != layout::MAGIC {
            return Err("the file is not a ring of vxtap's".to_owned());
        }
        if version != layout::VERSION {
            return Err(format!(
                "the ring has version {version}, and version {} is known here",
                layout::VERSION
            ));
        }
        let is_sound = ring_len.is_power_of_two()
            && descriptor_size == layout::DESCRIPTOR_BYTES
            && descriptors == layout::DESCRIPTORS_OFFSET
            && chunk_size.is_power_of_two()
            && (2048..=65_536).contains(&chunk_size)
            && chunk_count > 0
            && layout::bytes(ring_len as usize) <= bytes;
        if is_sound { Ok(()) } else { Err("the header of a ring contradicts itself".to_owned()) }
    }
}
