//! Where the kernel has put the rings of a socket.

use std::io;
use std::mem::size_of;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::super::ring::{Layout, Slot};
use crate::sys::mapping::Mapping;
use crate::sys::syscall;

/// Where the parts of the rings are in their mappings (`XDP_MMAP_OFFSETS`, with flags since Linux
/// 5.4).
pub(super) fn ring_offsets(fd: BorrowedFd<'_>) -> io::Result<libc::xdp_mmap_offsets> {
    let none = libc::xdp_ring_offset { producer: 0, consumer: 0, desc: 0, flags: 0 };
    let mut offsets = libc::xdp_mmap_offsets { rx: none, tx: none, fr: none, cr: none };
    let len = syscall::get_option(fd, libc::SOL_XDP, libc::XDP_MMAP_OFFSETS, &mut offsets)?;
    if len < size_of::<libc::xdp_mmap_offsets>() {
        return Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "this kernel is older than Linux 5.4",
        ));
    }
    Ok(offsets)
}

pub(super) fn layout(offset: libc::xdp_ring_offset) -> Layout {
    let byte = |offset: u64| usize::try_from(offset).expect("ring offsets are a few hundred bytes");
    Layout {
        producer: byte(offset.producer),
        consumer: byte(offset.consumer),
        flags: byte(offset.flags),
        slots: byte(offset.desc),
    }
}

pub(super) fn map_ring<T: Slot>(
    fd: BorrowedFd<'_>,
    offset: libc::xdp_ring_offset,
    len: u32,
    page: libc::off_t,
) -> io::Result<Arc<Mapping>> {
    Mapping::of_file(fd, layout(offset).bytes::<T>(len), page).map(Arc::new)
}
