//! Finds running engines by the names of their control sockets: in this network namespace, and for
//! the sake of a message in others.

use std::collections::BTreeSet;
use std::fs;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixStream};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use rustix::net::sockopt::socket_peercred;

use super::CommandError;

const PREFIX: &str = "vxtap/";
/// `__SO_ACCEPTCON` in the column of the flags: the socket listens (`proc_net_unix(5)`).
const LISTENS: &str = "00010000";

/// Largest number of engines that a message names.
const ENGINES_MAX: usize = 16;

/// Returns the address of the engine on an interface.
pub(super) fn address(interface: &str) -> std::io::Result<SocketAddr> {
    SocketAddr::from_abstract_name(format!("{PREFIX}{interface}"))
}

/// Returns an interface of the only engine in this network namespace.
pub(super) fn only_engine() -> Result<String, CommandError> {
    let interfaces = interfaces_here()
        .map_err(|error| CommandError::Failed(anyhow!("cannot look for engines: {error}")))?;
    let mut interfaces = interfaces.iter();
    let Some(first) = interfaces.next() else { return Err(none_here(None)) };
    let others: Vec<_> = interfaces.collect();
    if others.iter().all(|other| is_same_engine(first, other)) {
        return Ok(first.clone());
    }
    let all: Vec<_> = std::iter::once(first).chain(others).map(String::as_str).collect();
    let sentence = format!("several engines run here: use -i with one of {}", all.join(", "));
    Err(CommandError::Refused(anyhow!(sentence)))
}

/// Returns the error that no engine runs here, or none on this interface; with what helps to reach
/// those that run.
pub(super) fn none_here(interface: Option<&str>) -> CommandError {
    let here = interfaces_here().unwrap_or_default();
    let sentence = match interface {
        None => "no engine runs in this network namespace".to_owned(),
        Some(name) => format!("no engine captures from {name} in this network namespace"),
    };
    if !here.is_empty() {
        let here: Vec<_> = here.iter().map(|name| format!("-i {name}")).collect();
        return CommandError::Failed(anyhow!("{sentence}: use {}", here.join(" or ")));
    }
    let mut engines = elsewhere(Path::new("/proc"), Path::new("/run/netns"));
    engines.truncate(ENGINES_MAX);
    if engines.is_empty() {
        let advice = "enter that of the engine with `ip netns exec NAME` or `nsenter -t PID -n`";
        engines.push(advice.to_owned());
    }
    CommandError::Failed(anyhow!("{sentence}; {}", engines.join("; ")))
}

/// Returns `true` if one process listens for both interfaces.
fn is_same_engine(one: &str, other: &str) -> bool {
    let pid = |interface| {
        let stream = UnixStream::connect_addr(&address(interface).ok()?).ok()?;
        Some(socket_peercred(&stream).ok()?.pid)
    };
    pid(one).is_some_and(|one| pid(other) == Some(one))
}

fn interfaces_here() -> std::io::Result<BTreeSet<String>> {
    let sockets = fs::read_to_string("/proc/self/net/unix")?;
    Ok(listening(&sockets).map(|(interface, _)| interface.to_owned()).collect())
}

/// Returns the interfaces with a listening engine and the inodes of their sockets, from
/// `/proc/net/unix` (`proc_net_unix(5)`, which writes `@` for the zero byte).
fn listening(sockets: &str) -> impl Iterator<Item = (&str, &str)> {
    sockets.lines().filter_map(|line| {
        let fields: Vec<_> = line.split_ascii_whitespace().collect();
        let [_, _, _, LISTENS, _, _, inode, name] = fields[..] else { return None };
        Some((name.strip_prefix('@')?.strip_prefix(PREFIX)?, inode))
    })
}

/// Returns a sentence about each engine of another network namespace that this user may see.
fn elsewhere(proc: &Path, named: &Path) -> Vec<String> {
    let processes: Vec<_> = numbered(proc).collect();
    let namespace = |process: &Path| Some(fs::metadata(process.join("ns/net")).ok()?.ino());
    let own = namespace(&proc.join("self"));
    let mut seen: BTreeSet<_> = own.into_iter().collect();
    let mut sentences = Vec::new();
    for process in &processes {
        let Some(inode) = namespace(process).filter(|inode| seen.insert(*inode)) else { continue };
        let Ok(sockets) = fs::read_to_string(process.join("net/unix")) else { continue };
        let Some((interface, socket)) = listening(&sockets).next() else { continue };
        let owner = processes.iter().find(|process| has_socket(process, socket)).unwrap_or(process);
        let pid = owner.file_name().unwrap_or_default().display();
        sentences.push(match name_of(inode, named) {
            Some(name) => format!(
                "one captures from {interface} in the namespace {name}: `ip netns exec {name} vxtap ...`"
            ),
            None => format!(
                "one captures from {interface} in that of process {pid}: `nsenter -t {pid} -n vxtap ...`"
            ),
        });
    }
    sentences
}

/// Returns the directories of the processes.
fn numbered(proc: &Path) -> impl Iterator<Item = PathBuf> + use<> {
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).filter(|path| {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_digit())
    })
}

fn has_socket(process: &Path, inode: &str) -> bool {
    let link = PathBuf::from(format!("socket:[{inode}]"));
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.map(|file| fs::read_link(file.path())).any(|target| target.is_ok_and(|it| it == link))
}

/// Returns the name that `ip netns` has for a network namespace.
fn name_of(inode: u64, named: &Path) -> Option<String> {
    let entries = fs::read_dir(named).into_iter().flatten().flatten();
    let mut found =
        entries.filter(|entry| fs::metadata(entry.path()).is_ok_and(|file| file.ino() == inode));
    Some(found.next()?.file_name().to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixListener;

    use super::*;

    #[test]
    fn an_engine_on_several_interfaces_is_one_engine() {
        let interfaces = ["one", "two"].map(|name| format!("test-{name}-{}", std::process::id()));
        let listen = |interface| UnixListener::bind_addr(&address(interface).unwrap()).unwrap();
        let _sockets = interfaces.each_ref().map(|interface| listen(interface));
        assert!(is_same_engine(&interfaces[0], &interfaces[1]));
        assert!(!is_same_engine(&interfaces[0], "nosuch"));
        assert!(interfaces.iter().all(|interface| interfaces_here().unwrap().contains(interface)));
    }

    const SOCKETS: &str = "\
Num RefCount Protocol Flags Type St Inode Path
0000000000000000: 00000002 00000000 00010000 0001 01 37 @vxtap/eth1
0000000000000000: 00000003 00000000 00000000 0001 03 38
0000000000000000: 00000003 00000000 00000000 0001 03 40 @vxtap/eth2
0000000000000000: 00000003 00000000 00000000 0001 03 39 /run/vxtap/eth2
";

    #[test]
    fn engines_are_found_by_the_names_of_their_sockets() {
        assert_eq!(listening(SOCKETS).collect::<Vec<_>>(), [("eth1", "37")]);
    }

    #[test]
    fn an_engine_elsewhere_is_named_with_the_way_to_it() {
        let root = tempfile::tempdir().unwrap();
        let [proc, named] = ["proc", "netns"].map(|name| root.path().join(name));
        fs::create_dir_all(&named).unwrap();
        // Process 7 is in the namespace of the engine, 12 is the engine.
        for (process, namespace) in [("self", "here"), ("7", "there"), ("12", "there")] {
            let process = proc.join(process);
            for name in ["ns", "net", "fd"] {
                fs::create_dir_all(process.join(name)).unwrap();
            }
            fs::write(root.path().join(namespace), "").unwrap();
            fs::hard_link(root.path().join(namespace), process.join("ns/net")).unwrap();
            fs::write(process.join("net/unix"), SOCKETS).unwrap();
        }
        std::os::unix::fs::symlink("socket:[37]", proc.join("12/fd/3")).unwrap();
        assert_eq!(
            elsewhere(&proc, &named),
            ["one captures from eth1 in that of process 12: `nsenter -t 12 -n vxtap ...`"]
        );
        fs::hard_link(root.path().join("there"), named.join("blue")).unwrap();
        assert_eq!(
            elsewhere(&proc, &named),
            ["one captures from eth1 in the namespace blue: `ip netns exec blue vxtap ...`"]
        );
    }
}
