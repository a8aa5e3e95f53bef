//! Why the engine does not start.

use std::io;
use std::path::PathBuf;

use crate::capture_file::CaptureFileError;
use crate::config::ConfigError;
use crate::interface::InterfaceError;
use crate::output::pcapng::PcapngError;
use crate::steering::SteeringError;
use crate::xsk::{SocketError, UdpError, UmemError};

/// Why the engine does not start. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// No interface is named.
    #[error("no interface to capture from: set capture.interface")]
    NoInterface,
    /// The interface is not there.
    #[error(transparent)]
    Interface(#[from] InterfaceError),
    /// The XDP program could not be loaded or attached.
    #[error(transparent)]
    Steering(#[from] SteeringError),
    /// No memory for frames.
    #[error(transparent)]
    Umem(#[from] UmemError),
    /// A queue has no socket.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// A queue has no UDP socket.
    #[error(transparent)]
    Udp(#[from] UdpError),
    /// A capture file could not be opened for reading.
    #[error(transparent)]
    CaptureFile(#[from] CaptureFileError),
    /// An output's file could not be created.
    #[error("output `{output}`: {source}")]
    Pcapng {
        /// Name of the output.
        output: String,
        /// What went wrong.
        source: PcapngError,
    },
    /// The files of an output were to belong to somebody who is not there.
    #[error("output `{output}`: {source}")]
    Owner {
        /// Name of the output.
        output: String,
        /// What the system said.
        source: io::Error,
    },
    /// An output has no socket that consumers could come to.
    #[error("output `{output}` cannot listen at {}: {source}", path.display())]
    Door {
        /// Name of the output.
        output: String,
        /// Path of the socket.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// An output has nothing that could be read as a stream.
    #[error("output `{output}` cannot write to {target}: {source}")]
    Stream {
        /// Name of the output.
        output: String,
        /// Where it was to be read.
        target: String,
        /// What was wrong.
        source: io::Error,
    },
    /// Two outputs are read at one place.
    #[error("outputs `{first}` and `{second}` write to {target}: give each its own")]
    SharedStream {
        /// Where.
        target: String,
        /// Name of the one that has it.
        first: String,
        /// Name of the other.
        second: String,
    },
    /// An output has no interface.
    #[error("output `{output}` cannot have the interface {interface}: {source}")]
    OutputInterface {
        /// Name of the output.
        output: String,
        /// Name of the interface.
        interface: String,
        /// What the system said.
        source: io::Error,
    },
    /// An output whose consumers come and go, and a capture file, which would not wait for them.
    #[error("output `{output}` is for live capture: consumers come to it while it runs")]
    LiveOnly {
        /// Name of the output.
        output: String,
    },
    /// Two outputs lead to one file.
    #[error("outputs `{first}` and `{second}` write to one file, {}: give each its own", path.display())]
    SharedFile {
        /// Path of the second.
        path: PathBuf,
        /// Name of the first.
        first: String,
        /// Name of the second.
        second: String,
    },
    /// A configured queue is not there.
    #[error(
        "{interface} has no RX queue {queue}: it has {count}, numbered from 0 (`ethtool -l {interface}`)"
    )]
    NoSuchQueue {
        /// The interface.
        interface: String,
        /// The queue asked for.
        queue: u32,
        /// Number of queues.
        count: u32,
    },
    /// A configured CPU is not there.
    #[error(
        "CPU {cpu} is not available to this process: it may run on {available:?} (workers.cpus)"
    )]
    NoSuchCpu {
        /// The CPU asked for.
        cpu: usize,
        /// The CPUs there are.
        available: Vec<usize>,
    },
    /// The list of CPUs is too short.
    #[error(
        "workers.cpus lists {cpu_count} CPUs for {queue_count} queues: list one for each, or use \"auto\""
    )]
    TooFewCpus {
        /// Length of the list.
        cpu_count: usize,
        /// Number of queues.
        queue_count: usize,
    },
    /// Another system call failed.
    #[error("{what}: {source}")]
    System {
        /// What was tried.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}
