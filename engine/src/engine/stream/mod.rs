//! Outputs that are read as a stream: `type = "stream"`, and `vxtap tail`.
//!
//! One thread for each output, the hub, takes the frames from rings that are there only while
//! somebody reads, and encodes them for each reader into memory of its own. Another thread for each
//! reader writes that. So a reader that stands still loses its own frames.
//!
//! | module | what it does |
//! |---|---|
//! | `doors` | where readers come from: standard output, a named pipe, a socket |
//! | `hub` | moves frames from the rings to the readers |
//! | `settings` | what a stream is like |
//! | `reader` | one reader: which frames it gets, and what became of them |
//! | `pipe` | what waits for a reader, and the thread that writes it |
//! | `sink` | what is written to, without waiting for longer than is wanted |
//!
//! The account of the readers is with the other guests of outputs: `guests/readers`.

mod doors;
mod hub;
mod pipe;
mod reader;
mod settings;
mod sink;

pub(super) use doors::{Doors, Visitor, Waiting};
pub(super) use hub::{Hub, start};
pub(super) use settings::Settings;
