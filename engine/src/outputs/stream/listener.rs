//! Accepts the readers of a stream.

use std::collections::VecDeque;
use std::fs;
use std::io::{self, IsTerminal};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use rustix::fs::{FileType, Mode, OFlags, Stat};
use rustix::io::Errno;
use rustix::net::SocketType;

use super::stream_writer::StreamWriter;
use crate::config::StreamTarget;
use crate::outputs::attach::ListenSocket;
use crate::outputs::parent_directory::create_parent;
use crate::session::SourceVni;
use crate::sys::lock;

/// Only the user that captures may read the frames.
const MODE: Mode = Mode::RUSR.union(Mode::WUSR);

/// A reader that connects.
#[derive(Debug)]
pub(crate) struct Incoming {
    /// Its name in reports.
    pub(super) name: String,
    pub(super) writer: Arc<StreamWriter>,
    /// The frames that it asks for; `None`: all.
    pub(super) selection: Option<Selection>,
    /// Its address and ours, if it has come over TCP.
    pub(super) tcp: Option<(SocketAddr, SocketAddr)>,
    /// `true` if it asks for the end of its stream by shutting down its writing direction.
    pub(super) ends_when_half_closed: bool,
}

/// Frames that a reader asks for: of sessions, and of pairs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Selection {
    /// Names of sessions.
    pub(crate) names: Vec<String>,
    /// Pairs, declared or not.
    pub(crate) pairs: Vec<SourceVni>,
}

/// The opened target of a stream.
#[derive(Debug)]
pub(crate) enum StreamListener {
    /// Taken by the only reader.
    Stdout(Option<StreamWriter>),
    Fifo(PathBuf),
    Unix(ListenSocket),
    Tcp(TcpListener),
    /// Readers of `vxtap tail`, which the control socket puts in.
    IncomingQueue(Arc<IncomingQueue>),
}

/// Readers that wait to be accepted.
#[derive(Debug, Default)]
pub(crate) struct IncomingQueue(Mutex<VecDeque<Incoming>>);

impl IncomingQueue {
    fn lock(&self) -> MutexGuard<'_, VecDeque<Incoming>> {
        lock(&self.0)
    }

    /// Adds a reader; the notifier has to be notified then.
    pub(crate) fn put(&self, incoming: Incoming) {
        self.lock().push_back(incoming);
    }

    /// Returns the number of readers.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}

impl Incoming {
    /// Returns a reader of `vxtap tail` for the selected frames, or for all.
    pub(crate) fn of_tail(socket: UnixStream, selection: Option<Selection>) -> Self {
        let socket = OwnedFd::from(socket);
        let name = process_of(&socket);
        Self {
            name,
            writer: Arc::new(StreamWriter::Socket(socket)),
            selection,
            tcp: None,
            ends_when_half_closed: true,
        }
    }
}

impl StreamListener {
    /// Opens the target of a stream.
    pub(crate) fn open(target: &StreamTarget) -> io::Result<Self> {
        match target {
            StreamTarget::Stdout => stdout().map(Some).map(Self::Stdout),
            StreamTarget::Fifo(path) => make_fifo(path).map(|()| Self::Fifo(path.clone())),
            StreamTarget::Unix(path) => {
                ListenSocket::open(path, SocketType::STREAM).map(Self::Unix)
            }
            StreamTarget::Tcp(address) => {
                let listener = TcpListener::bind(address).map_err(explain_bind)?;
                listener.set_nonblocking(true)?;
                Ok(Self::Tcp(listener))
            }
        }
    }

    /// Returns the descriptor that becomes readable when a reader connects.
    pub(super) fn wakeup(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Unix(socket) => Some(socket.as_fd()),
            Self::Tcp(listener) => Some(listener.as_fd()),
            Self::Stdout(_) | Self::Fifo(_) | Self::IncomingQueue(_) => None,
        }
    }

    /// Returns whether it has only one reader at a time.
    pub(super) const fn is_exclusive(&self) -> bool {
        matches!(self, Self::Stdout(_) | Self::Fifo(_))
    }

    /// Returns whether it has to be polled for readers.
    pub(super) const fn needs_polling(&self) -> bool {
        matches!(self, Self::Fifo(_))
    }

    /// Returns whether no more readers can come.
    pub(super) const fn is_exhausted(&self) -> bool {
        matches!(self, Self::Stdout(None))
    }

    /// Accepts a reader; `None` if none waits.
    pub(super) fn next(&mut self) -> io::Result<Option<Incoming>> {
        match self {
            Self::IncomingQueue(waiting) => Ok(waiting.lock().pop_front()),
            Self::Stdout(writer) => {
                Ok(writer.take().map(|writer| incoming("standard output".to_owned(), writer)))
            }
            Self::Fifo(path) => {
                Ok(open_fifo(path)?.map(|writer| incoming(path.display().to_string(), writer)))
            }
            Self::Unix(socket) => Ok(socket
                .accept()?
                .map(|socket| incoming(process_of(&socket), StreamWriter::Socket(socket)))),
            Self::Tcp(listener) => match listener.accept() {
                Ok((stream, peer)) => {
                    // Frames must not wait for more frames, and a host that is gone has to be
                    // noticed. Both are optional.
                    let _ = stream.set_nodelay(true);
                    let _ = rustix::net::sockopt::set_socket_keepalive(&stream, true);
                    let ends = (peer, stream.local_addr()?);
                    let incoming = incoming(peer.to_string(), StreamWriter::Socket(stream.into()));
                    Ok(Some(Incoming { tcp: Some(ends), ..incoming }))
                }
                Err(error) if is_disconnected(&error) => Ok(None),
                Err(error) => Err(error),
            },
        }
    }
}

/// Returns the error of listening at a TCP address with a remedy.
fn explain_bind(error: io::Error) -> io::Error {
    let sentence = match error.kind() {
        io::ErrorKind::AddrInUse => {
            "another program listens there: stop it, or set another output.address"
        }
        io::ErrorKind::AddrNotAvailable => {
            "it is no address of this host: set output.address to one that is"
        }
        io::ErrorKind::PermissionDenied => {
            "this port needs CAP_NET_BIND_SERVICE: set output.address to a port from 1024 on"
        }
        _ => return error,
    };
    io::Error::new(error.kind(), sentence)
}

fn incoming(name: String, writer: StreamWriter) -> Incoming {
    let writer = Arc::new(writer);
    Incoming { name, writer, selection: None, tcp: None, ends_when_half_closed: false }
}

fn is_disconnected(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, Interrupted, WouldBlock};
    matches!(error.kind(), WouldBlock | ConnectionAborted | Interrupted)
}

fn process_of(socket: &OwnedFd) -> String {
    let pid = rustix::net::sockopt::socket_peercred(socket).map(|peer| peer.pid);
    pid.map_or_else(|_| "a process".to_owned(), |pid| format!("process {pid}"))
}

/// Opens standard output. A pipe gets a new file description, so that `O_NONBLOCK` does not change
/// the pipe of other processes.
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
            Ok(Some(writer)) => Ok(writer),
            // A pipe of another user: written to with the description that it has.
            _ => own().map(StreamWriter::File),
        },
        _ => own().map(StreamWriter::File),
    }
}

/// Creates a named pipe and missing directories, or uses the pipe that exists.
fn make_fifo(path: &Path) -> io::Result<()> {
    create_parent(path)?;
    match rustix::fs::mknodat(rustix::fs::CWD, path, FileType::Fifo, MODE, 0) {
        Ok(()) => Ok(()),
        Err(Errno::EXIST) => check_fifo(path, &rustix::fs::stat(path)?),
        Err(error) => Err(error.into()),
    }
}

/// Opens the writing end of a named pipe if a process reads it.
fn open_fifo(path: &Path) -> io::Result<Option<StreamWriter>> {
    let writer = open_for_writing(path)?;
    writer.as_ref().map_or(Ok(()), |writer| check_fifo(path, &rustix::fs::fstat(writer)?))?;
    Ok(writer)
}

/// Returns an error unless the file is a named pipe that may be written to: not one that another
/// user has put into a directory with write permission for all, as with `fs.protected_fifos`
/// ([`sysctl/fs.rst`](https://github.com/torvalds/linux/blob/v6.12/Documentation/admin-guide/sysctl/fs.rst)).
fn check_fifo(path: &Path, found: &Stat) -> io::Result<()> {
    if FileType::from_raw_mode(found.st_mode) != FileType::Fifo {
        let sentence = "is there and is no named pipe: remove it, or name another path";
        return Err(io::Error::other(format!("{} {sentence}", path.display())));
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
        Ok(queue) => Ok(Some(StreamWriter::Pipe(queue.into()))),
        Err(error) if error.raw_os_error() == Some(Errno::NXIO.raw_os_error()) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn an_address_that_cannot_be_had_is_refused_with_the_remedy() {
        let first = TcpListener::bind("127.0.0.1:0").unwrap();
        let refusal =
            |address| StreamListener::open(&StreamTarget::Tcp(address)).unwrap_err().to_string();
        assert_eq!(
            refusal(first.local_addr().unwrap()),
            "another program listens there: stop it, or set another output.address"
        );
        assert_eq!(
            refusal("192.0.2.1:57012".parse().unwrap()),
            "it is no address of this host: set output.address to one that is"
        );
    }

    #[test]
    fn a_named_pipe_of_another_user_in_a_directory_of_all_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("missing/pipe");
        make_fifo(&path).unwrap();
        make_fifo(&path).unwrap();
        let mut theirs = rustix::fs::stat(&path).unwrap();
        theirs.st_uid += 1;
        check_fifo(&path, &theirs).unwrap();
        let for_all = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(path.parent().unwrap(), for_all).unwrap();
        make_fifo(&path).unwrap();
        let error = check_fifo(&path, &theirs).unwrap_err().to_string();
        assert!(
            error.ends_with(
                "/pipe: somebody else has put this named pipe into a directory that everybody may write to"
            ),
            "{error}"
        );
        let error = make_fifo(Path::new("/dev/null")).unwrap_err().to_string();
        assert_eq!(
            error,
            "/dev/null is there and is no named pipe: remove it, or name another path"
        );
    }
}
