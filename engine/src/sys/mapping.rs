//! A range of mapped memory, unmapped when its owner is dropped (`mmap(2)`).

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// Owner of one `mmap`ped range, readable and writable, shared with the kernel or with other
/// processes.
///
/// The owner of the range decides who may touch which byte when; this type only keeps the memory in
/// place.
#[derive(Debug)]
pub(crate) struct Mapping {
    start: NonNull<u8>,
    len: usize,
    /// Address space that is given back with the range; begins at most an alignment before it.
    reserved: Reservation,
}

/// A piece of this process's address space.
#[derive(Clone, Copy, Debug)]
struct Reservation {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a Mapping hands out nothing but its address; moving it to another thread moves only that
// address, and munmap(2) may be called from any thread.
unsafe impl Send for Mapping {}
// SAFETY: all methods take `&self` and only return copies of the fields.
unsafe impl Sync for Mapping {}

pub(crate) const HUGEPAGE_BYTES: usize = 2 << 20;

/// Flags of a mapping that is shared with the file, with its pages filled in at once.
const FILLED_IN: i32 = libc::MAP_SHARED | libc::MAP_POPULATE;
const READ_WRITE: i32 = libc::PROT_READ | libc::PROT_WRITE;

impl Mapping {
    /// Maps `len` bytes of `fd` from `offset` (`MAP_SHARED`, pages filled in at once).
    pub(crate) fn of_file(fd: BorrowedFd<'_>, len: usize, offset: libc::off_t) -> io::Result<Self> {
        Self::map(fd.as_raw_fd(), len, offset, READ_WRITE, libc::MAP_SHARED | libc::MAP_POPULATE)
    }

    /// Maps the first `len` bytes of `fd` for reading, where the pages can be huge ones if the
    /// file's are.
    pub(crate) fn of_file_for_reading(fd: BorrowedFd<'_>, len: usize) -> io::Result<Self> {
        Self::aligned(fd, len, HUGEPAGE_BYTES, libc::PROT_READ, FILLED_IN)
    }

    /// Maps the first `len` bytes of `fd` as [`Self::of_file`] does, at a multiple of `alignment`
    /// (a power of two, not less than a page).
    pub(crate) fn of_file_aligned(
        fd: BorrowedFd<'_>,
        len: usize,
        alignment: usize,
    ) -> io::Result<Self> {
        Self::aligned(fd, len, alignment, READ_WRITE, FILLED_IN)
    }

    /// Maps the first `len` bytes of `fd`, which nobody has written to, in huge pages as far as the
    /// kernel finds such pieces of memory, whatever the system's settings for transparent huge
    /// pages are (madvise(2), `MADV_COLLAPSE`, Linux 6.1), else in ordinary ones. To be called
    /// before the memory is shared: a page that is pinned stays where it is. Returns also whether
    /// all of it is in huge pages.
    ///
    /// A huge page is asked for when one ordinary page of it is filled in: the kernel needs the
    /// page table, and each further page would have to be copied. Measured for 64 MiB on a virtual
    /// machine: 11 to 16 ms, and 140 to 280 ms with all pages filled in before.
    pub(crate) fn of_file_in_huge_pages(
        fd: BorrowedFd<'_>,
        len: usize,
    ) -> io::Result<(Self, bool)> {
        let mapping = Self::aligned(fd, len, HUGEPAGE_BYTES, READ_WRITE, libc::MAP_SHARED)?;
        for offset in (0..len).step_by(HUGEPAGE_BYTES) {
            let byte = mapping.at::<u8>(offset, 1);
            // SAFETY: `at` has checked that the byte lies inside of the mapping, which is alive; no
            // other code has its address yet. Volatile, as the value stays what it was.
            unsafe { byte.write_volatile(0) };
        }
        let is_huge = mapping.advise(libc::MADV_COLLAPSE).is_ok();
        if !is_huge {
            mapping.advise(libc::MADV_POPULATE_WRITE)?;
        }
        Ok((mapping, is_huge))
    }

    /// Gives the kernel an advice about the whole range that leaves its contents as they are.
    fn advise(&self, advice: i32) -> io::Result<()> {
        // SAFETY: the range is mapped as long as `self` lives, and its contents stay the same.
        let result = unsafe { libc::madvise(self.start.as_ptr().cast(), self.len, advice) };
        if result == -1 { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    fn aligned(
        fd: BorrowedFd<'_>,
        len: usize,
        alignment: usize,
        access: i32,
        shared: i32,
    ) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let mut mapping = Self::map(-1, len + alignment, 0, libc::PROT_NONE, flags)?;
        let skip = mapping.start.align_offset(alignment);
        // SAFETY: `skip` is less than `alignment`, which the reservation is longer by.
        mapping.start = unsafe { mapping.start.add(skip) };
        mapping.len = len;
        let flags = shared | libc::MAP_FIXED;
        let at = mapping.start.as_ptr().cast();
        // SAFETY: MAP_FIXED replaces pages inside of our own reservation only, and no other code
        // has an address in it yet.
        let start = unsafe { libc::mmap(at, len, access, flags, fd.as_raw_fd(), 0) };
        if start == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(mapping) }
    }

    /// Maps `len` bytes of zeroed memory of this process, pages filled in at once.
    pub(crate) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(
            -1,
            len,
            0,
            READ_WRITE,
            libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_POPULATE,
        )
    }

    /// Maps `len` bytes of zeroed memory of this process, pages filled in when they are touched.
    pub(crate) fn anonymous_on_demand(len: usize) -> io::Result<Self> {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        Self::map(-1, len, 0, READ_WRITE, flags)
    }

    fn map(fd: i32, len: usize, offset: libc::off_t, access: i32, flags: i32) -> io::Result<Self> {
        // SAFETY: with a null hint and without MAP_FIXED the kernel picks an unused range, so no
        // memory that Rust knows of is replaced.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(|start| Self { start, len, reserved: Reservation { start, len } })
            .ok_or_else(|| io::Error::other("mmap returned the null page"))
    }

    /// Returns the length in bytes.
    pub(crate) const fn len(&self) -> usize {
        self.len
    }

    /// Returns the address of the first byte.
    pub(crate) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// Returns the address of `count` values of type `T` from byte `offset` on, checked to lie
    /// wholly inside and to be aligned.
    ///
    /// # Panics
    ///
    /// If it does not: the offsets come from the kernel or from this crate's own arithmetic, never
    /// from traffic.
    pub(crate) fn at<T>(&self, offset: usize, count: usize) -> NonNull<T> {
        let end = size_of::<T>().checked_mul(count).and_then(|len| len.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.len), "ring layout reaches beyond its mapping");
        // SAFETY: `offset` is at most `self.len`, checked above, so the result stays inside the
        // mapping.
        let address = unsafe { self.start.add(offset) };
        let address: NonNull<T> = address.cast();
        assert!(address.is_aligned(), "ring layout is misaligned");
        address
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let Reservation { start, len } = self.reserved;
        // SAFETY: the range was mapped by `map` and is unmapped only here; code that derives a
        // pointer from it keeps the Mapping alive for as long as the pointer.
        let result = unsafe { libc::munmap(start.as_ptr().cast(), len) };
        debug_assert_eq!(result, 0, "munmap of a range that we mapped");
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use rustix::fs::{MemfdFlags, ftruncate};

    use super::super::sealed;
    use super::*;

    #[test]
    fn aligned_ranges_are_aligned_and_can_be_written_from_end_to_end() {
        const LEN: usize = 8192;
        let file = sealed::file(c"vxtap-test", MemfdFlags::empty()).unwrap();
        ftruncate(&file, LEN as u64).unwrap();
        for alignment in [4096, 1 << 16, 1 << 21, 1 << 24, 1 << 27] {
            let mapping = Mapping::of_file_aligned(file.as_fd(), LEN, alignment).unwrap();
            assert_eq!(mapping.start().addr().get() % alignment, 0);
            for offset in [0, LEN - 1] {
                let byte = mapping.at::<u8>(offset, 1);
                // SAFETY: `at` has checked that the byte lies inside of the mapping, which is alive
                // and no other code has it.
                unsafe { byte.write(1) };
            }
        }
    }

    #[test]
    #[should_panic(expected = "reaches beyond")]
    fn a_value_that_ends_outside_the_mapping_is_refused() {
        let mapping = Mapping::anonymous(4096).unwrap();
        let _ = mapping.at::<u64>(4096 - 4, 1);
    }

    #[test]
    #[should_panic(expected = "misaligned")]
    fn a_misaligned_value_is_refused() {
        let mapping = Mapping::anonymous(4096).unwrap();
        let _ = mapping.at::<u64>(4, 1);
    }
}
