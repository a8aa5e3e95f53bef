//! Accepts connections to a shared output.

use std::io;
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::diagnostics::LogOnChange;
use crate::outputs::attach::ListenSocket;

/// Largest number of connections that have not been attached.
const PENDING_MAX: usize = 16;
/// Largest number of connections accepted in one turn, so that connections without end do not delay
/// attached consumers.
const ACCEPTS_PER_TURN: usize = 16;
/// Pause after accepting has failed.
const PAUSE: Duration = Duration::from_secs(1);

/// A listening socket that is paused after failures, and closed at the end.
#[derive(Debug)]
pub(super) struct Acceptor {
    socket: Option<ListenSocket>,
    paused_until: Option<Instant>,
    last_error: LogOnChange,
}

impl Acceptor {
    pub(super) fn new(socket: ListenSocket) -> Self {
        Self { socket: Some(socket), paused_until: None, last_error: LogOnChange::default() }
    }

    /// Returns the socket, unless it is paused or closed.
    pub(super) fn socket(&self) -> Option<&ListenSocket> {
        self.socket
            .as_ref()
            .filter(|_| self.paused_until.is_none_or(|until| Instant::now() >= until))
    }

    /// Accepts no more connections.
    pub(super) fn close(&mut self) {
        self.socket = None;
    }

    /// Accepts the connections that wait. Returns a message if accepting fails.
    pub(super) fn accept(&mut self, connections: &mut Vec<Connection>) -> Option<String> {
        let socket = self.socket()?;
        let accepted = accept(socket, connections);
        drop_oldest_pending(connections);
        self.note(accepted)
    }

    fn note(&mut self, accepted: io::Result<usize>) -> Option<String> {
        // A failure will not be over at once.
        self.paused_until = accepted.as_ref().err().map(|_| Instant::now() + PAUSE);
        match accepted {
            Ok(0) => None,
            Ok(_) => self.last_error.of(None),
            Err(error) => self.last_error.of(Some(format!("cannot accept a consumer: {error}"))),
        }
    }
}

/// Accepts the connections that wait, and returns their number.
fn accept(socket: &ListenSocket, connections: &mut Vec<Connection>) -> io::Result<usize> {
    let before = connections.len();
    for _ in 0..ACCEPTS_PER_TURN {
        let Some(socket) = socket.accept()? else { break };
        connections.push(Connection::new(socket));
    }
    Ok(connections.len() - before)
}

/// Drops the oldest connections without a hello, which must not keep others out.
fn drop_oldest_pending(connections: &mut Vec<Connection>) {
    let pending = connections.iter().filter(|connection| connection.member().is_none()).count();
    let mut surplus = pending.saturating_sub(PENDING_MAX);
    connections.retain(|connection| {
        let goes = surplus > 0 && connection.member().is_none();
        surplus -= usize::from(goes);
        !goes
    });
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use rustix::net::SocketType;

    use super::*;

    #[test]
    fn whoever_connects_without_end_is_let_in_a_few_at_a_time_and_the_silent_go() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let mut acceptor = Acceptor::new(ListenSocket::open(&path, SocketType::STREAM).unwrap());
        let _first: Vec<_> =
            (0..=ACCEPTS_PER_TURN).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let mut connections = Vec::new();
        assert_eq!(accept(acceptor.socket().unwrap(), &mut connections).unwrap(), ACCEPTS_PER_TURN);
        let _second: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(acceptor.accept(&mut connections), None);
        assert_eq!(connections.len(), PENDING_MAX);
        acceptor.close();
        assert_eq!(acceptor.accept(&mut connections), None);
    }

    #[test]
    fn a_socket_that_fails_is_paused_and_that_is_reported_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let mut acceptor = Acceptor::new(ListenSocket::open(&path, SocketType::STREAM).unwrap());
        let full = || Err(io::Error::other("too many open files"));
        assert_eq!(
            acceptor.note(full()).as_deref(),
            Some("cannot accept a consumer: too many open files")
        );
        assert!(acceptor.socket().is_none());
        assert_eq!(acceptor.note(full()), None);
        acceptor.paused_until = Some(Instant::now());
        assert!(acceptor.socket().is_some());
        assert_eq!(acceptor.note(Ok(1)), None);
        assert!(acceptor.note(full()).is_some(), "it is another time");
    }
}
