//! The time of the host, where it is more than the time of a frame.

use std::time::{SystemTime, UNIX_EPOCH};

/// What the time that a file's statistics speak of is taken from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Clock {
    /// Start and end of the engine.
    Wall,
    /// The first and the last frame, so that the same capture file gives the same output.
    Frames,
}

/// Nanoseconds since 1970-01-01 UTC.
pub(crate) fn utc_ns() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX)
}
