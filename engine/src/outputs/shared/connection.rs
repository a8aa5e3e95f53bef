//! The engine's end of one connection.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::io::Errno;
use rustix::net::RecvFlags;

use crate::outputs::shared::protocol::{self, Hello};
use crate::ring::PeerState;

/// Longest wait for a hello.
const HELLO_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    socket: OwnedFd,
    pub(super) state: ConnectionState,
}

#[derive(Debug)]
pub(super) enum ConnectionState {
    /// Has sent nothing yet.
    Pending { since: Instant },
    /// Has sent its hello.
    Greeted(Hello),
    /// Has rings.
    Attached(AttachedConsumer),
    /// Has to be closed.
    Over,
}

/// A consumer that has rings.
#[derive(Debug)]
pub(super) struct AttachedConsumer {
    pub(super) member: u32,
    /// Liveness of the consumer for each of its rings, by queue.
    pub(super) peers: Vec<Arc<PeerState>>,
    /// Number of sessions that it knows.
    pub(super) sessions: usize,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, state: ConnectionState::Pending { since: Instant::now() } }
    }

    /// Reads without waiting; returns whether the connection stays.
    pub(super) fn receive(&mut self) -> bool {
        let heard = protocol::receive(self.socket.as_fd(), RecvFlags::DONTWAIT);
        match (heard, &self.state) {
            (Err(error), ConnectionState::Pending { since }) if is_nothing(&error) => {
                since.elapsed() < HELLO_TIMEOUT
            }
            (Err(error), _) => is_nothing(&error),
            (Ok(Some(bytes)), ConnectionState::Pending { .. }) => match Hello::of_bytes(&bytes) {
                Some(hello) => {
                    self.state = ConnectionState::Greeted(hello);
                    true
                }
                None => false,
            },
            // The peer has closed it, or sends more than the protocol allows.
            (Ok(_), _) => false,
        }
    }

    /// Returns the number of the member that it reads.
    pub(super) const fn member(&self) -> Option<u32> {
        match &self.state {
            ConnectionState::Attached(consumer) => Some(consumer.member),
            ConnectionState::Pending { .. }
            | ConnectionState::Greeted(_)
            | ConnectionState::Over => None,
        }
    }

    /// Returns whether a worker has found its ring index invalid.
    pub(super) fn has_invalid_tail(&self) -> bool {
        matches!(&self.state, ConnectionState::Attached(consumer) if consumer.peers.iter().any(|it| it.has_invalid_tail()))
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
        Self { member, peers: Vec::new(), sessions: 0 }
    }
}

impl Drop for AttachedConsumer {
    fn drop(&mut self) {
        // From now on the workers reclaim its chunks.
        self.peers.iter().for_each(|peer| peer.set_gone());
    }
}
