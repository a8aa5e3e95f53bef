//! How do frames become a pcapng file that every tool reads, also while it grows?
//!
//! | module | what it does |
//! |---|---|
//! | `blocks` | encodes blocks into memory (draft-ietf-opsawg-pcapng) |
//! | `file` | puts whole blocks into a file, at least once each second |
//! | `capture` | gives each frame the interface block of its session |
//! | `sink` | keeps a file going when writes fail for a time, and accounts for every frame |
//! | `name` | what files are called, and which are an output's own |
//! | `part` | a file that is open, and how one begins |
//! | `series` | the files of an output, one after the other and beside each other |
//! | `finish` | a thread that gives whole files their names, compresses them and deletes old ones |
//! | `keep` | which files are too old, too many or too long |
//! | `disk` | directories, renaming, what an earlier run has left |

mod blocks;
mod capture;
mod disk;
mod file;
mod finish;
mod keep;
mod name;
mod part;
mod series;
mod sink;

pub use blocks::{Blocks, Interface, MAX_CAPTURED_BYTES, Statistics};
pub use capture::{CaptureWriter, FrameKey, InterfaceKey, InterfaceTotals, PAIRS_MAX, Period};
pub(crate) use disk::Owner;
pub use file::{FLUSH_INTERVAL, PcapngError, PcapngFile};
pub(crate) use series::{Plan, Series, Statement};
