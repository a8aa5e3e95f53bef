//! An output that is read as a stream of bytes: where, and in which format.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use super::error::Violation;
use super::key::KeyPath;
use super::limit::Limit;

/// Each has a buffer and a thread.
pub(super) const READERS: Limit = Limit::Range(1, 64);
/// A GiB for a reader that stands still is more than any that will ever catch up needs.
pub(super) const BUFFER_MIB: Limit = Limit::Range(1, 1024);

/// The port at which pcap-over-IP is customary.
pub const PCAP_OVER_IP_PORT: u16 = 57_012;

/// A stream of capture records. All frames in it begin with an Ethernet header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    /// Where it is read.
    pub target: StreamTarget,
    /// What it consists of.
    pub format: StreamFormat,
    /// Most readers at a time of a socket, 1 to 64; each gets all frames from the moment on at
    /// which it comes. Default: 8. Too low: who comes beyond it is turned away.
    pub readers: u32,
    /// Memory, in MiB, in which the frames of one reader wait until it takes them: 1 to 1024.
    /// Default: 4. Too low: a reader that pauses loses frames, which is counted for it; high takes
    /// memory, for a reader that stands still only.
    pub buffer_mib: u32,
}

/// Where a stream is read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamTarget {
    /// Standard output of the engine's process, which must not be a terminal.
    Stdout,
    /// A named pipe (fifo(7)), made with mode 0600 if it is not there. Has one reader at a time.
    Fifo(PathBuf),
    /// A Unix socket (`SOCK_STREAM`), made for the engine's user only.
    Unix(PathBuf),
    /// A TCP socket that listens at this address. Whoever reaches it reads the frames.
    Tcp(SocketAddr),
}

/// What a stream consists of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StreamFormat {
    /// pcapng, with an interface block for each session, and at an orderly end the losses of the
    /// reader.
    #[default]
    Pcapng,
    /// pcap with nanoseconds, which has neither.
    Pcap,
}

impl Stream {
    /// A stream with the default settings.
    pub const fn new(target: StreamTarget) -> Self {
        Self { target, format: StreamFormat::Pcapng, readers: 8, buffer_mib: 4 }
    }

    /// Most readers at a time.
    pub const fn readers_max(&self) -> u32 {
        match self.target {
            StreamTarget::Stdout | StreamTarget::Fifo(_) => 1,
            StreamTarget::Unix(_) | StreamTarget::Tcp(_) => self.readers,
        }
    }

    pub(super) fn check(&self, key: &KeyPath) -> Result<(), Violation> {
        READERS.check(self.readers).map_err(|problem| problem.at(key.key("readers")))?;
        BUFFER_MIB.check(self.buffer_mib).map_err(|problem| problem.at(key.key("buffer_mib")))
    }
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
    /// Where pcap-over-IP is served if nothing else is said: to this host only.
    pub const PCAP_OVER_IP: SocketAddr =
        SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), PCAP_OVER_IP_PORT);
}
