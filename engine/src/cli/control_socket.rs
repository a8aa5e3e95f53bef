//! Control socket of a running engine, for `vxtap reload` and `vxtap tail`.
//!
//! A Unix socket with the abstract name `vxtap/INTERFACE` (unix(7)): like the interface it belongs
//! to the engine's network namespace, and it disappears with the process. A client sends one line
//! with the command and its arguments, separated by tabs, and reads one line: `done TEXT`,
//! `refused TEXT`, or `denied TEXT` to another user than root and the one that runs the engine.
//! After the line of `tail` the frames follow as pcapng. An interface that is renamed has a socket
//! for each of its names.

use std::fmt;
use std::io::{self, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use nix::unistd::{self, User};
use rustix::net::sockopt::socket_peercred;
use rustix::process::{Uid, geteuid};
use vxtap::engine::TailRequest;

use super::engines::{address, none_here, only_engine};
use super::{CommandError, cannot_print, log, print};

const RELOAD: &str = "reload";
const TAIL: &str = "tail";
const TAIL_OUTER: &str = "tail-outer";

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
    /// Send the outer frames. The answer has the path of the configuration file, if there is one.
    TailOuter,
}

impl Request {
    /// Returns the request as a line. Names have no control characters.
    fn to_line(&self) -> String {
        match self {
            Self::Reload => RELOAD.to_owned(),
            Self::TailOuter => TAIL_OUTER.to_owned(),
            Self::Tail(sessions) => {
                sessions.iter().fold(TAIL.to_owned(), |line, session| format!("{line}\t{session}"))
            }
        }
    }

    fn of_line(line: &str) -> Option<Self> {
        let mut words = line.split('\t');
        match words.next()? {
            RELOAD => words.next().is_none().then_some(Self::Reload),
            TAIL_OUTER => words.next().is_none().then_some(Self::TailOuter),
            TAIL => Some(Self::Tail(words.map(str::to_owned).collect())),
            _ => None,
        }
    }
}

/// Reaction to a request.
#[derive(Debug)]
pub(super) enum Reply {
    Answer(Answer),
    /// The connection becomes a stream of frames, after a text.
    Stream(TailRequest, String),
}

/// Answer of the engine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    /// Done; the text lists the changes.
    Done(String),
    /// Nothing has changed; the text is the reason.
    Refused(String),
    /// The user may not ask; the text names the one that may.
    Denied(String),
}

impl fmt::Display for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Done(text) => write!(f, "reloaded {text}"),
            Self::Refused(text) => write!(f, "not reloaded, everything goes on as before: {text}"),
            Self::Denied(text) => f.write_str(text),
        }
    }
}

/// The engine's side: a listening socket for each name of an interface.
#[derive(Debug)]
pub(super) struct ControlServer {
    listeners: Vec<UnixListener>,
    /// Names that it listens by, or cannot listen by.
    names: Vec<String>,
}

impl ControlServer {
    /// Listens for the engine on these interfaces.
    pub(super) fn listen(interfaces: &[String]) -> io::Result<Self> {
        let listeners = interfaces.iter().map(|name| listen(name)).collect::<io::Result<_>>()?;
        Ok(Self { listeners, names: interfaces.to_vec() })
    }

    /// Listens by the present names of the interfaces too. Each name that is not available is
    /// reported once.
    pub(super) fn follow<'n>(&mut self, interfaces: impl IntoIterator<Item = &'n str>) {
        for name in interfaces {
            if self.names.iter().any(|known| known == name) {
                continue;
            }
            self.names.push(name.to_owned());
            match listen(name) {
                Ok(listener) => self.listeners.push(listener),
                Err(error) => {
                    log(&format!("`vxtap reload` and `vxtap tail` do not find {name}: {error}"));
                }
            }
        }
    }

    /// Answers waiting clients; errors of their connections are ignored.
    pub(super) fn serve(&self, mut reply: impl FnMut(Request) -> Reply) {
        for _ in 0..CLIENTS_PER_TURN {
            let client = self.listeners.iter().find_map(|listener| listener.accept().ok());
            let Some((client, _)) = client else { return };
            let _ = answer(client, &mut reply);
        }
    }
}

fn listen(interface: &str) -> io::Result<UnixListener> {
    let listener = UnixListener::bind_addr(&address(interface)?)?;
    listener.set_nonblocking(true)?;
    Ok(listener)
}

fn answer(mut client: UnixStream, reply: &mut impl FnMut(Request) -> Reply) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(CLIENT_TIMEOUT))?;
    client.set_write_timeout(Some(CLIENT_TIMEOUT))?;
    let uid = socket_peercred(&client)?.uid;
    let refused = |text: String| Reply::Answer(Answer::Refused(text));
    let reply = if !uid.is_root() && uid != geteuid() {
        let (user, or_root) = (user(geteuid()), if geteuid().is_root() { "" } else { " and root" });
        let sentence = format!("this engine runs as {user}: only {user}{or_root} may ask it");
        Reply::Answer(Answer::Denied(sentence))
    } else {
        let line = read_line(&client)?;
        let unknown = || refused(format!("this engine does not know the command {line:?}"));
        Request::of_line(&line).map_or_else(unknown, reply)
    };
    let (word, text) = match &reply {
        Reply::Answer(Answer::Done(text)) | Reply::Stream(_, text) => ("done", text.as_str()),
        Reply::Answer(Answer::Refused(text)) => ("refused", text.as_str()),
        Reply::Answer(Answer::Denied(text)) => ("denied", text.as_str()),
    };
    writeln!(client, "{word} {}", text.replace('\n', " "))?;
    if let Reply::Stream(tail, _) = reply {
        tail.send_to(client);
    }
    Ok(())
}

/// Returns the name of a user, or a number that has none.
fn user(uid: Uid) -> String {
    let found = User::from_uid(unistd::Uid::from_raw(uid.as_raw())).ok().flatten();
    found.map_or_else(|| format!("user {}", uid.as_raw()), |user| user.name)
}

/// Runs `vxtap reload` for the engine on the interface, or for the only one.
pub(super) fn reload(interface: Option<&str>) -> Result<(), CommandError> {
    let (answer, _) = request(interface, &Request::Reload)?;
    match answer {
        Answer::Done(_) => print(&format!("{answer}\n")).map_err(cannot_print),
        Answer::Refused(_) | Answer::Denied(_) => Err(CommandError::Refused(anyhow!("{answer}"))),
    }
}

/// Sends a request to the engine on the interface, or to the only one; also returns the connection.
pub(super) fn request(
    interface: Option<&str>,
    request: &Request,
) -> Result<(Answer, UnixStream), CommandError> {
    let interface = interface.map_or_else(only_engine, |name| Ok(name.to_owned()))?;
    let asked = ask(&interface, &request.to_line());
    let (line, stream) = asked.map_err(|error| match error.kind() {
        io::ErrorKind::ConnectionRefused => none_here(Some(&interface)),
        _ => CommandError::Failed(anyhow!("the engine on {interface} does not answer: {error}")),
    })?;
    match line.split_once(' ') {
        Some(("done", text)) => Ok((Answer::Done(text.to_owned()), stream)),
        Some(("refused", text)) => Ok((Answer::Refused(text.to_owned()), stream)),
        Some(("denied", text)) => Err(CommandError::Failed(anyhow!("{text}"))),
        _ => Err(CommandError::Failed(anyhow!("the engine on {interface} gave no answer"))),
    }
}

fn ask(interface: &str, command: &str) -> io::Result<(String, UnixStream)> {
    let mut stream = UnixStream::connect_addr(&address(interface)?)?;
    let uid = socket_peercred(&stream)?.uid;
    if !uid.is_root() && uid != geteuid() {
        // Any process can bind the name of an engine first, so the user is told its owner.
        let user = user(uid);
        log(&format!("the engine on {interface} runs as {user}, neither as root nor as you"));
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
        let tails = [Vec::new(), sessions.into()].map(Request::Tail);
        for request in tails.into_iter().chain([Request::Reload, Request::TailOuter]) {
            assert_eq!(Request::of_line(&request.to_line()), Some(request));
        }
        assert_eq!(["", "reload\tnow", "stop"].map(Request::of_line), [None, None, None]);
    }

    #[test]
    fn an_interface_answers_to_all_its_names() {
        let names = ["old", "new"].map(|name| format!("test-{name}-{}", std::process::id()));
        let mut control = ControlServer::listen(&names[..1]).unwrap();
        let taken = UnixListener::bind_addr(&address("test-taken").unwrap()).unwrap();
        for _ in 0..2 {
            control.follow([names[1].as_str(), "test-taken"]);
        }
        assert_eq!((control.listeners.len(), control.names.len()), (2, 3));
        drop(taken);
        let client = std::thread::spawn(move || names.map(|name| ask(&name, RELOAD).unwrap().0));
        while !client.is_finished() {
            control.serve(|_| Reply::Answer(Answer::Done("it".to_owned())));
            std::thread::sleep(Duration::from_millis(1));
        }
        assert_eq!(client.join().unwrap(), ["done it", "done it"]);
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
}
