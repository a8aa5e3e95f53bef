//! Waiting for file descriptors (`poll(2)`).

use std::io;
use std::time::Duration;

use rustix::event::{PollFd, Timespec, poll};

/// Waits until one of `entries` is ready, at most `timeout` in whole milliseconds (less than one:
/// returns at once).
///
/// For an AF_XDP socket that asked for wake-ups this also wakes the driver
/// ([`xsk_poll`](https://github.com/torvalds/linux/blob/v6.12/net/xdp/xsk.c)).
///
/// # Errors
///
/// The errno of the system call; EINTR is not retried.
pub(crate) fn wait_for(entries: &mut [PollFd<'_>], timeout: Duration) -> io::Result<()> {
    let whole_ms = u64::try_from(timeout.as_millis()).unwrap_or(u64::MAX);
    // A timeout that no `timespec` holds is none.
    let timeout = Timespec::try_from(Duration::from_millis(whole_ms)).ok();
    poll(entries, timeout.as_ref())?;
    Ok(())
}
