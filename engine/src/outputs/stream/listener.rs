//! Where the readers of a stream come from.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, IsTerminal};
use std::net::TcpListener;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::SocketType;

use super::writer::StreamWriter;
use crate::config::StreamTarget;
use crate::outputs::attach::ListenSocket;

/// Only the user that captures may read what was captured.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// Somebody who wants to read.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// What the account calls it.
    pub(super) name: String,
    pub(super) sink: Arc<StreamWriter>,
    /// The sessions that it wants; `None`: all.
    pub(super) sessions: Option<Vec<String>>,
    /// Whether it asks for the end of its stream by closing its own direction.
    pub(super) ends_when_half_closed: bool,
}

/// What an output has opened for its readers.
#[derive(Debug)]
pub(crate) enum StreamListener {
    /// Until the one reader has it.
    Stdout(Option<StreamWriter>),
    Fifo(PathBuf),
    Unix(ListenSocket),
    Tcp(TcpListener),
    /// Nobody comes by themselves: they are put in.
    IncomingQueue(Arc<IncomingQueue>),
}

/// Those who are put in, until the hub lets them in.
#[derive(Debug, Default)]
pub(crate) struct IncomingQueue(Mutex<VecDeque<Incoming>>);

impl IncomingQueue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Incoming>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts somebody in; the hub's bell has to be rung then.
    pub(crate) fn put(&self, visitor: Incoming) {
        self.lock().push_back(visitor);
    }

    /// How many there are.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Incoming {
    /// Somebody who looks in: at the sessions with these names, or at all.
    pub(crate) fn of_tail(socket: UnixStream, sessions: Option<Vec<String>>) -> Self {
        let socket = OwnedFd::from(socket);
        let name = process_of(&socket);
        Self {
            name,
            sink: Arc::new(StreamWriter::Socket(socket)),
            sessions,
            ends_when_half_closed: true,
        }
    }
}

impl StreamListener {
    /// Opens what readers come to.
    pub(crate) fn open(target: &StreamTarget) -> io::Result<Self> {
        match target {
            StreamTarget::Stdout => stdout().map(Some).map(Self::Stdout),
            StreamTarget::Fifo(path) => make_fifo(path).map(|()| Self::Fifo(path.clone())),
            StreamTarget::Unix(path) => {
                ListenSocket::open(path, SocketType::STREAM).map(Self::Unix)
            }
            StreamTarget::Tcp(address) => {
                let listener = TcpListener::bind(address)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
        }
    }

    /// What becomes readable when somebody comes.
    pub(super) fn listener(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Unix(door) => Some(door.as_fd()),
            Self::Tcp(listener) => Some(listener.as_fd()),
            Self::Stdout(_) | Self::Fifo(_) | Self::IncomingQueue(_) => None,
        }
    }

    /// Whether it has one reader at a time.
    pub(super) const fn has_one_place(&self) -> bool {
        matches!(self, Self::Stdout(_) | Self::Fifo(_))
    }

    /// Whether it has to be asked now and then whether somebody has come.
    pub(super) const fn is_to_be_asked(&self) -> bool {
        matches!(self, Self::Fifo(_))
    }

    /// Whether nobody comes any more.
    pub(super) const fn are_shut(&self) -> bool {
        matches!(self, Self::Stdout(None))
    }

    /// Lets somebody in who waits; `None` if nobody does.
    pub(super) fn next(&mut self) -> io::Result<Option<Incoming>> {
        match self {
            Self::IncomingQueue(waiting) => Ok(waiting.lock().pop_front()),
            Self::Stdout(sink) => {
                Ok(sink.take().map(|sink| visitor("standard output".to_owned(), sink)))
            }
            Self::Fifo(path) => {
                Ok(open_fifo(path)?.map(|sink| visitor(path.display().to_string(), sink)))
            }
            Self::Unix(door) => Ok(door
                .accept()?
                .map(|socket| visitor(process_of(&socket), StreamWriter::Socket(socket)))),
            Self::Tcp(listener) => match listener.accept() {
                Ok((stream, peer)) => {
                    // Frames are not to wait for more frames, and a host that is gone is to be
                    // noticed. It works without.
                    let _ = stream.set_nodelay(true);
                    let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
                    Ok(Some(visitor(peer.to_string(), StreamWriter::Socket(stream.into()))))
                }
                Err(error) if is_nobody(&error) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

fn visitor(name: String, sink: StreamWriter) -> Incoming {
    Incoming { name, sink: Arc::new(sink), sessions: None, ends_when_half_closed: false }
}

fn is_nobody(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionAborted | Interrupted)
}

fn process_of(socket: &OwnedFd) -> String {
    let pid = rustix::net::sockopt::socket_peercred(socket).map(|peer| peer.pid);
    pid.map_or_else(|_| "a process".to_owned(), |pid| format!("process {pid}"))
}

/// Standard output. Of a pipe a file description of our own, so that nobody else finds it not
/// waiting.
fn stdout() -> io::Result<StreamWriter> {
    let stdout = io::stdout();
    if stdout.is_terminal() {
        return Err(io::Error::other(
            "it is a terminal, and the frames are binary: put `| tcpdump -nr -` behind",
        ));
    }
    let own = || stdout.as_fd().try_clone_to_owned();
    match FileType::from_raw_mode(rustix::fs::fstat(&stdout)?.st_mode) {
        FileType::Socket => own().map(StreamWriter::Socket),
        FileType::Fifo => match open_for_writing(Path::new("/proc/self/fd/1")) {
            Ok(Some(sink)) => Ok(sink),
            // Somebody else's pipe: it is written to as it is.
            _ => own().map(StreamWriter::File),
        },
        _ => own().map(StreamWriter::File),
    }
}

/// Makes a named pipe; one that is there is used.
fn make_fifo(path: &Path) -> io::Result<()> {
    match rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, MODE, 0) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => check_fifo(path, &rustix::fs::stat(path)?),
        Err(error) => Err(error.into()),
    }
}

/// The writing end of a named pipe, if somebody reads it.
fn open_fifo(path: &Path) -> io::Result<Option<StreamWriter>> {
    let sink = open_for_writing(path)?;
    sink.as_ref().map_or(Ok(()), |sink| check_fifo(path, &rustix::fs::fstat(sink)?))?;
    Ok(sink)
}

/// Whether frames may go there: it is a named pipe, and no one that somebody else has put into a
/// directory that everybody may write to, as `fs.protected_fifos` has it (Linux,
/// Documentation/admin-guide/sysctl/fs.rst).
fn check_fifo(path: &Path, found: &Stat) -> io::Result<()> {
    if FileType::from_raw_mode(found.st_mode) != FileType::Fifo {
        return Err(io::Error::other(format!("{} is no named pipe", path.display())));
    }
    let parent =
        path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let directory = rustix::fs::stat(parent)?;
    let is_for_all = Mode::from_raw_mode(directory.st_mode).contains(Mode::WOTH);
    if is_for_all
        && ![rustix::process::geteuid().as_raw(), directory.st_uid].contains(&found.st_uid)
    {
        let sentence =
            "somebody else has put this named pipe into a directory that everybody may write to";
        return Err(io::Error::other(format!("{}: {sentence}", path.display())));
    }
    Ok(())
}

fn open_for_writing(path: &Path) -> io::Result<Option<StreamWriter>> {
    let flags = i32::try_from(OFlags::NONBLOCK.bits()).map_err(io::Error::other)?;
    match fs::OpenOptions::new().write(true).custom_flags(flags).open(path) {
        Ok(pipe) => Ok(Some(StreamWriter::SendQueue(pipe.into()))),
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_named_pipe_of_somebody_else_in_a_directory_of_all_is_no_door() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("pipe");
        make_fifo(&path).unwrap();
        make_fifo(&path).unwrap();
        let mut theirs = rustix::fs::stat(&path).unwrap();
        theirs.st_uid += 1;
        check_fifo(&path, &theirs).unwrap();
        fs::set_permissions(directory.path(), fs::Permissions::from_mode(0o1777)).unwrap();
        make_fifo(&path).unwrap();
        let error = check_fifo(&path, &theirs).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "/pipe: somebody else has put this named pipe into a directory that everybody may write to"
            ),
            "{error}"
        );
        let error = make_fifo(Path::new("/dev/null")).unwrap_err().to_string();
        assert_eq!(error, "/dev/null is no named pipe");
    }
}
