//! How another process asks a running engine for something: `vxtap reload`.
//!
//! A Unix socket with an abstract name, `vxtap/INTERFACE`, so that it lives in the engine's network namespace, as the interface
//! does, and goes when the process goes. A client sends a line with the command and reads one line: `done TEXT` or
//! `refused TEXT`. Only the user that runs the engine, and root, are answered.

use std::fmt;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixListener, UnixStream};
use std::time::Duration;

use anyhow::anyhow;
use rustix::net::sockopt::socket_peercred;
use rustix::process::geteuid;

use super::{Failure, cannot_print, print};

const PREFIX: &str = "vxtap/";
const RELOAD: &str = "reload";

/// Longest wait for a client's line: a client that says nothing holds up reporting so long, not the workers.
const CLIENT_PATIENCE: Duration = Duration::from_millis(200);
/// Longest wait for the engine's answer; workers notice an order within 50 ms, opening outputs takes its time.
const ENGINE_PATIENCE: Duration = Duration::from_secs(30);
/// Most clients that are answered in one turn: whoever may connect must not keep the engine from seeing signals.
const CLIENTS_PER_TURN: usize = 8;
/// Longest line that is read, in bytes.
const LINE_MAX: u64 = 64 << 10;

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
    pub(super) fn serve(&self, mut reload: impl FnMut() -> Answer) {
        for _ in 0..CLIENTS_PER_TURN {
            let Some((client, _)) = self.0.iter().find_map(|listener| listener.accept().ok()) else { return };
            let _ = answer(client, &mut reload);
        }
    }
}

fn answer(mut client: UnixStream, reload: &mut impl FnMut() -> Answer) -> io::Result<()> {
    client.set_nonblocking(false)?;
    client.set_read_timeout(Some(CLIENT_PATIENCE))?;
    client.set_write_timeout(Some(CLIENT_PATIENCE))?;
    let uid = socket_peercred(&client)?.uid;
    let answer = if !uid.is_root() && uid != geteuid() {
        Answer::Refused("only the user that runs the engine may do this".to_owned())
    } else {
        match read_line(&client)?.as_str() {
            RELOAD => reload(),
            other => Answer::Refused(format!("this engine does not know the command {other:?}")),
        }
    };
    let (word, text) = match &answer {
        Answer::Done(text) => ("done", text),
        Answer::Refused(text) => ("refused", text),
    };
    writeln!(client, "{word} {}", text.replace('\n', " "))
}

/// `vxtap reload`: asks the engine on the interface, or the only one there is.
pub(super) fn reload(interface: Option<&str>) -> Result<(), Failure> {
    let interface = interface.map_or_else(only_engine, |name| Ok(name.to_owned()))?;
    let line = ask(&interface, RELOAD).map_err(|error| {
        Failure::Failed(match error.kind() {
            io::ErrorKind::ConnectionRefused => {
                anyhow!("no engine captures from {interface} in this network namespace")
            }
            _ => anyhow!("the engine on {interface} does not answer: {error}"),
        })
    })?;
    match line.split_once(' ') {
        Some(("done", text)) => print(&format!("{}\n", Answer::Done(text.to_owned()))).map_err(cannot_print),
        Some(("refused", text)) => Err(Failure::Refused(anyhow!("{}", Answer::Refused(text.to_owned())))),
        _ => Err(Failure::Failed(anyhow!("the engine on {interface} gave no answer"))),
    }
}

fn ask(interface: &str, command: &str) -> io::Result<String> {
    let mut stream = UnixStream::connect_addr(&address(interface)?)?;
    stream.set_read_timeout(Some(ENGINE_PATIENCE))?;
    writeln!(stream, "{command}")?;
    read_line(&stream)
}

fn read_line(stream: &UnixStream) -> io::Result<String> {
    let mut line = String::new();
    BufReader::new(stream.take(LINE_MAX)).read_line(&mut line)?;
    Ok(line.trim_end_matches('\n').to_owned())
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

/// The interfaces whose engines listen, from `/proc/net/unix` (`proc_net_unix(5)` writes `@` for the zero byte).
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
        let client =
            std::thread::spawn(move || [RELOAD, "status"].map(|command| ask(&interface, command).unwrap()));
        while !client.is_finished() {
            control.serve(|| Answer::Done("two\nlines".to_owned()));
            std::thread::sleep(Duration::from_millis(1));
        }
        let answers = client.join().unwrap();
        assert_eq!(answers, ["done two lines", "refused this engine does not know the command \"status\""]);
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
            control.serve(|| {
                reloads += 1;
                Answer::Done(String::new())
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
