//! How do frames become a pcapng file that every tool reads, also while it grows?
//!
//! | module | what it does |
//! |---|---|
//! | `blocks` | encodes blocks into memory (draft-ietf-opsawg-pcapng) |
//! | `file` | puts whole blocks into a file, at least once each second |
//! | `capture` | gives each frame the interface block of its session |
//! | `sink` | keeps the output going when the file fails, and accounts for every frame |
//!
//! It does not rotate files, compress or filter.

mod blocks;
mod capture;
mod file;
mod sink;

pub use blocks::{Blocks, Interface, MAX_CAPTURED_BYTES, Statistics};
pub use capture::{CaptureWriter, FrameKey, InterfaceKey, InterfaceTotals, PAIRS_MAX, Period};
pub use file::{FLUSH_INTERVAL, PcapngError, PcapngFile};
pub use sink::{Report, Sink, drain};
