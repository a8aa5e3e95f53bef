//! The descriptor that the frames of a reader are written to, with time limits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// Largest number of bytes in one write: the capacity of a pipe or socket buffer. More would only
/// be copied in vain.
const WRITE_MAX: usize = 1 << 16;

/// The writing end of a stream.
#[derive(Debug)]
pub(crate) enum StreamWriter {
    Socket(OwnedFd),
    /// A pipe with its own file description, which does not block.
    Pipe(OwnedFd),
    /// Any other standard output; writing may block.
    File(OwnedFd),
}

impl StreamWriter {
    /// Writes some of the bytes and returns their number; [`io::ErrorKind::WouldBlock`] if the
    /// reader has to take some first.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(WRITE_MAX)];
        let written = match self {
            Self::Socket(socket) => {
                rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            Self::Pipe(fd) | Self::File(fd) => rustix::io::write(fd, bytes),
        };
        Ok(written?)
    }

    /// Waits until it is writable, at most for `time`.
    pub(super) fn wait(&self, time: Duration) -> io::Result<()> {
        self.poll(PollFlags::OUT, time).map(drop)
    }

    /// Returns whether the reader has detached. Over TCP only a write shows it.
    pub(super) fn is_gone(&self) -> bool {
        let past_readers = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        self.poll(PollFlags::empty(), Duration::ZERO)
            .is_ok_and(|found| found.intersects(past_readers))
    }

    /// Returns whether the reader has shut down its direction of a socket.
    pub(super) fn is_half_closed(&self) -> bool {
        let found = self.poll(PollFlags::RDHUP, Duration::ZERO);
        matches!(self, Self::Socket(_)) && found.is_ok_and(|found| found.contains(PollFlags::RDHUP))
    }

    fn poll(&self, events: PollFlags, time: Duration) -> io::Result<PollFlags> {
        let mut entries = [PollFd::new(self, events)];
        let time = Timespec { tv_sec: 0, tv_nsec: time.subsec_nanos().into() };
        match poll(&mut entries, Some(&time)) {
            Ok(_) => Ok(entries[0].revents()),
            Err(rustix::io::Errno::INTR) => Ok(PollFlags::empty()),
            Err(error) => Err(error.into()),
        }
    }

    /// Shuts down the writing direction. Reads and discards what the reader has sent: unread bytes
    /// would make the kernel reset the connection, and the reader would lose the end.
    pub(super) fn finish(&self) {
        let Self::Socket(socket) = self else { return };
        while matches!(rustix::net::recv(socket, &mut [0; 512], RecvFlags::DONTWAIT), Ok((1.., _)))
        {
        }
        // A reader that has detached needs no end.
        let _ = rustix::net::shutdown(socket, Shutdown::Write);
    }

    /// Disconnects at once.
    pub(super) fn cut(&self) {
        if let Self::Socket(socket) = self {
            // An error means that the reader has detached already.
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
        }
    }
}

impl AsFd for StreamWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(fd) | Self::Pipe(fd) | Self::File(fd) => fd.as_fd(),
        }
    }
}
