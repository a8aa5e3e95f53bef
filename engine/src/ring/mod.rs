//! Rings from the workers to the consumers: an output's consumer has one ring from each worker.
//!
//! No bytes are copied in the engine's process: a ring carries descriptors, and its tail (the
//! consumer's index) returns the chunks. A consumer that does not keep up loses the frames for
//! which its own rings have no room, counted; other consumers lose none.

mod attached_ring;
mod consumer;
mod descriptor;
mod frame;
pub(crate) mod layout;
mod merge;
mod new_rings;
mod outer;
mod peer_state;
mod reader;
mod ring_memory;
mod spsc;
#[cfg(test)]
pub(crate) mod test_ring;
#[cfg(test)]
mod tests;
mod writer;

pub use crate::decap::{Encapsulation, GeneveOption, GeneveOptions, Gwlb, Link};
pub use consumer::{Consumer, Next};
pub(crate) use descriptor::Descriptor;
pub use frame::{Batch, Frame};
pub(crate) use layout::VERSION;
pub(crate) use new_rings::NewRings;
pub use outer::Outer;
pub(crate) use peer_state::{PeerState, QueueId};
pub(crate) use reader::Reader;
pub(crate) use ring_memory::Files;
pub(crate) use spsc::{RingFds, open, ring, shared_ring};
pub(crate) use writer::Writer;
