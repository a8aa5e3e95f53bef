//! Protocol between the instrument and a receiver: one line each way.
//!
//! | the instrument writes | the receiver answers |
//! |---|---|
//! | nothing yet | a [`Ready`] as soon as it takes frames |
//! | `mark` | a [`Mark`] |
//! | `end`, or the end of the file | nothing; it cleans up and exits with 0 |
//!
//! Answers are JSON objects.

use serde::{Deserialize, Serialize};

/// The line that asks for a [`Mark`].
pub const MARK: &str = "mark";
/// The line that ends a receiver.
pub const END: &str = "end";

/// First line of a receiver: it takes frames from this moment on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ready {
    /// Always true.
    pub ready: bool,
    /// Description of the set-up: ring sizes, chunk size, capture mode, wait mode.
    pub about: String,
}

/// Answer to a line `mark`: counts since the start, at the moment when the line was read.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// Frames of the generator that were given to the application.
    pub frames: u64,
    /// Their inner bytes.
    pub bytes: u64,
    /// Other frames that were given to it: not mirrored, or not made by the generator.
    pub foreign: u64,
    /// Those of `frames` whose payload tag does not match them.
    pub damaged: u64,
    /// Frames that the receiver's own kernel interface reports as lost; `None` if it reports none.
    pub kernel_lost: Option<u64>,
    /// Resident memory of the process, in KiB.
    pub rss_kib: u64,
    /// Time from the XDP program to the application since the last mark; `None` if the arrival time
    /// is not known.
    pub latency: Option<Latency>,
}

/// Percentiles of a time, in nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latency {
    /// Number of samples.
    pub count: u64,
    /// Median.
    pub p50_ns: u64,
    /// 99 of 100 are not above.
    pub p99_ns: u64,
    /// 999 of 1000 are not above.
    pub p999_ns: u64,
    /// Longest.
    pub max_ns: u64,
}
