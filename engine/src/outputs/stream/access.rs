//! Decides who may read a stream, and tells those who may not.

use std::io;
use std::net::SocketAddr;

use nix::unistd::{Uid, User, geteuid};

use super::listener::Incoming;
use super::peer_user::PeerUsers;
use crate::config::{AllowedUsers, StreamFormat};
use crate::outputs::pcapng::{Blocks, InterfaceDescription};

/// Users of this host that may read a stream over TCP from a loopback address.
#[derive(Debug)]
pub(crate) enum Access {
    All,
    Users {
        /// Their numbers.
        users: Vec<u32>,
        peers: PeerUsers,
    },
}

impl Access {
    /// Looks up the users: root, that of the engine, and those that are configured. Connections are
    /// those of the calling thread's network namespace.
    ///
    /// # Errors
    ///
    /// A sentence about a user that this system does not have, or the error of a system call.
    pub(super) fn of(allowed: &AllowedUsers) -> io::Result<Self> {
        let AllowedUsers::Listed(names) = allowed else { return Ok(Self::All) };
        let mut users = vec![0, geteuid().as_raw()];
        for name in names {
            users.push(user_id(name)?);
        }
        users.sort_unstable();
        users.dedup();
        Ok(Self::Users { users, peers: PeerUsers::open()? })
    }

    /// Checks that users can be told apart.
    ///
    /// # Errors
    ///
    /// A sentence with the remedy.
    pub(super) fn check(&self) -> io::Result<()> {
        let Self::Users { peers, .. } = self else { return Ok(()) };
        peers.check().map_err(|error| {
            let remedy = "with \"all\" every user of this host can read the frames";
            let sentence = format!("output.allowed_users cannot be checked, as {error}: {remedy}");
            io::Error::new(error.kind(), sentence)
        })
    }

    /// Returns the programs that can read a stream at this address, for the operator.
    pub(super) fn describe(&self, address: SocketAddr) -> String {
        match self {
            _ if !address.ip().to_canonical().is_loopback() => {
                "every host that reaches it can read the frames, which are not encrypted".to_owned()
            }
            Self::All => "every user of this host can read the frames".to_owned(),
            Self::Users { users, .. } => {
                let names: Vec<_> = users.iter().map(|user| user_name(*user)).collect();
                let plural = if names.len() == 1 { "" } else { "s" };
                let names = names.join(", ");
                format!(
                    "of this host, the user{plural} {names} can read the frames (output.allowed_users)"
                )
            }
        }
    }

    /// Returns the reason why the program at the other end of a connection may not read. Programs
    /// of other hosts may: the address that it listens at decides about them.
    fn refusal(&self, (peer, local): (SocketAddr, SocketAddr)) -> Option<String> {
        let Self::Users { users, peers } = self else { return None };
        // Either end: a local program may have bound its own end to another address of the host.
        if ![peer, local].iter().any(|end| end.ip().to_canonical().is_loopback()) {
            return None;
        }
        match peers.user_of(peer, local) {
            Ok(Some(user)) if users.contains(&user) => None,
            Ok(Some(user)) => {
                Some(format!("the user {} may not read it (output.allowed_users)", user_name(user)))
            }
            Ok(None) => Some("it has gone already".to_owned()),
            Err(error) => Some(format!(
                "its user cannot be found out, as {error}: output.allowed_users = \"all\" lets every user of this host read"
            )),
        }
    }
}

/// Returns the reason why a reader is turned away, beside `readers` of at most `max`; `None` if it
/// may read.
pub(super) fn refusal(
    incoming: &Incoming,
    access: &Access,
    max: usize,
    readers: usize,
) -> Option<String> {
    if readers >= max {
        let plural = if max == 1 { "" } else { "s" };
        return Some(format!("it has {max} reader{plural} already (output.max_readers)"));
    }
    access.refusal(incoming.tcp?)
}

/// Tells a reader why it is turned away, as far as the format can: in a pcapng section without
/// frames. Does not wait.
pub(super) fn turn_away(incoming: &Incoming, format: StreamFormat, sentence: &str) {
    if format == StreamFormat::Pcapng {
        // A reader that does not get it sees the end of the connection.
        let _ = incoming.writer.write(&section(sentence));
    }
    incoming.writer.finish();
}

fn section(sentence: &str) -> Vec<u8> {
    let mut blocks = Blocks::with_capacity(0);
    blocks.commented_section_header("vxtap", sentence);
    // Some readers do not accept a section without an interface.
    blocks.interface(InterfaceDescription { name: "turned away", description: sentence });
    blocks.bytes().to_vec()
}

fn user_id(name: &str) -> io::Result<u32> {
    if let Ok(number) = name.parse() {
        return Ok(number);
    }
    let found = User::from_name(name)?.map(|user| user.uid.as_raw());
    found.ok_or_else(|| {
        let sentence = format!("output.allowed_users: this system has no user {name}");
        io::Error::new(io::ErrorKind::NotFound, sentence)
    })
}

/// Returns the name of a user, or the number without one.
fn user_name(user: u32) -> String {
    let found = User::from_uid(Uid::from_raw(user)).ok().flatten();
    found.map_or_else(|| user.to_string(), |user| user.name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(names: &[&str]) -> AllowedUsers {
        AllowedUsers::Listed(names.iter().map(|name| (*name).to_owned()).collect())
    }

    #[test]
    fn root_and_the_engines_user_are_always_allowed_and_others_by_name_or_number() {
        let own = geteuid().as_raw();
        let Access::Users { users, .. } = Access::of(&listed(&["4711", "root"])).unwrap() else {
            panic!("a list")
        };
        assert!([0, own, 4711].iter().all(|user| users.contains(user)), "{users:?}");
        let error = Access::of(&listed(&["nosuch-user"])).unwrap_err().to_string();
        assert_eq!(error, "output.allowed_users: this system has no user nosuch-user");
    }

    #[test]
    fn what_cannot_be_checked_is_refused_with_the_remedy() {
        Access::All.check().unwrap();
        Access::of(&listed(&[])).unwrap().check().unwrap();
        // The kernel knows no users of this protocol.
        let unknown = Access::Users { users: vec![0], peers: PeerUsers::open_for(254).unwrap() };
        assert_eq!(
            unknown.check().unwrap_err().to_string(),
            "output.allowed_users cannot be checked, as this kernel does not know the users of connections (CONFIG_INET_DIAG): with \"all\" every user of this host can read the frames"
        );
    }

    #[test]
    fn who_can_read_is_said_of_every_address() {
        let address = |text: &str| text.parse().unwrap();
        let users = Access::Users { users: vec![0, 4_294_967], peers: PeerUsers::open().unwrap() };
        assert_eq!(
            users.describe(address("[::ffff:127.0.0.1]:57012")),
            "of this host, the users root, 4294967 can read the frames (output.allowed_users)"
        );
        assert_eq!(
            Access::All.describe(address("[::1]:57012")),
            "every user of this host can read the frames"
        );
        for other in ["0.0.0.0:57012", "192.0.2.1:57012", "[::]:57012"] {
            assert!(users.describe(address(other)).starts_with("every host that reaches it"));
        }
    }

    #[test]
    fn a_section_that_turns_away_has_the_reason_and_an_interface() {
        let bytes = section("it has 8 readers already");
        let mut file = tempfile::NamedTempFile::new().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        let mut capture = crate::capture_file::CaptureFile::open(file.path()).unwrap();
        assert!(capture.next().unwrap().is_none());
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("it has 8 readers already").count(), 2);
    }
}
