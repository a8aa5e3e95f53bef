//! How do frames become a pcapng file that every tool reads, also while it grows?
//!
//! | module | what it does |
//! |---|---|
//! | `blocks` | encodes blocks into memory (draft-ietf-opsawg-pcapng) |
//! | `file` | puts whole blocks into a file, at least once each second |
//! | `capture` | gives each frame the interface block of its session |
//! | `sink` | keeps a file going when writes fail for a time, and accounts for every frame |
//! | `statement` | what the end of a file says of what is not in it |
//! | `name` | what files are called, and which are an output's own |
//! | `part` | a file that is open, and how one begins |
//! | `series` | the files of an output, one after the other and beside each other |
//! | `open` | the files that are open, by whose frames they hold |
//! | `trouble` | says once that frames find no file, and when they do again |
//! | `finish` | a thread that gives whole files their names and deletes old ones |
//! | `compress` | a thread that compresses whole files |
//! | `keep` | which files are too old, too many or too long |
//! | `disk` | directories, renaming, what an earlier run has left |
//! | `private` | files that their owner alone may read, and that are what they seem |

mod blocks;
mod capture;
mod compress;
mod directory;
mod file;
mod finalizer;
mod interface_stats;
mod loss_report;
mod name;
mod open;
mod open_file;
mod output;
mod owner;
mod retention;
mod rotating_writer;
mod secure_open;
mod sink;
mod statement;

pub use blocks::{Blocks, Interface, MAX_CAPTURED_BYTES, Statistics};
pub use capture::{CaptureWriter, FrameKey, InterfaceKey, InterfaceTotals, PAIRS_MAX, Period};
pub use file::{FLUSH_INTERVAL, PcapngError, PcapngFile};
pub(super) use output::open;
use rotating_writer::{Plan, RotatingWriter};
use secure_open::Owner;
use statement::Statement;
