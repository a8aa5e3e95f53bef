//! The consumer's end of a shared output, for Rust programs.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use super::protocol::{self, FdMessage, Hello, Status, Welcome};
use crate::ring::{self, Files, Reader, VERSION};
use crate::ring::{Consumer, NewRings};
use crate::session::SessionId;
use crate::sys::lock;

/// Default of the time that a frame waits for earlier ones of other queues, as in the outputs of
/// the engine itself.
pub const ORDER_WINDOW: Duration = Duration::from_millis(1);

/// Reason why a process cannot attach to an output.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// No process listens there, or the socket may not be opened.
    #[error("cannot connect to {path}: {source}")]
    Connect {
        /// Path of the socket.
        path: String,
        /// The error of the system call.
        source: io::Error,
    },
    /// The engine has refused.
    #[error("{sentence}")]
    Refused {
        /// Message of the engine.
        sentence: String,
    },
    /// The engine speaks a version that is not known here.
    #[error("the engine speaks version {theirs}, and version {VERSION} is known here")]
    Version {
        /// The engine's version.
        theirs: u32,
    },
    /// The peer is not an engine, has closed the connection, or its memory cannot be mapped.
    #[error("cannot attach to the output: {0}")]
    Io(#[from] io::Error),
}

/// The frames of an output, in this process.
#[derive(Debug)]
pub struct Attachment {
    /// Reads copies of the frames. Dropping it ends the attachment.
    pub consumer: Consumer,
    /// Number of the member that it reads.
    pub member: u32,
    /// Number of members of the output.
    pub members: u32,
    sessions: SessionNames,
}

type SessionNames = Arc<Mutex<Vec<(SessionId, String)>>>;

impl Attachment {
    /// Returns the engine's current sessions, in the order of their ids.
    pub fn sessions(&self) -> Vec<(SessionId, String)> {
        lock(&self.sessions).clone()
    }
}

/// Attaches to an output of `type = "shared"` of another process: to one of its members, or to the
/// member with the fewest consumers. Needs no privileges but access to the socket. The frames are
/// copied from memory that this process can only read, up to 256 at a time, and released in the
/// engine's ring at once: the engine takes the memory of a consumer that it disconnects back and
/// receives other frames there. A thread waits for further queues and for the end of the engine.
///
/// The frames of several queues are merged in the order of their times, within [`ORDER_WINDOW`]
/// unless [another one is set](Consumer::order_within).
///
/// # Errors
///
/// [`AttachError`].
pub fn attach(path: &Path, member: Option<u32>) -> Result<Attachment, AttachError> {
    let socket = Arc::new(connect(path)?);
    protocol::send(socket.as_fd(), &Hello::new(member).to_bytes())?;
    let answer = protocol::receive(socket.as_fd(), RecvFlags::empty())?.ok_or_else(hung_up)?;
    let welcome = Welcome::of_bytes(&answer)
        .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the other side is not vxtap"))?;
    if welcome.status != Status::Welcome as u32 {
        return Err(AttachError::Refused { sentence: welcome.sentence });
    }
    if welcome.version != VERSION {
        return Err(AttachError::Version { theirs: welcome.version });
    }
    let (names, mut readers) = (SessionNames::default(), Vec::new());
    while readers.len() < welcome.rings as usize {
        match receive_ring(&socket, &names)? {
            ReceivedMessage::Ring(reader) => readers.push(reader),
            ReceivedMessage::Other => {}
            ReceivedMessage::End => return Err(hung_up().into()),
        }
    }
    let mut consumer = Consumer::new(readers);
    consumer.order_within(ORDER_WINDOW);
    let new_rings = Arc::downgrade(consumer.new_rings());
    consumer.keep_alive(ConnectionGuard(socket.clone()));
    let receive_updates = {
        let names = names.clone();
        move || receive_updates(&socket, &new_rings, &names)
    };
    thread::Builder::new().name("vxtap-shared".to_owned()).spawn(receive_updates)?;
    let Welcome { member, members, .. } = welcome;
    Ok(Attachment { consumer, member, members, sessions: names })
}

fn connect(path: &Path) -> Result<OwnedFd, AttachError> {
    let failed = |source: rustix::io::Errno| AttachError::Connect {
        path: path.display().to_string(),
        source: source.into(),
    };
    let address = SocketAddrUnix::new(path).map_err(failed)?;
    let kind = SocketType::SEQPACKET;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None)
        .map_err(failed)?;
    rustix::net::connect(&socket, &address).map_err(failed)?;
    Ok(socket)
}

fn hung_up() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the engine has hung up")
}

/// The connection, which ends with its consumer.
#[derive(Debug)]
struct ConnectionGuard(Arc<OwnedFd>);

impl Drop for ConnectionGuard {
    fn drop(&mut self) {
        // Wakes the thread that waits at it; an earlier shutdown by the peer does no harm.
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Both);
    }
}

/// Receives what the engine sends later, until one of the two ends.
fn receive_updates(socket: &OwnedFd, new_rings: &Weak<NewRings>, names: &SessionNames) {
    loop {
        match receive_ring(socket, names) {
            Ok(ReceivedMessage::Ring(reader)) => match new_rings.upgrade() {
                Some(new_rings) => new_rings.put(reader),
                None => return,
            },
            Ok(ReceivedMessage::Other) => {}
            Ok(ReceivedMessage::End) | Err(_) => break,
        }
    }
    if let Some(new_rings) = new_rings.upgrade() {
        new_rings.close();
    }
}

/// Content of a message.
enum ReceivedMessage {
    Ring(Reader),
    /// Anything that has been processed.
    Other,
    /// The engine has closed the connection.
    End,
}

/// Waits for a message.
fn receive_ring(socket: &OwnedFd, names: &SessionNames) -> io::Result<ReceivedMessage> {
    let Some((parcel, files)) = protocol::receive_files(socket.as_fd())? else {
        return Ok(ReceivedMessage::End);
    };
    let mut files = files.into_iter();
    match (parcel, files.next(), files.next(), files.next()) {
        (FdMessage::Ring, Some(umem), Some(ring), Some(tail)) => {
            ring::open(&umem, &Files { ring, tail }).map(ReceivedMessage::Ring)
        }
        (FdMessage::Sessions, Some(file), ..) => {
            *lock(names) = read_names(&File::from(file))?;
            Ok(ReceivedMessage::Other)
        }
        (FdMessage::Ring | FdMessage::Sessions, ..) => Err(hung_up()),
    }
}

fn read_names(file: &File) -> io::Result<Vec<(SessionId, String)>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    // Reads at an offset: the file position is shared by all receivers.
    file.read_exact_at(&mut bytes, 0)?;
    let text = String::from_utf8_lossy(&bytes);
    let session = |line: &str| {
        let (id, name) = line.split_once('\t')?;
        Some((SessionId(id.parse().ok()?), name.to_owned()))
    };
    Ok(text.lines().filter_map(session).collect())
}
