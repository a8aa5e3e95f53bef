//! The AF_XDP layer: the UMEM, the rings shared with the kernel, and the socket that ties them to
//! an RX queue of a NIC
//! ([`Documentation/networking/af_xdp.rst`](https://github.com/torvalds/linux/blob/v6.12/Documentation/networking/af_xdp.rst)).
//!
//! It keeps track of the owner of each chunk of the UMEM, and knows nothing of tunnels, sessions or
//! outputs. `unsafe` code is here, in [`crate::ring`] and in `crate::sys` only.
//!
//! ```text
//!              fill ring: addresses of empty chunks
//!   worker  ───────────────────────────────────────►  kernel (Socket), or code of this process
//!           ◄───────────────────────────────────────  that plays the driver (DriverRings)
//!              RX ring: (address, length) of frames
//! ```
//!
//! A chunk has one owner. It is a move-only `Chunk` while the worker has it, a set bit in
//! `InFlight` while the kernel has it (and a [`DriverChunk`] for code that plays the driver), and a
//! [`ChunkRef`] per output while consumers read it.

mod arrival;
mod chunk;
mod cursor;
mod driver_rings;
mod geometry;
mod ring;
mod rx_backend;
mod rx_queue;
mod socket;
mod soft_nic;
mod umem;

#[cfg(any(test, feature = "internals"))]
pub(crate) use chunk::Chunk;
pub(crate) use chunk::{ChunkRef, ChunkRefs, DriverChunk, FreeList, RefCounts};
pub(crate) use driver_rings::{DriverFrame, DriverRings};
pub(crate) use geometry::Geometry;
pub(crate) use geometry::HEADROOM;
#[cfg(feature = "internals")]
pub(crate) use libc::xdp_desc as FrameDescriptor;
pub use rx_backend::KernelCounters;
pub(crate) use rx_backend::RxBackend;
pub(crate) use rx_queue::{RxFrame, RxQueue};
pub use socket::{BindMode, SocketError};
pub(crate) use socket::{Socket, SocketSettings};
pub(crate) use soft_nic::{SoftNic, Undelivered};
pub use umem::UmemError;
pub(crate) use umem::{Pages, Umem};
