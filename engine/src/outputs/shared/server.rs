//! The thread of an output that other processes read.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use super::acceptor::Acceptor;
use super::connection::{AttachedConsumer, Connection, ConnectionState};
use super::session_list::SessionList;
use crate::diagnostics::LogSummed;
use crate::outputs::attach::{ListenSocket, Service};
use crate::outputs::shared::protocol::{self, FdMessage, Hello, Status, VERSION, Welcome};
use crate::plural::counted;
use crate::ring::{RingFds, Writer, shared_ring};
use crate::worker::ControlChannel;
use crate::worker::QueueHandle;

/// Interval at which it checks the ring indices of the consumers.
const INTERVAL: Timespec = Timespec { tv_sec: 0, tv_nsec: 250_000_000 };
/// Time that consumers have to read the rest of their rings, after a reload has removed the output.
const DETACH_TIMEOUT: Duration = Duration::from_secs(10);

/// The thread that serves all members of an output.
#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) service: Service,
    pub(crate) members: u32,
}

fn serve(server: &Server, socket: ListenSocket, refused: &mut LogSummed) -> io::Result<()> {
    let notifier = &server.service.attached.notifier;
    notifier.wait_until_open()?;
    let mut acceptor = Acceptor::new(socket);
    let mut closing_since = None;
    let mut connections = Vec::new();
    let mut sessions = SessionList::default();
    loop {
        wait(server, acceptor.socket(), &connections)?;
        notifier.drain();
        if notifier.must_end() {
            return Ok(());
        }
        if !notifier.is_open() {
            acceptor.close();
            connections.retain(|connection: &Connection| connection.member().is_some());
        }
        // Detached consumers first, so that others find a place.
        connections.retain_mut(|connection| server.is_active(connection));
        server.answer_hellos(&mut connections, &mut sessions, refused);
        server.report_refused(refused.rest_of_minute(Instant::now()));
        connections.retain_mut(|connection| server.send_updates(connection, &mut sessions));
        server.count_attached(&connections);
        if notifier.is_open() {
            if let Some(sentence) = acceptor.accept(&mut connections) {
                server
                    .service
                    .diagnostics
                    .push(format!("output `{}` {sentence}", server.service.name));
            }
            continue;
        }
        if closing_since.get_or_insert_with(Instant::now).elapsed() >= DETACH_TIMEOUT {
            server.disconnect_all(&mut connections);
        }
        if connections.is_empty() {
            return Ok(());
        }
    }
}

/// Waits for an event at a socket or the notifier, or for the interval.
fn wait(
    server: &Server,
    socket: Option<&ListenSocket>,
    connections: &[Connection],
) -> io::Result<()> {
    let mut entries = vec![PollFd::new(&*server.service.attached.notifier, PollFlags::IN)];
    entries.extend(socket.map(|socket| PollFd::new(socket, PollFlags::IN)));
    entries.extend(connections.iter().map(|connection| PollFd::new(connection, PollFlags::IN)));
    match poll(&mut entries, Some(&INTERVAL)) {
        Ok(_) | Err(rustix::io::Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

impl Server {
    /// Serves consumers until the [`Notifier`](crate::outputs::attach::Notifier) says that it ends.
    pub(super) fn run(&self, socket: ListenSocket) {
        let mut refused = LogSummed::default();
        let served = serve(self, socket, &mut refused);
        self.report_refused(refused.rest());
        if let Err(error) = served {
            let name = &self.service.name;
            self.service
                .diagnostics
                .push(format!("output `{name}` accepts no more consumers: {error}"));
        }
        self.service.attached.notifier.set_ended();
    }

    /// Reports consumers that were refused after one that was reported.
    fn report_refused(&self, count: Option<u64>) {
        let Some(count) = count else { return };
        let (name, consumers) = (&self.service.name, counted(count, "more consumer"));
        self.service.diagnostics.push(format!("output `{name}` refused {consumers}"));
    }

    /// Returns whether a connection stays.
    fn is_active(&self, connection: &mut Connection) -> bool {
        if let Some(member) = connection.member().filter(|_| connection.has_invalid_tail()) {
            self.service.attached.stats.count(member, |it| it.disconnected += 1);
            let sentence = "was disconnected: its ring index is invalid";
            self.service
                .diagnostics
                .push(format!("a consumer of output `{}` {sentence}", self.service.name));
            return false;
        }
        connection.receive()
    }

    /// Disconnects the consumers that have not detached although the output has ended.
    fn disconnect_all(&self, connections: &mut Vec<Connection>) {
        for member in connections.drain(..).filter_map(|connection| connection.member()) {
            self.service.attached.stats.count(member, |it| {
                it.disconnected += 1;
                it.attached -= 1;
            });
            let sentence = "was disconnected: it did not detach when the output ended";
            self.service
                .diagnostics
                .push(format!("a consumer of output `{}` {sentence}", self.service.name));
        }
    }

    /// Attaches or refuses the consumers that have sent a hello.
    fn answer_hellos(
        &self,
        connections: &mut Vec<Connection>,
        sessions: &mut SessionList,
        refused: &mut LogSummed,
    ) {
        for index in 0..connections.len() {
            let ConnectionState::Greeted(hello) = connections[index].state else { continue };
            let (member, answer) = self.choose_member(hello, connections);
            let connection = &mut connections[index];
            let attached = answer.and_then(|()| {
                let unable = |error: io::Error| {
                    (Status::Unable, format!("output `{}`: {error}", self.service.name))
                };
                self.attach(connection, member, sessions).map_err(unable)
            });
            connection.state = match attached {
                Ok(consumer) => ConnectionState::Attached(consumer),
                Err((status, sentence)) => {
                    self.service.attached.stats.count(member, |it| it.refused += 1);
                    let note =
                        refused.of(Instant::now(), &format!("refused a consumer: {sentence}"));
                    if let Some(note) = note {
                        let name = &self.service.name;
                        self.service.diagnostics.push(format!("output `{name}` {note}"));
                    }
                    let welcome = self.answer(status, member, 0, sentence);
                    // A peer that does not get it sees the end of the connection.
                    let _ = protocol::send(connection.as_fd(), &welcome.to_bytes());
                    ConnectionState::Over
                }
            };
        }
        connections.retain(|connection| !matches!(connection.state, ConnectionState::Over));
    }

    /// Returns the member for a consumer, and whether it may attach.
    fn choose_member(
        &self,
        hello: Hello,
        connections: &[Connection],
    ) -> (u32, Result<(), (Status, String)>) {
        let Self { service: Service { name, attached, .. }, members } = self;
        let consumers = attached.rings;
        let count = |member| {
            connections.iter().filter(|connection| connection.member() == Some(member)).count()
        };
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
            let consumers = counted(consumers, "consumer");
            (Status::Full, format!("{which} has {consumers} already (output.max_consumers)"))
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

    /// Creates a ring from each queue for a consumer.
    fn attach(
        &self,
        connection: &Connection,
        member: u32,
        sessions: &mut SessionList,
    ) -> io::Result<AttachedConsumer> {
        let rings = self.rings(0)?;
        let mut consumer = AttachedConsumer::new(member);
        let count = u32::try_from(rings.len()).map_err(io::Error::other)?;
        let welcome = self.answer(Status::Welcome, member, count, String::new());
        protocol::send(connection.as_fd(), &welcome.to_bytes())?;
        sessions.send(connection, &mut consumer, &self.service.directory)?;
        self.send_rings(connection, &mut consumer, rings)?;
        self.service.attached.stats.count(member, |it| it.attached_total += 1);
        Ok(consumer)
    }

    /// Creates rings from each queue from an index on.
    fn rings(&self, first: usize) -> io::Result<Vec<(Arc<ControlChannel>, Writer, RingFds)>> {
        let ring = |handle: QueueHandle| {
            let (writer, ring_fds) =
                shared_ring(self.service.ring_len, handle.umem, handle.queue_id)?;
            Ok((handle.control, writer, ring_fds))
        };
        self.service.queues.from(first).into_iter().map(ring).collect()
    }

    /// Gives the ends of rings to the workers, then to a consumer, so that a consumer with rings
    /// gets every frame.
    fn send_rings(
        &self,
        connection: &Connection,
        consumer: &mut AttachedConsumer,
        rings: Vec<(Arc<ControlChannel>, Writer, RingFds)>,
    ) -> io::Result<()> {
        let output = self.service.id + consumer.member as usize;
        let mut fds = Vec::new();
        for (control, writer, RingFds { umem, files, peer_state: peer }) in rings {
            // If the rings cannot be sent, the consumer is dropped, and the workers retire them.
            consumer.peers.push(peer);
            control.attach(output, writer);
            fds.push((umem, files));
        }
        for (umem, files) in &fds {
            let files = [umem, &files.ring, &files.tail].map(OwnedFd::as_fd);
            protocol::send_files(connection.as_fd(), FdMessage::Ring, &files)?;
        }
        Ok(())
    }

    /// Sends a consumer the rings of new queues and the names of new sessions; returns whether it
    /// stays.
    fn send_updates(&self, connection: &mut Connection, sessions: &mut SessionList) -> bool {
        let ConnectionState::Attached(consumer) = &mut connection.state else { return true };
        let mut consumer = std::mem::replace(consumer, AttachedConsumer::new(0));
        let mut send_updates = || {
            if consumer.peers.len() < self.service.queues.len() {
                let rings = self.rings(consumer.peers.len())?;
                self.send_rings(connection, &mut consumer, rings)?;
            }
            sessions.send(connection, &mut consumer, &self.service.directory)
        };
        let kept = send_updates();
        connection.state = ConnectionState::Attached(consumer);
        if let Err(error) = &kept {
            self.service.diagnostics.push(format!(
                "a consumer of output `{}` was disconnected: {error}",
                self.service.name
            ));
        }
        kept.is_ok()
    }

    fn count_attached(&self, connections: &[Connection]) {
        for member in 0..self.members {
            let count =
                connections.iter().filter(|connection| connection.member() == Some(member)).count();
            self.service.attached.stats.count(member, |it| it.attached = count as u64);
        }
    }
}
