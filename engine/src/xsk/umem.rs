//! The UMEM: the memory that frames lie in, divided into chunks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::ptr::NonNull;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustix::fs::{MemfdFlags, ftruncate};

use super::chunk::{Chunk, FreeList};
use super::geometry::Geometry;
use crate::sys::mapping::{HUGEPAGE_BYTES, Mapping};
use crate::sys::{prefetch, sealed};

/// Error of making a UMEM.
#[derive(Debug, thiserror::Error)]
pub enum UmemError {
    /// A system call failed.
    #[error("cannot make a UMEM of {} KiB ({call}): {source}", len / 1024)]
    Call {
        /// The system call.
        call: &'static str,
        /// Size asked for in bytes.
        len: u64,
        /// Error of the system call.
        source: io::Error,
    },
}

/// Kind of pages that a region is to lie in. Huge ones, of 2 MiB, save the CPU work in translating
/// addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pages {
    /// Ordinary ones, which cost no time at the start.
    Ordinary,
    /// Huge ones if the kernel finds such pieces of memory; else ordinary ones.
    Collapsed,
    /// Huge ones that the system has reserved (`/proc/sys/vm/nr_hugepages`) if there are enough,
    /// else as [`Self::Collapsed`].
    Reserved,
}

/// The memory of one worker's chunks: a [`sealed`] file, mapped once for writing, here, before the
/// seal. Or such a region of another process, mapped for reading.
#[derive(Debug)]
pub(crate) struct Umem {
    memory: Mapping,
    /// The file for other processes to map; `None` if another process has made the region, and owns
    /// its chunks.
    file: Option<OwnedFd>,
    geometry: Geometry,
    is_huge: bool,
}

impl Umem {
    /// Makes the region; returns it and all of its chunks. [`Self::is_huge`] tells the kind of
    /// pages that it has got.
    ///
    /// # Errors
    ///
    /// [`UmemError::Call`] if the system has not enough memory or descriptors.
    pub(crate) fn create(geometry: Geometry, pages: Pages) -> Result<(Self, FreeList), UmemError> {
        let umem = match pages {
            Pages::Reserved => {
                Self::map(geometry, pages).or_else(|_| Self::map(geometry, Pages::Collapsed))
            }
            Pages::Ordinary | Pages::Collapsed => Self::map(geometry, pages),
        }?;
        Ok((umem, FreeList::all(geometry.chunk_count())))
    }

    /// Returns all chunks anew, for a region without other owners: every owner of chunks owns the
    /// region too, so that none is left. `None` if the region has other owners, or belongs to
    /// another process.
    pub(crate) fn chunks(this: &mut Arc<Self>) -> Option<FreeList> {
        let umem = Arc::get_mut(this).filter(|umem| umem.file.is_some())?;
        Some(FreeList::all(umem.geometry.chunk_count()))
    }

    /// Maps the region that another process has made, for reading the published chunks.
    ///
    /// # Errors
    ///
    /// If the file is shorter than the chunks, or not sealed, or cannot be mapped.
    pub(crate) fn open(file: BorrowedFd<'_>, geometry: Geometry) -> io::Result<Self> {
        let memory = sealed::open(file, sealed::Access::Read)?;
        if (memory.len() as u64) < geometry.len() {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "memory of another process is too short",
            ));
        }
        Ok(Self { memory, file: None, geometry, is_huge: false })
    }

    /// Makes a region for copies, in memory that the system gives page by page, zeroed. It has no
    /// chunks for a worker.
    ///
    /// # Errors
    ///
    /// The errno of mmap(2).
    pub(crate) fn private(geometry: Geometry) -> io::Result<Self> {
        let len = usize::try_from(geometry.len()).map_err(io::Error::other)?;
        let memory = Mapping::anonymous_on_demand(len)?;
        Ok(Self { memory, file: None, geometry, is_huge: false })
    }

    /// Copies `words` words of 8 bytes from the offset `from` of another region to the offset `to`
    /// of this one; both are multiples of 8. Another process, or the kernel, may write to the other
    /// region meanwhile: then each word is an old or a new one.
    ///
    /// # Safety
    ///
    /// No other code may have access to the words of this region.
    ///
    /// # Panics
    ///
    /// If the words do not lie inside of the regions.
    pub(crate) unsafe fn copy_words(&self, to: u64, other: &Self, from: u64, words: u64) {
        let words = usize_of(words);
        let source = other.memory.at::<AtomicU64>(usize_of(from), words);
        // SAFETY: `at` has checked that the words lie inside the mapping and are aligned, and it
        // lives as long as `other`; atomics may change, and the loads below do not write.
        let source = unsafe { slice::from_raw_parts(source.as_ptr(), words) };
        let target = self.memory.at::<u64>(usize_of(to), words);
        // SAFETY: as above for `self`; that no other code has access is the caller's promise.
        let target = unsafe { slice::from_raw_parts_mut(target.as_ptr(), words) };
        for (target, source) in target.iter_mut().zip(source) {
            *target = source.load(Ordering::Relaxed);
        }
    }

    /// Returns the file of the region, if it was made here.
    pub(crate) fn file(&self) -> Option<BorrowedFd<'_>> {
        self.file.as_ref().map(OwnedFd::as_fd)
    }

    fn map(geometry: Geometry, pages: Pages) -> Result<Self, UmemError> {
        let is_reserved = pages == Pages::Reserved;
        let len = if is_reserved {
            geometry.len().next_multiple_of(HUGEPAGE_BYTES as u64)
        } else {
            geometry.len()
        };
        let failed = |call| move |source| UmemError::Call { call, len, source };
        let bytes = usize::try_from(len).map_err(io::Error::other).map_err(failed("mmap"))?;
        let flags = if is_reserved {
            MemfdFlags::HUGETLB | MemfdFlags::HUGE_2MB
        } else {
            MemfdFlags::empty()
        };
        let file = sealed::file(c"vxtap-umem", flags).map_err(failed("memfd_create"))?;
        ftruncate(&file, len).map_err(io::Error::from).map_err(failed("ftruncate"))?;
        let (memory, is_huge) = if pages == Pages::Collapsed {
            Mapping::of_file_in_huge_pages(file.as_fd(), bytes)
        } else {
            Mapping::of_file_aligned(file.as_fd(), bytes, HUGEPAGE_BYTES)
                .map(|memory| (memory, is_reserved))
        }
        .map_err(failed("mmap"))?;
        sealed::seal(file.as_fd(), sealed::Access::Read).map_err(failed("fcntl(F_ADD_SEALS)"))?;
        Ok(Self { memory, file: Some(file), geometry, is_huge })
    }

    /// Returns size and number of the chunks.
    pub(crate) const fn geometry(&self) -> Geometry {
        self.geometry
    }

    /// Returns whether the region lies in 2 MiB pages.
    pub(crate) const fn is_huge(&self) -> bool {
        self.is_huge
    }

    /// Returns address in this process and length in bytes, for `XDP_UMEM_REG`.
    pub(super) fn region(&self) -> (u64, u64) {
        (self.memory.start().as_ptr().addr() as u64, self.geometry.len())
    }

    /// Returns the offset of a chunk's first byte in the region.
    #[inline]
    pub(crate) const fn address_of(&self, chunk: &Chunk) -> u64 {
        self.geometry.start(chunk.index())
    }

    /// Returns the address of a chunk's first byte in this process's memory.
    #[inline]
    fn chunk_start(&self, chunk: &Chunk) -> NonNull<u8> {
        assert!(chunk.index() < self.geometry.chunk_count(), "a chunk of this region");
        // SAFETY: the mapping is at least as long as all chunks together (`map`), and the chunk is
        // one of them, so that its start lies inside.
        unsafe { self.memory.start().add(usize_of(self.geometry.start(chunk.index()))) }
    }

    /// Returns the bytes of a chunk, for its owner to write.
    #[inline]
    pub(crate) fn bytes_mut<'a>(&'a self, chunk: &'a mut Chunk) -> &'a mut [u8] {
        let start = self.chunk_start(chunk);
        // SAFETY: the chunk lies inside the mapping (`chunk_start`), which lives as long as `self`.
        // The token is the only one for this chunk (made in `create`, or in `chunks` when all
        // earlier ones were gone, and never for a region that is mapped for reading; or that of a
        // `DriverChunk`, while the worker's is in `InFlight`; a worker never mixes the tokens of
        // two regions) and is mutably borrowed for `'a`, so neither the kernel nor a consumer nor
        // other code of ours touches these bytes meanwhile.
        unsafe { slice::from_raw_parts_mut(start.as_ptr(), self.geometry.chunk_size() as usize) }
    }

    /// Asks the CPU to fetch the two cache lines from `addr` on, which will be needed soon. Any
    /// address may be given.
    #[inline]
    pub(crate) fn prefetch(&self, addr: u64) {
        let start = self.memory.start().as_ptr().cast_const().wrapping_add(usize_of(addr));
        prefetch(start);
        prefetch(start.wrapping_add(64));
    }

    /// Returns the `len` bytes at `addr`, which must lie inside the region.
    ///
    /// # Safety
    ///
    /// No code may write to the bytes as long as the result lives: the caller borrows the token of
    /// their chunk, or has a published frame: the chunk's owner has given out a [`ChunkRef`] and
    /// has not taken it back.
    ///
    /// [`ChunkRef`]: super::ChunkRef
    ///
    /// # Panics
    ///
    /// If the bytes do not lie inside the region.
    #[inline]
    pub(crate) unsafe fn untouched(&self, addr: u64, len: u32) -> &[u8] {
        let start = self.memory.at::<u8>(usize_of(addr), len as usize);
        // SAFETY: `at` has checked that the bytes lie inside the mapping, which lives as long as
        // `self`; that no code writes to them is the caller's promise.
        unsafe { slice::from_raw_parts(start.as_ptr(), len as usize) }
    }
}

/// Converts an offset in the UMEM to an offset in this process's mapping of it.
#[inline]
fn usize_of(addr: u64) -> usize {
    usize::try_from(addr).expect("the region fits into the address space")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_region_can_be_mapped_for_reading_only() {
        let (umem, _) = Umem::create(Geometry::new(4096, 8), Pages::Ordinary).unwrap();
        assert!(!umem.is_huge());
        let file = umem.file().unwrap();
        let error = Mapping::of_file(file, 4096, 0).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::EPERM));
        let mut other = Arc::new(Umem::open(file, Geometry::new(4096, 8)).unwrap());
        assert!(
            Umem::chunks(&mut other).is_none(),
            "the chunks belong to the process that made the region"
        );
        assert!(Umem::open(file, Geometry::new(4096, 9)).is_err());
    }

    #[test]
    fn chunks_are_made_anew_only_when_nobody_has_the_region() {
        let (umem, free) = Umem::create(Geometry::new(2048, 3), Pages::Ordinary).unwrap();
        let mut umem = Arc::new(umem);
        let queue = (umem.clone(), free);
        assert!(Umem::chunks(&mut umem).is_none());
        drop(queue);
        assert_eq!(Umem::chunks(&mut umem).unwrap().len(), 3);
    }

    #[test]
    fn each_chunk_has_bytes_of_its_own() {
        let (umem, mut free) = Umem::create(Geometry::new(2048, 2), Pages::Ordinary).unwrap();
        let (mut first, mut second) = (free.take().unwrap(), free.take().unwrap());
        umem.bytes_mut(&mut first).fill(1);
        umem.bytes_mut(&mut second).fill(2);
        assert!(umem.bytes_mut(&mut first).iter().all(|&byte| byte == 1));
        assert_eq!(umem.bytes_mut(&mut second).len(), 2048);
    }

    /// Kilobytes of a region that are mapped in huge pages that were not reserved
    /// (`proc_pid_smaps(5)`).
    fn collapsed_kib(umem: &Umem) -> u64 {
        let smaps = std::fs::read_to_string("/proc/self/smaps").unwrap();
        let (_, from_here) =
            smaps.split_once(&format!("\n{:x}-", umem.memory.start().addr())).unwrap();
        let size = from_here.lines().find_map(|line| line.strip_prefix("ShmemPmdMapped:")).unwrap();
        size.trim().trim_end_matches(" kB").parse().unwrap()
    }

    #[test]
    fn without_reserved_huge_pages_the_kernel_is_asked_for_some_where_they_are_wanted() {
        const CHUNKS: u32 = 2048;
        let create = |pages| Umem::create(Geometry::new(4096, CHUNKS), pages).unwrap().0;
        assert!(!create(Pages::Ordinary).is_huge());
        let reserved = std::fs::read_to_string("/proc/sys/vm/nr_hugepages").unwrap_or_default();
        let pages = if reserved.trim() == "0" { Pages::Reserved } else { Pages::Collapsed };
        let umem = create(pages);
        assert_eq!(umem.memory.start().addr().get() % HUGEPAGE_BYTES, 0);
        assert_eq!(
            umem.is_huge(),
            collapsed_kib(&umem) == u64::from(CHUNKS * 4),
            "as it says of itself"
        );
    }
}
