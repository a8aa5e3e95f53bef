//! The AF_XDP layer, the crate's only door to the kernel that is not safe by itself: memory shared
//! with the kernel, the rings over it, and the socket that ties them to a NIC queue.
//!
//! Answers one question: which chunk of the UMEM is in whose hands? It knows nothing of tunnels,
//! sessions or outputs. With [`crate::output`]'s ring it holds the only `unsafe` code of the crate.
//!
//! ```text
//!              fill ring: U -> K, addresses of empty chunks
//!   worker  ───────────────────────────────────────────────►  kernel (socket) or plain memory (SoftNic)
//!           ◄───────────────────────────────────────────────
//!              RX ring: K -> U, (address, length) of frames
//! ```
//!
//! A chunk has one owner. It is a move-only `Chunk` in the worker's hands, a set bit in `Lent`
//! while the kernel has it, and a [`Share`] per output while consumers read it.

mod arrival;
mod chunk;
mod clock;
mod cursor;
mod ethtool;
mod geometry;
mod kernel_side;
mod mapping;
mod prefetch;
mod ring;
mod rx_queue;
pub(crate) mod sealed;
mod socket;
mod soft_nic;
mod syscall;
mod tap;
mod udp;
mod umem;

#[cfg(any(test, feature = "internals"))]
pub(crate) use chunk::Chunk;
pub(crate) use chunk::{FreeList, Holders, Share, Shares};
pub(crate) use clock::sleep_precisely;
pub(crate) use ethtool::{driver_of, rx_queue_count, switch_offloads_off};
pub(crate) use geometry::Geometry;
pub use kernel_side::KernelCounters;
pub(crate) use kernel_side::KernelSide;
pub(crate) use mapping::Mapping;
pub(crate) use prefetch::line as prefetch_line;
pub(crate) use rx_queue::{Received, RxQueue, Tail};
pub use socket::{BindMode, SocketError};
pub(crate) use socket::{Socket, SocketSettings};
pub(crate) use soft_nic::{SoftNic, Undelivered};
pub(crate) use tap::open_tap;
pub use udp::UdpError;
pub(crate) use udp::{UdpBoard, UdpSettings, UdpSource};
pub use umem::UmemError;
pub(crate) use umem::{Pages, Umem};
#[cfg(feature = "internals")]
pub(crate) use {geometry::HEADROOM, libc::xdp_desc as FrameDescriptor};
