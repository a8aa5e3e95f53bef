//! Stream outputs: target, format and limits.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::error::{Problem, Violation};
use super::key::{Entry, KeyPath};
use super::limit::Limit;

/// Each reader has a buffer and a thread.
pub(super) const MAX_READERS: Limit = Limit::Range(1, 64);
/// A day.
pub(super) const SEND_TIMEOUT_S: Limit = Limit::Range(1, 86_400);
/// A reader that is a GiB behind will not catch up.
pub(super) const BUFFER_MIB: Limit = Limit::Range(1, 1024);

/// Customary TCP port of pcap-over-IP.
pub const PCAP_OVER_IP_PORT: u16 = 57_012;

/// Settings of a stream of capture records. All frames in it begin with an Ethernet header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Endpoint at which readers get the stream.
    pub target: StreamTarget,
    /// Format of the capture records.
    pub format: StreamFormat,
    /// Maximum number of simultaneous readers of a socket, 1 to 64; each gets all frames from its
    /// connection on. Default: 8. Further readers are turned away, in pcapng with the reason.
    pub max_readers: u32,
    /// Time in seconds after which a reader of a socket is disconnected that takes nothing although
    /// frames wait for it: 1 to 86400. Default: 30. Too low: a reader that pauses is disconnected;
    /// high: one that stands still takes the place of another for that long.
    pub send_timeout_s: u32,
    /// Users of this host that may read a stream over TCP from a loopback address. At another
    /// address a list with names is refused.
    pub allowed_users: AllowedUsers,
    /// Size in MiB of the buffer of each reader: 1 to 1024. Default: 4. Too low: a pausing reader
    /// loses frames, which is counted for it; high: a stalled reader takes that much memory.
    pub buffer_mib: u32,
}

/// Users of this host that may read a stream over TCP from a loopback address. Programs of other
/// hosts are not asked for their users.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AllowedUsers {
    /// These, by name or number, beside root and the user of the engine.
    Listed(Vec<String>),
    /// All users.
    All,
}

impl Default for AllowedUsers {
    fn default() -> Self {
        Self::Listed(Vec::new())
    }
}

/// Endpoint of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamTarget {
    /// Standard output of the engine's process; a terminal is refused.
    Stdout,
    /// A named pipe (fifo(7)), created with mode 0600 if it does not exist. Has one reader at a
    /// time.
    Fifo(PathBuf),
    /// A Unix socket (`SOCK_STREAM`), accessible to the engine's user only.
    Unix(PathBuf),
    /// A TCP socket that listens at this address. Every host that reaches it can read the frames.
    Tcp(SocketAddr),
}

/// Format of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamFormat {
    /// pcapng, with an interface block for each session, and the losses of the reader at an orderly
    /// end.
    #[default]
    Pcapng,
    /// pcap with nanosecond timestamps, without session names and statistics.
    Pcap,
}

impl Stream {
    /// Returns a stream with the default settings.
    pub const fn new(target: StreamTarget) -> Self {
        Self {
            target,
            format: StreamFormat::Pcapng,
            max_readers: 8,
            send_timeout_s: 30,
            allowed_users: AllowedUsers::Listed(Vec::new()),
            buffer_mib: 4,
        }
    }

    /// Returns the maximum number of simultaneous readers, which is 1 for standard output and a
    /// named pipe.
    pub const fn reader_limit(&self) -> u32 {
        match self.target {
            StreamTarget::Stdout | StreamTarget::Fifo(_) => 1,
            StreamTarget::Unix(_) | StreamTarget::Tcp(_) => self.max_readers,
        }
    }

    pub(super) fn check(&self, entry: Entry) -> Result<(), Violation> {
        MAX_READERS
            .check(self.max_readers)
            .map_err(|problem| problem.at(entry.key("max_readers")))?;
        SEND_TIMEOUT_S
            .check(self.send_timeout_s)
            .map_err(|problem| problem.at(entry.key("send_timeout_s")))?;
        self.check_users(&entry.key("allowed_users"))?;
        BUFFER_MIB.check(self.buffer_mib).map_err(|problem| problem.at(entry.key("buffer_mib")))
    }
}

impl Stream {
    fn check_users(&self, key: &KeyPath) -> Result<(), Violation> {
        let AllowedUsers::Listed(names) = &self.allowed_users else { return Ok(()) };
        for (position, name) in names.iter().enumerate() {
            if name.is_empty() || name.chars().any(|c| c.is_control() || c.is_whitespace()) {
                let problem =
                    Problem::refused(format_args!("{name:?}"), "the name or number of a user");
                return Err(problem.at(key.index(position)));
            }
        }
        match self.target {
            StreamTarget::Tcp(address) if !names.is_empty() => {
                check_users_at(address).map_err(|problem| problem.at(key.clone()))
            }
            _ => Ok(()),
        }
    }
}

/// Refuses a list of users at an address that other hosts reach: it would keep nobody of them out.
pub(super) fn check_users_at(address: SocketAddr) -> Result<(), Problem> {
    if address.ip().to_canonical().is_loopback() {
        return Ok(());
    }
    let allowed = "one at a loopback address, as the users of other hosts are not known";
    Err(Problem::refused(format_args!("a list of users at {address}"), allowed))
}

impl fmt::Display for StreamTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Stdout => f.write_str("standard output"),
            Self::Fifo(path) => write!(f, "the named pipe {}", path.display()),
            Self::Unix(path) => write!(f, "the socket {}", path.display()),
            Self::Tcp(address) => write!(f, "TCP {address}"),
        }
    }
}

impl StreamTarget {
    /// Default address of a TCP stream: loopback at [`PCAP_OVER_IP_PORT`].
    pub const PCAP_OVER_IP: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PCAP_OVER_IP_PORT);
}
