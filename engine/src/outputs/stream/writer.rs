//! What the frames of a reader are written to, without waiting for longer than is wanted.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{RecvFlags, SendFlags, Shutdown};

/// Most bytes that are written at once: what a pipe or the buffer of a socket holds. More only
/// copies for longer.
const WRITE_MAX: usize = 1 << 16;

/// The writing end of a stream.
#[derive(Debug)]
pub(crate) enum StreamWriter {
    Socket(OwnedFd),
    /// A pipe with a file description of our own, which does not wait.
    SendQueue(OwnedFd),
    /// Whatever else standard output is: writing may take as long as it takes.
    File(OwnedFd),
}

impl StreamWriter {
    /// Writes some of the bytes and returns how many; [`io::ErrorKind::WouldBlock`] if the reader
    /// has to take some first.
    pub(super) fn write(&self, bytes: &[u8]) -> io::Result<usize> {
        let bytes = &bytes[..bytes.len().min(WRITE_MAX)];
        let written = match self {
            Self::Socket(socket) => {
                rustix::net::send(socket, bytes, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)
            }
            Self::SendQueue(fd) | Self::File(fd) => rustix::io::write(fd, bytes),
        };
        Ok(written?)
    }

    /// Waits until something can be written, no longer than `time`.
    pub(super) fn wait(&self, time: Duration) -> io::Result<()> {
        self.poll(PollFlags::OUT, time).map(drop)
    }

    /// Whether nobody will ever read what is written. Over TCP that shows when something is written
    /// only.
    pub(super) fn is_gone(&self) -> bool {
        let gone = PollFlags::ERR | PollFlags::HUP | PollFlags::NVAL;
        self.poll(PollFlags::empty(), Duration::ZERO).is_ok_and(|found| found.intersects(gone))
    }

    /// Whether the reader has closed its own direction of a socket.
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

    /// Says that nothing follows. What the reader has sent is thrown away first: unread, it would
    /// make the kernel reset the connection, and the reader lose the end.
    pub(super) fn finish(&self) {
        let Self::Socket(socket) = self else { return };
        while matches!(rustix::net::recv(socket, &mut [0; 512], RecvFlags::DONTWAIT), Ok((1.., _)))
        {
        }
        // A reader that is gone needs no end.
        let _ = rustix::net::shutdown(socket, Shutdown::Write);
    }

    /// Hangs up, whatever waits.
    pub(super) fn cut(&self) {
        if let Self::Socket(socket) = self {
            // If it is gone, so much the better.
            let _ = rustix::net::shutdown(socket, Shutdown::Both);
        }
    }
}

impl AsFd for StreamWriter {
    fn as_fd(&self) -> BorrowedFd<'_> {
        match self {
            Self::Socket(fd) | Self::SendQueue(fd) | Self::File(fd) => fd.as_fd(),
        }
    }
}
