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
//! A chunk has one owner. It is a move-only `Chunk` in the worker's hands, a set bit in `InFlight`
//! while the kernel has it, and a [`ChunkRef`] per output while consumers read it.

mod arrival;
mod chunk;
mod cursor;
mod geometry;
mod ring;
mod rx_backend;
mod rx_queue;
mod socket;
mod soft_nic;
mod umem;

pub(crate) use arrival::Stamps;
#[cfg(any(test, feature = "internals"))]
pub(crate) use chunk::Chunk;
pub(crate) use chunk::{ChunkRef, ChunkRefs, FreeList, RefCounts};
pub(crate) use geometry::Geometry;
pub(crate) use geometry::HEADROOM;
#[cfg(feature = "internals")]
pub(crate) use libc::xdp_desc as FrameDescriptor;
pub(crate) use ring::{ConsumerRing, ProducerRing};
pub use rx_backend::KernelCounters;
pub(crate) use rx_backend::RxBackend;
pub(crate) use rx_queue::{RxFrame, RxQueue, Tail};
pub use socket::{BindMode, SocketError};
pub(crate) use socket::{Socket, SocketSettings};
pub(crate) use soft_nic::ring as soft_ring;
pub(crate) use soft_nic::{SoftNic, Undelivered};
pub use umem::UmemError;
pub(crate) use umem::{Pages, Umem};
