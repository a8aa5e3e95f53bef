//! The host's clock, and the choice between it and the timestamps of frames.

use std::time::{SystemTime, UNIX_EPOCH};

/// Source of the start and end time in a file's statistics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The host's clock at the beginning and the end of the capture.
    Wall,
    /// Timestamps of the first and the last frame, so that a capture file always gives the same
    /// output.
    Frames,
}

/// Returns the present time in nanoseconds since 1970-01-01 UTC.
pub(crate) fn utc_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
