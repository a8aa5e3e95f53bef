//! Control socket of a running engine, for `vxtap reload` and `vxtap tail`.
//!
//! A Unix socket with the abstract name `vxtap/INTERFACE` (unix(7)): like the interface it belongs
//! to the engine's network namespace, and it disappears with the process. A client sends one line
//! with the command and its arguments, separated by tabs, and reads one line: `done TEXT` or
//! `refused TEXT`. After the line of `tail` the frames follow as pcapng. Only root and the user
//! that runs the engine are answered.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use vxtap::engine::TailRequest;

use super::{CommandError, cannot_print, print};

const PREFIX: &str = "vxtap/";
const RELOAD: &str = "reload";
const TAIL: &str = "tail";

/// Timeout for a client's line: a silent client delays the main thread for this time, not the
/// workers.
const CLIENT_TIMEOUT: Duration = Duration::from_millis(200);
/// Timeout for the engine's answer: workers notice a command within 50 ms, opening outputs may take
/// longer.
const ENGINE_TIMEOUT: Duration = Duration::from_secs(30);
/// Maximum number of clients answered per call: clients must not keep the engine from noticing
/// signals.
const CLIENTS_PER_TURN: usize = 8;
/// Maximum length of a line in bytes.
const LINE_MAX: usize = 64 << 10;

/// Request to an engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// Read the configuration file again.
    Reload,
    /// Send the frames of these sessions, or of all if the list is empty.
    Tail(Vec<String>),
}

impl Request {
    /// Returns the request as a line. Names have no control characters.
    fn to_line(&self) -> String {
        match self {
            Self::Reload => RELOAD.to_owned(),
            Self::Tail(sessions) => {
                sessions.iter().fold(TAIL.to_owned(), |line, session| format!("{line}\t{session}"))
            }
        }
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split('\t');
        match words.next()? {
            RELOAD => words.next().is_none().then_some(Self::Reload),
            TAIL => Some(Self::Tail(words.map(str::to_owned).collect())),
            _ => None,
        }
    }
}

/// Reaction to a request.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer),
    /// The connection becomes a stream of frames.
    Stream(TailRequest),
}

/// Answer of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Done; the text lists the changes.
    Done(String),
    /// Nothing has changed; the text is the reason.
    Refused(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(text) => write!(f, "reloaded {text}"),
            Self::Refused(text) => write!(f, "not reloaded, everything goes on as before: {text}"),
        }
    }
}

/// The engine's side: one listening socket per interface.
#[derive(Debug)]
pub(super) struct ControlServer(Vec<UnixListener>);

impl ControlServer {
    /// Listens for the engine on these interfaces.
    pub(super) fn listen(interfaces: &[String]) -> io::Result<Self> {
        let listen = |interface: &String| {
            let listener = UnixListener::bind_addr(&address(interface)?)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        interfaces.iter().map(listen).collect::<io::Result<_>>().map(Self)
    }

    /// Answers waiting clients; errors of their connections are ignored.
    pub(super) fn serve(&self, mut reply: impl FnMut(Request) -> Reply) {
        for _ in 0..CLIENTS_PER_TURN {
            let Some((client, _)) = self.0.iter().find_map(|listener| listener.accept().ok())
            else {
                return;
            };
            let _ = answer(client, &mut reply);
        }
    }
}

fn answer(mut client: UnixStream, reply: &mut impl FnMut(Request) -> Reply) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let uid = socket_peercred(&client)?.uid;
    let refused = |text: String| Reply::Answer(Answer::Refused(text));
    let reply = if !uid.is_root() && uid != geteuid() {
        refused("only the user that runs the engine may do this".to_owned())
    } else {
        let line = read_line(&client)?;
        let unknown = || refused(format!("this engine does not know the command {line:?}"));
        Request::of_line(&line).map_or_else(unknown, reply)
    };
    let (word, text) = match &reply {
        Reply::Answer(Answer::Done(text)) => ("done", text.as_str()),
        Reply::Answer(Answer::Refused(text)) => ("refused", text.as_str()),
        Reply::Stream(_) => ("done", ""),
    };
    writeln!(client, "{word} {}", text.replace('\n', " "))?;
    if let Reply::Stream(tail) = reply {
        tail.send_to(client);
    }
    Ok(())
}

/// Runs `vxtap reload` for the engine on the interface, or for the only one.
pub(super) fn reload(interface: Option<&str>) -> Result<(), CommandError> {
    let (answer, _) = request(interface, &Request::Reload)?;
    match answer {
        Answer::Done(_) => print(&format!("{answer}\n")).map_err(cannot_print),
        Answer::Refused(_) => Err(CommandError::Refused(anyhow!("{answer}"))),
    }
}

/// Sends a request to the engine on the interface, or to the only one; also returns the connection.
pub(super) fn request(
    interface: Option<&str>,
    request: &Request,
) -> Result<(Answer, UnixStream), CommandError> {
    let interface = interface.map_or_else(only_engine, |name| Ok(name.to_owned()))?;
    let (line, stream) = ask(&interface, &request.to_line()).map_err(|error| {
        CommandError::Failed(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                anyhow!("no engine captures from {interface} in this network namespace")
            }
            _ => anyhow!("the engine on {interface} does not answer: {error}"),
        })
    })?;
    match line.split_once(' ') {
        Some(("done", text)) => Ok((Answer::Done(text.to_owned()), stream)),
        Some(("refused", text)) => Ok((Answer::Refused(text.to_owned()), stream)),
        _ => Err(CommandError::Failed(anyhow!("the engine on {interface} gave no answer"))),
    }
}

fn ask(interface: &str, command: &str) -> io::Result<(String, UnixStream)> {
    let mut stream = UnixStream::connect_addr(&address(interface)?)?;
    let uid = socket_peercred(&stream)?.uid;
    if !uid.is_root() && uid != geteuid() {
        // Any process can bind the name of an engine first, so the user is told its owner.
        let uid = uid.as_raw();
        super::log(&format!(
            "the engine on {interface} runs as user {uid}, neither as root nor as you"
        ));
    }
    stream.set_read_timeout(Some(ENGINE_TIMEOUT))?;
    writeln!(stream, "{command}")?;
    Ok((read_line(&stream)?, stream))
}

/// Reads one line and no byte beyond it, within the socket's read timeout.
fn read_line(mut stream: &UnixStream) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    let begin = Instant::now();
    let timeout = stream.read_timeout()?.unwrap_or(Duration::MAX);
    while line.len() < LINE_MAX && stream.read(&mut byte)? == 1 && byte != [b'\n'] {
        line.extend(byte);
        if begin.elapsed() > timeout {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn address(interface: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{PREFIX}{interface}"))
}

/// Returns an interface of the only engine in this network namespace.
fn only_engine() -> Result<String, CommandError> {
    let sockets = std::fs::read_to_string("/proc/self/net/unix")
        .map_err(|error| CommandError::Failed(anyhow!("cannot look for engines: {error}")))?;
    let mut interfaces: Vec<_> = engines(&sockets).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    match interfaces[..] {
        [first, ref others @ ..] if others.iter().all(|other| is_same_engine(first, other)) => {
            Ok(first.to_owned())
        }
        [] => Err(CommandError::Failed(anyhow!("no engine runs in this network namespace"))),
        _ => Err(CommandError::Refused(anyhow!(
            "several engines run here: use -i with one of {}",
            interfaces.join(", ")
        ))),
    }
}

/// Returns `true` if one process listens for both interfaces.
fn is_same_engine(one: &str, other: &str) -> bool {
    let pid = |interface| {
        let stream = UnixStream::connect_addr(&address(interface).ok()?).ok()?;
        Some(socket_peercred(&stream).ok()?.pid)
    };
    pid(one).is_some_and(|one| pid(other) == Some(one))
}

/// Returns the interfaces with a listening engine, from `/proc/net/unix` (`proc_net_unix(5)`, which
/// writes `@` for the zero byte).
fn engines(sockets: &str) -> impl Iterator<Item = &str> {
    sockets.lines().filter_map(|line| {
        let (_, name) = line.rsplit_once(' ')?;
        name.strip_prefix('@')?.strip_prefix(PREFIX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_gets_the_answer_and_an_unknown_command_is_refused() {
        let interface = format!("test-{}", std::process::id());
        assert_eq!(ask(&interface, RELOAD).unwrap_err().kind(), io::ErrorKind::ConnectionRefused);
        let control = ControlServer::listen(std::slice::from_ref(&interface)).unwrap();
        let client = std::thread::spawn(move || {
            [RELOAD, "status"].map(|command| ask(&interface, command).unwrap().0)
        });
        while !client.is_finished() {
            control.serve(|_| Reply::Answer(Answer::Done("two\nlines".to_owned())));
            std::thread::sleep(Duration::from_millis(1));
        }
        let answers = client.join().unwrap();
        assert_eq!(
            answers,
            ["done two lines", "refused this engine does not know the command \"status\""]
        );
    }

    #[test]
    fn a_request_is_the_same_on_the_other_side() {
        let sessions = ["web", "two words"].map(str::to_owned);
        for request in [Request::Reload, Request::Tail(sessions.into()), Request::Tail(Vec::new())]
        {
            assert_eq!(Request::of_line(&request.to_line()), Some(request));
        }
        assert_eq!(["", "reload\tnow", "stop"].map(Request::of_line), [None, None, None]);
    }

    #[test]
    fn an_engine_on_several_interfaces_is_one_engine() {
        let interfaces = ["one", "two"].map(|name| format!("test-{name}-{}", std::process::id()));
        let _control = ControlServer::listen(&interfaces).unwrap();
        assert!(is_same_engine(&interfaces[0], &interfaces[1]));
        assert!(!is_same_engine(&interfaces[0], "nosuch"));
    }

    #[test]
    fn many_clients_do_not_hold_up_the_engine() {
        let interface = format!("test-many-{}", std::process::id());
        let control = ControlServer::listen(std::slice::from_ref(&interface)).unwrap();
        let mut clients: Vec<_> = (0..2 * CLIENTS_PER_TURN)
            .map(|_| UnixStream::connect_addr(&address(&interface).unwrap()).unwrap())
            .collect();
        for client in &mut clients {
            writeln!(client, "{RELOAD}").unwrap();
        }
        let mut reloads = 0;
        for turn in 1..=2 {
            control.serve(|_| {
                reloads += 1;
                Reply::Answer(Answer::Done(String::new()))
            });
            assert_eq!(reloads, turn * CLIENTS_PER_TURN);
        }
    }

    #[test]
    fn engines_are_found_by_the_names_of_their_sockets() {
        let sockets = "Num RefCount Protocol Flags Type St Inode Path\n\
                       0000000000000000: 00000002 00000000 00010000 0001 01 37 @vxtap/eth1\n\
                       0000000000000000: 00000003 00000000 00000000 0001 03 38\n\
                       0000000000000000: 00000003 00000000 00000000 0001 03 39 /run/vxtap/eth2\n";
        assert_eq!(engines(sockets).collect::<Vec<_>>(), ["eth1"]);
    }
}
