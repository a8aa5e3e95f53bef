//! Frames leave the worker. An output is a consumer with one ring from each worker.
//!
//! No bytes move: a ring carries descriptors, and its tail is the way home for the chunks. A
//! consumer that does not keep up fills its own rings and loses frames there, counted; nobody else
//! notices.

#[cfg(test)]
mod abi;
mod consumer;
mod descriptor;
mod ethernet;
mod frame;
mod interface;
mod merge;
mod outer;
pub mod pcap;
pub mod pcapng;
#[expect(
    unsafe_code,
    reason = "memory shared between worker and consumer; each block carries its proof"
)]
mod ring;
pub mod shared;
pub(crate) mod stream;
mod written;

pub use crate::decap::{Encapsulation, GeneveOption, GeneveOptions, Gwlb, Link};
pub(crate) use consumer::Inbox;
pub use consumer::{Consumer, Next};
pub(crate) use descriptor::Descriptor;
pub use frame::{Batch, Frame};
pub(crate) use interface::Injector;
pub use outer::Outer;
pub(crate) use ring::{Handover, Origin, Presence, Reader, Writer, ring, shared_ring};
pub use written::Written;
