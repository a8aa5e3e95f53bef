//! Destinations of frames: a network interface or a capture file.

#[cfg(feature = "af-xdp")]
mod af_xdp;
mod packet_socket;
mod pcap_file;

use std::io;
use std::time::Duration;

#[cfg(feature = "af-xdp")]
pub use af_xdp::AfXdpSocket;
pub use packet_socket::PacketSocket;
pub use pcap_file::PcapFile;

/// Properties of a frame that its source knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Label {
    /// Index of its session; `None` if it is not known.
    pub session: Option<usize>,
    /// Length in bytes of its inner frame; 0 if it is not known.
    pub inner_len: usize,
}

/// A frame on its way to the sink.
#[derive(Debug, Default)]
pub struct OutgoingFrame {
    /// The outer frame.
    pub bytes: Vec<u8>,
    /// Due time, counted from the start.
    pub due: Duration,
    /// Label from the source.
    pub(crate) label: Option<Label>,
}

/// Takes outer frames.
pub trait FrameSink {
    /// Takes as many of the frames as it can, from the first on; the slice is never empty.
    ///
    /// # Errors
    /// The first frame cannot be taken, and trying again would not help.
    fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError>;

    /// Returns whether frames leave when they are pushed or are written with their due time.
    fn timing(&self) -> Timing;

    /// Completes the output of all frames taken; called once, after the last frame.
    ///
    /// # Errors
    /// Frames that were taken did not reach their destination.
    fn finish(&mut self) -> Result<(), SinkError>;
}

/// Result of handing frames to a sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pushed {
    /// This many were taken, at least one.
    Taken(usize),
    /// There is no room at the moment; none was taken.
    Full,
}

/// Use that a sink makes of a frame's due time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// Frames leave when they are pushed.
    Live,
    /// The due time is written beside the frame, which may be pushed at any time.
    Written,
}

/// Reason why a sink cannot be opened or does not take a frame.
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
        /// Error of the system call.
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
        /// Failed step.
        what: &'static str,
        /// Error of the kernel or of libxdp.
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
        /// Error of the system call.
        source: io::Error,
    },
    /// The file cannot be made or written.
    #[error("cannot write {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Error of the system call.
        source: io::Error,
    },
}
