//! How another process asks a running engine for something: `vxtap reload`, `vxtap tail`.
//!
//! A Unix socket with an abstract name, `vxtap/INTERFACE`, so that it lives in the engine's network
//! namespace, as the interface does, and goes when the process goes. A client sends a line with the
//! command and its arguments, with tabs between them, and reads one line: `done TEXT` or
//! `refused TEXT`. Behind that of `tail` the frames come, as pcapng. Only the user that runs the
//! engine, and root, are answered.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;
use vxtap::engine::TailRequest;

use super::{Failure, cannot_print, print};

const PREFIX: &str = "vxtap/";
const RELOAD: &str = "reload";
const TAIL: &str = "tail";

/// Longest wait for a client's line: a client that says nothing holds up reporting so long, not the
/// workers.
const CLIENT_PATIENCE: Duration = Duration::from_millis(200);
/// Longest wait for the engine's answer; workers notice an order within 50 ms, opening outputs
/// takes its time.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);
/// Most clients that are answered in one turn: whoever may connect must not keep the engine from
/// seeing signals.
const CLIENTS_PER_TURN: usize = 8;
/// Longest line that is read, in bytes.
const LINE_MAX: usize = 64 << 10;

/// What an engine is asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Request {
    /// To read its configuration file again.
    Reload,
    /// To send the frames of these sessions, or of all if there is none.
    Tail(Vec<String>),
}

impl Request {
    /// The line that says it; names have no control characters in them.
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

/// What comes of a request.
#[derive(Debug)]
pub(super) enum Reply {
    Said(Answer),
    /// The connection becomes a stream.
    Stream(TailRequest),
}

/// What the engine answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// It was done; what has changed.
    Done(String),
    /// Nothing has changed; why.
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

/// The engine's side.
#[derive(Debug)]
pub(super) struct Control(Vec<UnixListener>);

impl Control {
    /// Listens for the engine on these interfaces.
    pub(super) fn listen(interfaces: &[String]) -> io::Result<Self> {
        let listen = |interface: &String| {
            let listener = UnixListener::bind_addr(&address(interface)?)?;
            listener.set_nonblocking(true)?;
            Ok(listener)
        };
        interfaces.iter().map(listen).collect::<io::Result<_>>().map(Self)
    }

    /// Answers clients that are waiting. One that goes wrong is none of the engine's business.
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
    client.set_read_timeout(Some(CLIENT_PATIENCE))?;
    client.set_write_timeout(Some(CLIENT_PATIENCE))?;
    let uid = socket_peercred(&client)?.uid;
    let refused = |text: String| Reply::Said(Answer::Refused(text));
    let reply = if !uid.is_root() && uid != geteuid() {
        refused("only the user that runs the engine may do this".to_owned())
    } else {
        let line = read_line(&client)?;
        let unknown = || refused(format!("this engine does not know the command {line:?}"));
        Request::of_line(&line).map_or_else(unknown, reply)
    };
    let (word, text) = match &reply {
        Reply::Said(Answer::Done(text)) => ("done", text.as_str()),
        Reply::Said(Answer::Refused(text)) => ("refused", text.as_str()),
        Reply::Stream(_) => ("done", ""),
    };
    writeln!(client, "{word} {}", text.replace('\n', " "))?;
    if let Reply::Stream(tail) = reply {
        tail.send_to(client);
    }
    Ok(())
}

/// `vxtap reload`: asks the engine on the interface, or the only one there is.
pub(super) fn reload(interface: Option<&str>) -> Result<(), Failure> {
    let (answer, _) = request(interface, &Request::Reload)?;
    match answer {
        Answer::Done(_) => print(&format!("{answer}\n")).map_err(cannot_print),
        Answer::Refused(_) => Err(Failure::Refused(anyhow!("{answer}"))),
    }
}

/// Asks the engine on the interface, or the only one there is; returns the connection, too.
pub(super) fn request(
    interface: Option<&str>,
    request: &Request,
) -> Result<(Answer, UnixStream), Failure> {
    let interface = interface.map_or_else(only_engine, |name| Ok(name.to_owned()))?;
    let (line, stream) = ask(&interface, &request.to_line()).map_err(|error| {
        Failure::Failed(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                anyhow!("no engine captures from {interface} in this network namespace")
            }
            _ => anyhow!("the engine on {interface} does not answer: {error}"),
        })
    })?;
    match line.split_once(' ') {
        Some(("done", text)) => Ok((Answer::Done(text.to_owned()), stream)),
        Some(("refused", text)) => Ok((Answer::Refused(text.to_owned()), stream)),
        _ => Err(Failure::Failed(anyhow!("the engine on {interface} gave no answer"))),
    }
}

fn ask(interface: &str, command: &str) -> io::Result<(String, UnixStream)> {
    let mut stream = UnixStream::connect_addr(&address(interface)?)?;
    let uid = socket_peercred(&stream)?.uid;
    if !uid.is_root() && uid != geteuid() {
        // Whoever is first can have the name of an engine; one that runs as another user is fine if
        // that is known.
        let uid = uid.as_raw();
        super::say(&format!("what answers for {interface} runs as user {uid}, not as root or you"));
    }
    stream.set_read_timeout(Some(ENGINE_PATIENCE))?;
    writeln!(stream, "{command}")?;
    Ok((read_line(&stream)?, stream))
}

/// Reads a line, and nothing behind it, no longer than a read may wait.
fn read_line(mut stream: &UnixStream) -> io::Result<String> {
    let (mut line, mut byte) = (Vec::new(), [0]);
    let begin = Instant::now();
    let patience = stream.read_timeout()?.unwrap_or(Duration::MAX);
    while line.len() < LINE_MAX && stream.read(&mut byte)? == 1 && byte != [b'\n'] {
        line.extend(byte);
        if begin.elapsed() > patience {
            return Err(io::ErrorKind::TimedOut.into());
        }
    }
    String::from_utf8(line).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

fn address(interface: &str) -> io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{PREFIX}{interface}"))
}

/// An interface of the only engine in this network namespace.
fn only_engine() -> Result<String, Failure> {
    let sockets = std::fs::read_to_string("/proc/self/net/unix")
        .map_err(|error| Failure::Failed(anyhow!("cannot look for engines: {error}")))?;
    let mut interfaces: Vec<_> = engines(&sockets).collect();
    interfaces.sort_unstable();
    interfaces.dedup();
    match interfaces[..] {
        [first, ref others @ ..] if others.iter().all(|other| is_same_engine(first, other)) => {
            Ok(first.to_owned())
        }
        [] => Err(Failure::Failed(anyhow!("no engine runs in this network namespace"))),
        _ => Err(Failure::Refused(anyhow!(
            "several engines run here: use -i with one of {}",
            interfaces.join(", ")
        ))),
    }
}

/// Whether one process listens for both interfaces.
fn is_same_engine(one: &str, other: &str) -> bool {
    let pid = |interface| {
        let stream = UnixStream::connect_addr(&address(interface).ok()?).ok()?;
        Some(socket_peercred(&stream).ok()?.pid)
    };
    pid(one).is_some_and(|one| pid(other) == Some(one))
}

/// The interfaces whose engines listen, from `/proc/net/unix` (`proc_net_unix(5)` writes `@` for
/// the zero byte).
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
        let control = Control::listen(std::slice::from_ref(&interface)).unwrap();
        let client = std::thread::spawn(move || {
            [RELOAD, "status"].map(|command| ask(&interface, command).unwrap().0)
        });
        while !client.is_finished() {
            control.serve(|_| Reply::Said(Answer::Done("two\nlines".to_owned())));
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
        let _control = Control::listen(&interfaces).unwrap();
        assert!(is_same_engine(&interfaces[0], &interfaces[1]));
        assert!(!is_same_engine(&interfaces[0], "nosuch"));
    }

    #[test]
    fn many_clients_do_not_hold_up_the_engine() {
        let interface = format!("test-many-{}", std::process::id());
        let control = Control::listen(std::slice::from_ref(&interface)).unwrap();
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
                Reply::Said(Answer::Done(String::new()))
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
