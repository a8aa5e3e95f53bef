//! The end of the process that reads.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::Duration;

use rustix::net::{AddressFamily, RecvFlags, Shutdown, SocketAddrUnix, SocketFlags, SocketType};

use super::protocol::{self, FdMessage, Hello, Status, Welcome};
use crate::ring::{self, Files, Reader, VERSION};
use crate::ring::{Consumer, NewRings};
use crate::session::SessionId;

/// How long a frame waits for earlier ones of other queues, unless the consumer is told otherwise:
/// as in the outputs of the engine itself.
pub const ORDER_WINDOW: Duration = Duration::from_millis(1);

/// Why a process does not get an output's frames.
#[derive(Debug, thiserror::Error)]
pub enum AttachError {
    /// Nobody listens there, or it may not be opened.
    #[error("cannot connect to {path}: {source}")]
    Connect {
        /// The socket.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The engine has refused.
    #[error("{sentence}")]
    Refused {
        /// What the engine said.
        sentence: String,
    },
    /// The engine is of a version that is not known here.
    #[error("the engine speaks version {theirs}, and version {VERSION} is known here")]
    Version {
        /// The engine's version.
        theirs: u32,
    },
    /// The other side is not an engine, has gone away, or its memory cannot be mapped.
    #[error("cannot attach to the output: {0}")]
    Io(#[from] io::Error),
}

/// An output's frames in this process.
#[derive(Debug)]
pub struct Attachment {
    /// Reads the frames, where the engine has them. Dropping it ends the attachment.
    pub consumer: Consumer,
    /// The member that it reads.
    pub member: u32,
    /// Number of members that the output has.
    pub members: u32,
    sessions: Names,
}

type Names = Arc<Mutex<Vec<(SessionId, String)>>>;

impl Attachment {
    /// The sessions as the engine has them now, in the order of their ids.
    pub fn sessions(&self) -> Vec<(SessionId, String)> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Attaches to an output of `type = "shared"` that another process has: to one of its members, or
/// to whichever has the fewest consumers. Needs no privileges but access to the socket. The frames
/// are read where they lie, in memory that this process can only read; a thread of its own waits
/// for further queues and for the engine's end.
///
/// The frames of several queues come in the order of their times, within [`ORDER_WINDOW`] unless
/// [another one is set](Consumer::order_within).
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
    let (names, mut readers) = (Names::default(), Vec::new());
    while readers.len() < welcome.rings as usize {
        match receive_ring(&socket, &names)? {
            Received::Ring(reader) => readers.push(reader),
            Received::Other => {}
            Received::End => return Err(hung_up().into()),
        }
    }
    let mut consumer = Consumer::new(readers);
    consumer.order_within(ORDER_WINDOW);
    let inbox = Arc::downgrade(consumer.inbox());
    consumer.hold(Link(socket.clone()));
    let follow = {
        let names = names.clone();
        move || follow(&socket, &inbox, &names)
    };
    thread::Builder::new().name("vxtap-shared".to_owned()).spawn(follow)?;
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

/// The connection, which ends when its consumer does.
#[derive(Debug)]
struct Link(Arc<OwnedFd>);

impl Drop for Link {
    fn drop(&mut self) {
        // The thread that waits at it wakes up. That the other side has done so before is no harm.
        let _ = rustix::net::shutdown(&*self.0, Shutdown::Both);
    }
}

/// Takes what the engine sends later, until one of the two ends.
fn follow(socket: &OwnedFd, inbox: &Weak<NewRings>, names: &Names) {
    loop {
        match receive_ring(socket, names) {
            Ok(Received::Ring(reader)) => match inbox.upgrade() {
                Some(inbox) => inbox.put(reader),
                None => return,
            },
            Ok(Received::Other) => {}
            Ok(Received::End) | Err(_) => break,
        }
    }
    if let Some(inbox) = inbox.upgrade() {
        inbox.close();
    }
}

/// What a message brings.
enum Received {
    Ring(Reader),
    /// What has been taken in.
    Other,
    /// The engine has hung up.
    End,
}

/// Waits for a message.
fn receive_ring(socket: &OwnedFd, names: &Names) -> io::Result<Received> {
    let Some((parcel, files)) = protocol::receive_parcel(socket.as_fd())? else {
        return Ok(Received::End);
    };
    let mut files = files.into_iter();
    match (parcel, files.next(), files.next(), files.next()) {
        (FdMessage::Ring, Some(umem), Some(ring), Some(tail)) => {
            ring::open(&umem, &Files { ring, tail }).map(Received::Ring)
        }
        (FdMessage::Sessions, Some(file), ..) => {
            *names.lock().unwrap_or_else(PoisonError::into_inner) = read_names(&File::from(file))?;
            Ok(Received::Other)
        }
        (FdMessage::Ring | FdMessage::Sessions, ..) => Err(hung_up()),
    }
}

fn read_names(file: &File) -> io::Result<Vec<(SessionId, String)>> {
    let mut bytes = vec![0; usize::try_from(file.metadata()?.len()).map_err(io::Error::other)?];
    // Where the file is read next is the same for all who have got it, and not to be relied on.
    file.read_exact_at(&mut bytes, 0)?;
    let text = String::from_utf8_lossy(&bytes);
    let session = |line: &str| {
        let (id, name) = line.split_once('\t')?;
        Some((SessionId(id.parse().ok()?), name.to_owned()))
    };
    Ok(text.lines().filter_map(session).collect())
}
