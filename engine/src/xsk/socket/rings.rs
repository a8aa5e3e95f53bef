//! Layout of a socket's rings in the memory that the kernel maps for them.

use std::io;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use rustix::net::sockopt::xdp_mmap_offsets;
use rustix::net::xdp::XdpRingOffset;

use super::super::ring::{Layout, Slot};
use crate::sys::mapping::Mapping;

/// Returns the layouts of the fill ring and of the RX ring in their mappings (`XDP_MMAP_OFFSETS`).
///
/// # Errors
///
/// The errno of the system call; [`io::ErrorKind::Unsupported`] if the kernel is older than Linux
/// 5.4, the first with flags in the rings.
pub(super) fn ring_layouts(fd: BorrowedFd<'_>) -> io::Result<(Layout, Layout)> {
    let offsets = xdp_mmap_offsets(fd)?;
    Ok((layout(&offsets.fr)?, layout(&offsets.rx)?))
}

fn layout(offset: &XdpRingOffset) -> io::Result<Layout> {
    let byte = |offset: u64| usize::try_from(offset).expect("ring offsets are a few hundred bytes");
    let flags = offset.flags.ok_or_else(|| {
        io::Error::new(io::ErrorKind::Unsupported, "this kernel is older than Linux 5.4")
    })?;
    Ok(Layout {
        producer: byte(offset.producer),
        consumer: byte(offset.consumer),
        flags: byte(flags),
        slots: byte(offset.desc),
    })
}

/// Maps a ring of `len` slots; `page` is the offset that stands for the ring
/// ([`include/uapi/linux/if_xdp.h`](https://github.com/torvalds/linux/blob/v6.12/include/uapi/linux/if_xdp.h),
/// `XDP_PGOFF_RX_RING` and others).
///
/// # Errors
///
/// The errno of `mmap(2)`.
pub(super) fn map_ring<T: Slot>(
    fd: BorrowedFd<'_>,
    layout: Layout,
    len: u32,
    page: libc::off_t,
) -> io::Result<Arc<Mapping>> {
    Mapping::of_file(fd, layout.bytes::<T>(len), page).map(Arc::new)
}
