//! What a stream is like.

use std::time::Duration;

use crate::config::{Stream, StreamFormat};

/// Most bytes that wait for somebody who looks in.
const TAIL_CAPACITY: usize = 4 << 20;

/// What a stream is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamSettings {
    pub(crate) format: StreamFormat,
    /// Most readers at a time.
    pub(crate) readers_max: usize,
    /// Most bytes that wait for a reader.
    pub(crate) capacity: usize,
    /// How long a frame waits for earlier ones.
    pub(crate) order_window: Duration,
}

impl StreamSettings {
    /// For those who look in: what comes first is shown first.
    pub(crate) const fn of_tail(readers_max: usize) -> Self {
        let order_window = Duration::from_millis(1);
        Self { format: StreamFormat::Pcapng, readers_max, capacity: TAIL_CAPACITY, order_window }
    }

    pub(crate) const fn of(stream: &Stream, order_window: Duration) -> Self {
        Self {
            format: stream.format,
            readers_max: stream.readers_max() as usize,
            capacity: (stream.buffer_mib as usize) << 20,
            order_window,
        }
    }
}
