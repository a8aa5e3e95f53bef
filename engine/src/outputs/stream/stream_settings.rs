//! Format and limits of a stream.

use std::time::Duration;

use super::access::Access;
use crate::config::{ORDER_WINDOW_FILES_US, Stream, StreamFormat, StreamTarget};

/// Largest number of bytes in the send queue of a `vxtap tail`.
const TAIL_CAPACITY: usize = 4 << 20;

/// Format and limits of a stream.
#[derive(Debug)]
pub(crate) struct StreamSettings {
    pub(crate) format: StreamFormat,
    /// Largest number of readers at a time.
    pub(crate) readers_max: usize,
    /// Longest time that a reader takes nothing although frames wait for it; `None`: any.
    pub(crate) send_timeout: Option<Duration>,
    /// Programs that may read over TCP.
    pub(crate) access: Access,
    /// Largest number of bytes in the send queue of a reader.
    pub(crate) capacity: usize,
    /// Longest time that a frame waits for earlier ones.
    pub(crate) order_window: Duration,
}

impl StreamSettings {
    /// Returns the settings of `vxtap tail`, whose readers may stand still: somebody looks at them
    /// page by page.
    pub(crate) const fn of_tail(readers_max: usize) -> Self {
        let order_window = Duration::from_micros(ORDER_WINDOW_FILES_US as u64);
        Self {
            format: StreamFormat::Pcapng,
            readers_max,
            send_timeout: None,
            access: Access::All,
            capacity: TAIL_CAPACITY,
            order_window,
        }
    }

    pub(crate) fn of(stream: &Stream, access: Access, order_window: Duration) -> Self {
        // The only reader of standard output or a named pipe keeps nobody else out.
        let has_timeout = matches!(stream.target, StreamTarget::Unix(_) | StreamTarget::Tcp(_));
        Self {
            format: stream.format,
            readers_max: stream.reader_limit() as usize,
            send_timeout: has_timeout.then(|| Duration::from_secs(stream.send_timeout_s.into())),
            access,
            capacity: (stream.buffer_mib as usize) << 20,
            order_window,
        }
    }
}
