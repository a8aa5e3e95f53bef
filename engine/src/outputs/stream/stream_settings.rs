//! Format and limits of a stream.

use std::time::Duration;

use crate::config::{Stream, StreamFormat};

/// Largest number of bytes in the send queue of a `vxtap tail`.
const TAIL_CAPACITY: usize = 4 << 20;

/// Format and limits of a stream.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamSettings {
    pub(crate) format: StreamFormat,
    /// Largest number of readers at a time.
    pub(crate) readers_max: usize,
    /// Largest number of bytes in the send queue of a reader.
    pub(crate) capacity: usize,
    /// Longest time that a frame waits for earlier ones.
    pub(crate) order_window: Duration,
}

impl StreamSettings {
    /// Returns the settings of `vxtap tail`.
    pub(crate) const fn of_tail(readers_max: usize) -> Self {
        let order_window = Duration::from_millis(1);
        Self { format: StreamFormat::Pcapng, readers_max, capacity: TAIL_CAPACITY, order_window }
    }

    pub(crate) const fn of(stream: &Stream, order_window: Duration) -> Self {
        Self {
            format: stream.format,
            readers_max: stream.reader_limit() as usize,
            capacity: (stream.buffer_mib as usize) << 20,
            order_window,
        }
    }
}
