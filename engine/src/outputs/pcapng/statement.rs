//! What the end of a file says of what is not in it.

use super::capture::{InterfaceKey, InterfaceTotals};

/// What the statistics of a file say beyond what is in it.
pub(crate) trait Statement: Send {
    /// Looks at the counts as they are now.
    fn refresh(&mut self);
    /// Frames are in a file.
    fn deliver(&mut self, key: InterfaceKey, frames: u64);
    /// The statistics of an interface block that stands for so many frames. Of the last file of all
    /// they leave nothing out that no other file says.
    fn totals(&mut self, key: InterfaceKey, frames: u64, is_last: bool) -> InterfaceTotals;
    /// The time now, in nanoseconds since 1970-01-01 UTC; `None` if only the times of frames count.
    fn now_ns(&self) -> Option<u64>;
}
