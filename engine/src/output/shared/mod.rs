//! Frames in another process, without copying: what the two processes say to each other, and the
//! end of the one that reads.
//!
//! The engine's end is in `engine::shared`. Memory, rings and words are written down in
//! docs/ring-abi.md, for programs in other languages.

mod client;
pub(crate) mod protocol;

pub use client::{AttachError, Attachment, ORDER_WINDOW, attach};
