//! The thread of an output that other processes read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::acceptor::Acceptor;
use super::connection::{AttachedConsumer, Connection, ConnectionState};
use crate::outputs::attach::{ListenSocket, Service};
use crate::outputs::shared::protocol::{self, FdMessage, Hello, Status, VERSION, Welcome};
use crate::ring::{RingFds, Writer, shared_ring};
use crate::session::Directory;
use crate::sys::sealed;
use crate::worker::ControlChannel;
use crate::worker::QueueHandle;

/// How often it looks whether a consumer was cut off.
const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// How long consumers may take to the end of what is in their rings, after a reload has taken the
/// output away.
const CLOSING_PATIENCE: Duration = Duration::from_secs(10);

/// What a server is made of.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) service: Service,
    pub(crate) members: u32,
}

fn serve(server: &Server, door: ListenSocket) -> io::Result<()> {
    let notifier = &server.service.attached.notifier;
    notifier.wait_until_open()?;
    let mut entrance = Acceptor::new(door);
    let mut closing_since = None;
    let mut clients = Vec::new();
    let mut sessions = Sessions::default();
    loop {
        wait(server, entrance.door(), &clients)?;
        notifier.drain();
        if notifier.is_over() {
            return Ok(());
        }
        if !notifier.is_open() {
            entrance.close();
            clients.retain(|client: &Connection| client.member().is_some());
        }
        // First who is gone, so that somebody else finds a place.
        clients.retain_mut(|client| server.stays(client));
        server.admit(&mut clients, &mut sessions);
        clients.retain_mut(|client| server.keep_up(client, &mut sessions));
        server.count_attached(&clients);
        if notifier.is_open() {
            if let Some(sentence) = entrance.let_in(&mut clients) {
                server
                    .service
                    .diagnostics
                    .push(format!("output `{}` {sentence}", server.service.name));
            }
            continue;
        }
        if closing_since.get_or_insert_with(Instant::now).elapsed() >= CLOSING_PATIENCE {
            server.cut_off_all(&mut clients);
        }
        if clients.is_empty() {
            return Ok(());
        }
    }
}

/// Waits until something happens at a socket, or the bell rings, or it is time to look.
fn wait(server: &Server, door: Option<&ListenSocket>, clients: &[Connection]) -> io::Result<()> {
    let mut entries = vec![PollFd::new(&*server.service.attached.notifier, PollFlags::IN)];
    entries.extend(door.map(|door| PollFd::new(door, PollFlags::IN)));
    entries.extend(clients.iter().map(|client| PollFd::new(client, PollFlags::IN)));
    match poll(&mut entries, Some(&INTERVAL)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Server {
    /// Serves consumers until the [`Notifier`](crate::outputs::attach::Notifier) says that it ends.
    pub(super) fn run(&self, socket: ListenSocket) {
        if let Err(error) = serve(self, socket) {
            let name = &self.service.name;
            self.service
                .diagnostics
                .push(format!("output `{name}` accepts no more consumers: {error}"));
        }
        self.service.attached.notifier.set_ended();
    }

    /// Whether a connection stays one.
    fn stays(&self, client: &mut Connection) -> bool {
        if let Some(member) = client.member().filter(|_| client.has_invalid_tail()) {
            self.service.attached.stats.count(member, |it| it.cut_off += 1);
            let sentence = "was cut off, because what it says of its reading makes no sense";
            self.service
                .diagnostics
                .push(format!("a consumer of output `{}` {sentence}", self.service.name));
            return false;
        }
        client.look()
    }

    /// Cuts off whoever has not left although the output has ended.
    fn cut_off_all(&self, clients: &mut Vec<Connection>) {
        for member in clients.drain(..).filter_map(|client| client.member()) {
            self.service.attached.stats.count(member, |it| {
                it.cut_off += 1;
                it.attached -= 1;
            });
            let sentence = "was cut off, because it did not leave when the output ended";
            self.service
                .diagnostics
                .push(format!("a consumer of output `{}` {sentence}", self.service.name));
        }
    }

    /// Gives those who have said hello their rings, or says why not.
    fn admit(&self, clients: &mut Vec<Connection>, sessions: &mut Sessions) {
        for place in 0..clients.len() {
            let ConnectionState::Asking(hello) = clients[place].state else { continue };
            let (member, answer) = self.judge(hello, clients);
            let client = &mut clients[place];
            let attached = answer.and_then(|()| {
                let unable = |error: io::Error| {
                    (Status::Unable, format!("output `{}`: {error}", self.service.name))
                };
                self.attach(client, member, sessions).map_err(unable)
            });
            client.state = match attached {
                Ok(guest) => ConnectionState::Attached(guest),
                Err((status, sentence)) => {
                    self.service.attached.stats.count(member, |it| it.refused += 1);
                    let welcome = self.answer(status, member, 0, sentence);
                    // If it does not hear it, it sees that we hang up.
                    let _ = protocol::send(client.as_fd(), &welcome.to_bytes());
                    ConnectionState::Over
                }
            };
        }
        clients.retain(|client| !matches!(client.state, ConnectionState::Over));
    }

    /// The member that a consumer gets, and whether it does.
    fn judge(&self, hello: Hello, clients: &[Connection]) -> (u32, Result<(), (Status, String)>) {
        let Self { service: Service { name, attached, .. }, members } = self;
        let consumers = attached.rings;
        let count =
            |member| clients.iter().filter(|client| client.member() == Some(member)).count();
        let least = || (0..*members).min_by_key(|member| count(*member)).unwrap_or(0);
        let member = hello.member.unwrap_or_else(least);
        let refusal = if hello.version != VERSION {
            (Status::Version, format!("the engine speaks version {VERSION}, not {}", hello.version))
        } else if member >= *members {
            (
                Status::NoSuchMember,
                format!(
                    "output `{name}` has no member {member}: its members are 0 to {}",
                    members - 1
                ),
            )
        } else if count(member) >= consumers as usize {
            let which = if *members > 1 {
                format!("member {member} of output `{name}`")
            } else {
                format!("output `{name}`")
            };
            (Status::Full, format!("{which} has {consumers} already (output.consumers)"))
        } else {
            return (member, Ok(()));
        };
        (member, Err(refusal))
    }

    const fn answer(&self, status: Status, member: u32, rings: u32, sentence: String) -> Welcome {
        Welcome {
            version: VERSION,
            status: status as u32,
            member,
            members: self.members,
            rings,
            sentence,
        }
    }

    /// Gives a consumer a ring from each queue. The workers hear of it last.
    fn attach(
        &self,
        client: &Connection,
        member: u32,
        sessions: &mut Sessions,
    ) -> io::Result<AttachedConsumer> {
        let rings = self.rings(0)?;
        let mut guest = AttachedConsumer::new(member);
        let count = u32::try_from(rings.len()).map_err(io::Error::other)?;
        let welcome = self.answer(Status::Welcome, member, count, String::new());
        protocol::send(client.as_fd(), &welcome.to_bytes())?;
        sessions.send(client, &mut guest, &self.service.directory)?;
        self.hand_over(client, &mut guest, rings)?;
        self.service.attached.stats.count(member, |it| it.came += 1);
        Ok(guest)
    }

    /// Rings from each queue from a place on.
    fn rings(&self, first: usize) -> io::Result<Vec<(Arc<ControlChannel>, Writer, RingFds)>> {
        let ring = |handle: QueueHandle| {
            let (writer, handover) =
                shared_ring(self.service.ring_len, handle.umem, handle.queue_id)?;
            Ok((handle.control, writer, handover))
        };
        self.service.queues.from(first).into_iter().map(ring).collect()
    }

    /// Gives the ends of rings to a consumer and to the workers.
    fn hand_over(
        &self,
        client: &Connection,
        guest: &mut AttachedConsumer,
        rings: Vec<(Arc<ControlChannel>, Writer, RingFds)>,
    ) -> io::Result<()> {
        let mut writers = Vec::new();
        for (control, writer, RingFds { umem, files, presence }) in rings {
            let files = [&umem, &files.ring, &files.tail].map(OwnedFd::as_fd);
            protocol::send_parcel(client.as_fd(), FdMessage::Ring, &files)?;
            writers.push((control, writer));
            guest.presences.push(presence);
        }
        let output = self.service.id + guest.member as usize;
        for (control, writer) in writers {
            control.attach(output, writer);
        }
        Ok(())
    }

    /// Gives a consumer the rings of queues and the names of sessions that have come; returns
    /// whether it stays.
    fn keep_up(&self, client: &mut Connection, sessions: &mut Sessions) -> bool {
        let ConnectionState::Attached(guest) = &mut client.state else { return true };
        let mut guest = std::mem::replace(guest, AttachedConsumer::new(0));
        let mut keep_up = || {
            if guest.presences.len() < self.service.queues.len() {
                let rings = self.rings(guest.presences.len())?;
                self.hand_over(client, &mut guest, rings)?;
            }
            sessions.send(client, &mut guest, &self.service.directory)
        };
        let kept = keep_up();
        client.state = ConnectionState::Attached(guest);
        if let Err(error) = &kept {
            self.service
                .diagnostics
                .push(format!("a consumer of output `{}` was cut off: {error}", self.service.name));
        }
        kept.is_ok()
    }

    fn count_attached(&self, clients: &[Connection]) {
        for member in 0..self.members {
            let count = clients.iter().filter(|client| client.member() == Some(member)).count();
            self.service.attached.stats.count(member, |it| it.attached = count as u64);
        }
    }
}

/// The names of the sessions, for consumers.
#[derive(Debug, Default)]
struct Sessions {
    file: Option<OwnedFd>,
    count: usize,
}

impl Sessions {
    /// Sends them to a consumer that does not know all of them.
    fn send(
        &mut self,
        client: &Connection,
        guest: &mut AttachedConsumer,
        directory: &Directory,
    ) -> io::Result<()> {
        let count = directory.len();
        if guest.sessions == count {
            return Ok(());
        }
        if self.count != count {
            let line = |(id, name): (usize, String)| format!("{id}\t{name}\n");
            let text: String = directory.names().into_iter().enumerate().map(line).collect();
            (self.file, self.count) =
                (Some(sealed::text(c"vxtap-sessions", text.as_bytes())?), count);
        }
        if let Some(file) = &self.file {
            protocol::send_parcel(client.as_fd(), FdMessage::Sessions, &[file.as_fd()])?;
        }
        guest.sessions = count;
        Ok(())
    }
}
