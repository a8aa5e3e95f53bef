//! Writes frames to pcapng files that every reader understands, also while they grow.
//!
//! | module | content |
//! |---|---|
//! | `pcapng_output` | opens the files of an output and runs its thread |
//! | `rotating_writer` | distributes the frames of an output to its files and rotates them |
//! | `open_files` | the set of open files, by their keys |
//! | `hourly_limit`, `space_floor` | limits of files and space for undeclared senders |
//! | `open_file` | one open file, and the factory that creates files |
//! | `capture_writer` | writes frames, sections and statistics |
//! | `interface_table` | assigns each frame to the interface block of its session |
//! | `interface_key` | keys and counts of interface blocks |
//! | `file` | writes complete blocks at least once a second, retries after failures |
//! | `blocks` | encodes blocks in memory (draft-ietf-opsawg-pcapng) |
//! | `stats_source`, `interface_stats` | the statistics at the end of a file |
//! | `file_names` | renders and recognizes file names |
//! | `loss_report` | reports once that frames are lost for lack of a file, and the end of it |
//! | `finalizer` | thread that syncs completed files, renames them and applies retention |
//! | `compress` | thread that compresses completed files |
//! | `retention` | selects the files to delete by count, size and age |
//! | `clock_steps` | keeps the age of files right when the host's clock is set |
//! | `deletions` | counts and reports deleted files |
//! | `output_directory` | creates directories, renames and lists files, recovers those of an earlier run |
//! | `secure_open` | opens files safely in directories that others can write to |
//! | `owner` | looks up users and groups |

mod blocks;
mod capture_writer;
mod clock_steps;
mod compress;
mod deletions;
mod file;
mod file_names;
mod finalizer;
mod hourly_limit;
mod interface_key;
mod interface_stats;
mod interface_table;
mod loss_report;
mod open_file;
mod open_files;
mod output_directory;
mod owner;
mod pcapng_output;
mod retention;
mod rotating_writer;
mod secure_open;
mod space_floor;
mod stats_source;

pub use blocks::{Blocks, InterfaceDescription, MAX_CAPTURED_BYTES, Statistics};
pub use capture_writer::CaptureWriter;
pub use file::{FLUSH_INTERVAL, PcapngError, PcapngFile};
pub use interface_key::{FrameKey, InterfaceKey, InterfaceTotals, TimeSpan};
pub use interface_table::PAIRS_MAX;
pub(super) use pcapng_output::open;
use rotating_writer::{RotatingWriter, WriterConfig};
use secure_open::Owner;
use stats_source::StatsSource;
