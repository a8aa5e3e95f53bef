//! Source of the statistics at the end of a file.

use super::interface_key::{InterfaceKey, InterfaceTotals};

/// Counts of frames that a file's interface statistics blocks state in addition to its own frames.
pub(crate) trait StatsSource: Send {
    /// Reads the present counters.
    fn refresh(&mut self);
    /// Adds frames of an interface that are in a file.
    fn add_delivered(&mut self, key: InterfaceKey, frames: u64);
    /// Returns the statistics of an interface block with this number of frames in the file.
    /// `is_last` is for the last files of an output: their statistics include every frame that no
    /// earlier file has stated.
    fn totals(&mut self, key: InterfaceKey, frames: u64, is_last: bool) -> InterfaceTotals;
    /// Returns the present time in nanoseconds since 1970-01-01 UTC; `None` if only the timestamps
    /// of frames count.
    fn now_ns(&self) -> Option<u64>;
}
