//! Who wants to read a shared output, until he has said what he wants.

use std::io;
use std::time::{Duration, Instant};

use super::connection::Connection;
use crate::diagnostics::LogOnChange;
use crate::outputs::attach::ListenSocket;

/// Most connections at a time beyond those that are attached.
const SILENT_MAX: usize = 16;
/// Most connections that are taken in one turn: whoever may connect must not keep those waiting
/// that are attached.
const ACCEPTS_PER_TURN: usize = 16;
/// How long nobody is let in after that has failed.
const SHUT: Duration = Duration::from_secs(1);

/// A door that can be shut for a while, and closed.
#[derive(Debug)]
pub(super) struct Acceptor {
    door: Option<ListenSocket>,
    shut_until: Option<Instant>,
    news: LogOnChange,
}

impl Acceptor {
    pub(super) fn new(door: ListenSocket) -> Self {
        Self { door: Some(door), shut_until: None, news: LogOnChange::default() }
    }

    /// The door, unless it is shut.
    pub(super) fn door(&self) -> Option<&ListenSocket> {
        self.door.as_ref().filter(|_| self.shut_until.is_none_or(|until| Instant::now() >= until))
    }

    /// Lets nobody in any more.
    pub(super) fn close(&mut self) {
        self.door = None;
    }

    /// Lets in who waits. Returns what is to be said: that nobody can be let in for now.
    pub(super) fn let_in(&mut self, clients: &mut Vec<Connection>) -> Option<String> {
        let door = self.door()?;
        let accepted = accept(door, clients);
        drop_most_silent(clients);
        self.note(accepted)
    }

    fn note(&mut self, accepted: io::Result<usize>) -> Option<String> {
        // Whatever fails will not be over at once.
        self.shut_until = accepted.as_ref().err().map(|_| Instant::now() + SHUT);
        match accepted {
            Ok(0) => None,
            Ok(_) => self.news.of(None),
            Err(error) => self.news.of(Some(format!("cannot let a consumer in: {error}"))),
        }
    }
}

/// Lets in who waits, and returns how many.
fn accept(door: &ListenSocket, clients: &mut Vec<Connection>) -> io::Result<usize> {
    let before = clients.len();
    for _ in 0..ACCEPTS_PER_TURN {
        let Some(socket) = door.accept()? else { break };
        clients.push(Connection::new(socket));
    }
    Ok(clients.len() - before)
}

/// Whoever says nothing must not keep others out: the oldest go.
fn drop_most_silent(clients: &mut Vec<Connection>) {
    let silent = clients.iter().filter(|client| client.member().is_none()).count();
    let mut surplus = silent.saturating_sub(SILENT_MAX);
    clients.retain(|client| {
        let goes = surplus > 0 && client.member().is_none();
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
        let mut entrance = Acceptor::new(ListenSocket::open(&path, SocketType::STREAM).unwrap());
        let _first: Vec<_> =
            (0..=ACCEPTS_PER_TURN).map(|_| UnixStream::connect(&path).unwrap()).collect();
        let mut clients = Vec::new();
        assert_eq!(accept(entrance.door().unwrap(), &mut clients).unwrap(), ACCEPTS_PER_TURN);
        let _second: Vec<_> = (0..3).map(|_| UnixStream::connect(&path).unwrap()).collect();
        assert_eq!(entrance.let_in(&mut clients), None);
        assert_eq!(clients.len(), SILENT_MAX);
        entrance.close();
        assert_eq!(entrance.let_in(&mut clients), None);
    }

    #[test]
    fn a_door_that_fails_is_shut_for_a_while_and_that_is_said_once() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let mut entrance = Acceptor::new(ListenSocket::open(&path, SocketType::STREAM).unwrap());
        let full = || Err(io::Error::other("too many open files"));
        assert_eq!(
            entrance.note(full()).as_deref(),
            Some("cannot let a consumer in: too many open files")
        );
        assert!(entrance.door().is_none());
        assert_eq!(entrance.note(full()), None);
        entrance.shut_until = Some(Instant::now());
        assert!(entrance.door().is_some());
        assert_eq!(entrance.note(Ok(1)), None);
        assert!(entrance.note(full()).is_some(), "it is another time");
    }
}
