//! One connection: somebody who wants to read, or does.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::outputs::shared::protocol::{self, Hello};
use crate::ring::PeerState;

/// Longest wait for somebody's hello.
const PATIENCE: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    pub(super) state: ConnectionState,
}

#[derive(Debug)]
pub(super) enum ConnectionState {
    /// Has said nothing yet.
    Silent { since: Instant },
    /// Has said hello.
    Asking(Hello),
    /// Reads.
    Attached(AttachedConsumer),
    /// Is to be hung up on.
    Over,
}

/// A consumer that has rings.
#[derive(Debug)]
pub(super) struct AttachedConsumer {
    pub(super) member: u32,
    /// Of its rings, by lane.
    pub(super) presences: Vec<Arc<PeerState>>,
    /// Number of sessions that it knows.
    pub(super) sessions: usize,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, state: ConnectionState::Silent { since: Instant::now() } }
    }

    /// Looks whether it has said something, without waiting; returns whether it stays.
    pub(super) fn look(&mut self) -> bool {
        let heard = protocol::receive(self.socket.as_fd(), RecvFlags::DONTWAIT);
        match (heard, &self.state) {
            (Err(error), ConnectionState::Silent { since }) if is_nothing(&error) => {
                since.elapsed() < PATIENCE
            }
            (Err(error), _) => is_nothing(&error),
            (Ok(Some(bytes)), ConnectionState::Silent { .. }) => match Hello::of_bytes(&bytes) {
                Some(hello) => {
                    self.state = ConnectionState::Asking(hello);
                    true
                }
                None => false,
            },
            // It has hung up, or says more than it has to.
            (Ok(_), _) => false,
        }
    }

    /// The member that it reads.
    pub(super) const fn member(&self) -> Option<u32> {
        match &self.state {
            ConnectionState::Attached(guest) => Some(guest.member),
            ConnectionState::Silent { .. } | ConnectionState::Asking(_) | ConnectionState::Over => {
                None
            }
        }
    }

    /// Whether a worker has cut it off.
    pub(super) fn has_invalid_tail(&self) -> bool {
        matches!(&self.state, ConnectionState::Attached(guest) if guest.presences.iter().any(|it| it.has_invalid_tail()))
    }
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn is_nothing(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::AGAIN.raw_os_error())
}

impl AttachedConsumer {
    pub(super) const fn new(member: u32) -> Self {
        Self { member, presences: Vec::new(), sessions: 0 }
    }
}

impl Drop for AttachedConsumer {
    fn drop(&mut self) {
        // From now on the workers take back what it had.
        self.presences.iter().for_each(|presence| presence.leave());
    }
}
