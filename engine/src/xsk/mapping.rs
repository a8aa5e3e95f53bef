//! A piece of mapped memory, unmapped when the last owner lets go.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::ptr::{self, NonNull};

/// Owner of one `mmap`ped range, readable and writable, shared with the kernel or with other processes.
///
/// The owner of the range decides who may touch which byte when; this type only keeps the memory in place.
#[derive(Debug)]
pub(super) struct Mapping {
    start: NonNull<u8>,
    len: usize,
}

// SAFETY: a Mapping hands out nothing but its address; moving it to another thread moves only that address, and
// munmap(2) may be called from any thread.
unsafe impl Send for Mapping {}
// SAFETY: all methods take `&self` and only return copies of the fields.
unsafe impl Sync for Mapping {}

impl Mapping {
    /// Maps `len` bytes of `fd` from `offset` (`MAP_SHARED`, pages filled in at once).
    pub(super) fn of_file(fd: BorrowedFd<'_>, len: usize, offset: libc::off_t) -> io::Result<Self> {
        Self::map(fd.as_raw_fd(), len, offset, libc::MAP_SHARED | libc::MAP_POPULATE)
    }

    /// Maps `len` bytes of zeroed memory of this process.
    pub(super) fn anonymous(len: usize) -> io::Result<Self> {
        Self::map(-1, len, 0, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS)
    }

    fn map(fd: i32, len: usize, offset: libc::off_t, flags: i32) -> io::Result<Self> {
        let access = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: with a null hint and without MAP_FIXED the kernel picks an unused range, so no memory that Rust
        // knows of is replaced.
        let start = unsafe { libc::mmap(ptr::null_mut(), len, access, flags, fd, offset) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        NonNull::new(start.cast())
            .map(|start| Self { start, len })
            .ok_or_else(|| io::Error::other("mmap returned the null page"))
    }

    /// The address of the first byte.
    pub(super) const fn start(&self) -> NonNull<u8> {
        self.start
    }

    /// The address of a `T` at byte `offset`, checked to lie wholly inside and to be aligned.
    ///
    /// # Panics
    ///
    /// If it does not: the offsets come from the kernel or from this layer's own arithmetic, never from traffic.
    pub(super) fn at<T>(&self, offset: usize, count: usize) -> NonNull<T> {
        let end = size_of::<T>().checked_mul(count).and_then(|len| len.checked_add(offset));
        assert!(end.is_some_and(|end| end <= self.len), "ring layout reaches beyond its mapping");
        // SAFETY: `offset` is at most `self.len`, checked above, so the result stays inside the mapping.
        let address = unsafe { self.start.add(offset) };
        let address: NonNull<T> = address.cast();
        assert!(address.is_aligned(), "ring layout is misaligned");
        address
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        // SAFETY: the range was mapped by `map` and is unmapped only here; whoever derived a pointer from it keeps
        // the Mapping alive for as long as the pointer.
        let result = unsafe { libc::munmap(self.start.as_ptr().cast(), self.len) };
        debug_assert_eq!(result, 0, "munmap of a range that we mapped");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
