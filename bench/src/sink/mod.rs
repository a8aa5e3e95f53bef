//! Where frames go: a network interface or a capture file.

#[cfg(feature = "af-xdp")]
mod af_xdp;
mod packet;
mod pcap;

use std::io;
use std::time::Duration;

#[cfg(feature = "af-xdp")]
pub use af_xdp::AfXdpSocket;
pub use packet::PacketSocket;
pub use pcap::PcapFile;

/// What a source says about a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Index of its session; `None` where that is not known.
    pub session: Option<usize>,
    /// Length in bytes of its inner frame; 0 where that is not known.
    pub inner_len: usize,
}

/// A frame on its way to the sink.
#[derive(Debug, Default)]
pub struct Slot {
    /// The outer frame.
    pub bytes: Vec<u8>,
    /// When it is due, counted from the start.
    pub due: Duration,
    /// What the source said about it.
    pub(crate) label: Option<Label>,
}

/// Takes outer frames.
pub trait Sink {
    /// Takes as many of the frames as it can, from the first on; the slice is never empty.
    ///
    /// # Errors
    /// The first frame cannot be taken, and trying again would not help.
    fn push(&mut self, frames: &[Slot]) -> Result<Pushed, SinkError>;

    /// Whether frames leave when they are due or are only written down with that time.
    fn timing(&self) -> Timing;

    /// Puts everything taken where it belongs; called once, after the last frame.
    ///
    /// # Errors
    /// Frames that were taken did not get there.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// What became of the frames handed to a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// This many were taken, at least one.
    Taken(usize),
    /// There is no room at the moment; none was taken.
    Full,
}

/// What a sink makes of a frame's due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Frames leave when they are pushed.
    Live,
    /// The due time is written beside the frame, which may be pushed at any time.
    Written,
}

/// Why a sink cannot be opened or does not take a frame.
#[derive(Debug, thiserror::Error)]
pub enum SinkError {
    /// No interface of this name in the thread's network namespace.
    #[error(
        "there is no Ethernet-like interface {interface} in this network namespace: `ip link` lists them"
    )]
    NoInterface {
        /// Name of the interface.
        interface: String,
    },
    /// The packet socket was refused.
    #[error(
        "cannot open a packet socket on {interface} ({call}: {source}): it takes CAP_NET_RAW, so run as root"
    )]
    Open {
        /// Name of the interface.
        interface: String,
        /// The system call that failed.
        call: &'static str,
        /// What it said.
        source: io::Error,
    },
    /// A frame longer than a chunk of the AF_XDP socket.
    #[error(
        "a frame of {frame_len} bytes does not fit the AF_XDP socket on {interface}, whose chunks hold {chunk_len}: \
         give a smaller size or --via packet"
    )]
    Chunk {
        /// Name of the interface.
        interface: String,
        /// Bytes of the frame, Ethernet header included.
        frame_len: usize,
        /// Bytes that a chunk has for it.
        chunk_len: usize,
    },
    /// The AF_XDP socket was refused.
    #[error(
        "cannot open an AF_XDP socket on {interface} ({what}: {cause}); it takes CAP_NET_RAW, so run as root"
    )]
    AfXdp {
        /// Name of the interface.
        interface: String,
        /// What it was about.
        what: &'static str,
        /// What the kernel or libxdp said.
        cause: String,
    },
    /// A frame longer than the interface takes.
    #[error("a frame of {frame_len} bytes does not fit {interface}: its MTU must be {mtu} or more")]
    TooLong {
        /// Name of the interface.
        interface: String,
        /// Bytes of the frame, Ethernet header included.
        frame_len: usize,
        /// Least MTU that takes it.
        mtu: usize,
    },
    /// The interface does not send.
    #[error("cannot send on {interface}: {source}; is it up?")]
    Send {
        /// Name of the interface.
        interface: String,
        /// What the kernel said.
        source: io::Error,
    },
    /// The file cannot be made or written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// What the kernel said.
        source: io::Error,
    },
}
