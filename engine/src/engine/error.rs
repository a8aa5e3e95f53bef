//! Errors of opening and starting an engine.

use std::io;

use crate::capture_file::CaptureFileError;
use crate::config::{CaptureMode, ConfigError};
use crate::interface::InterfaceError;
use crate::outputs::OutputError;
use crate::plural::counted;
use crate::steering::SteeringError;
use crate::udp::UdpError;
use crate::xsk::{SocketError, UmemError};

/// Reason why the engine does not start. Each is one sentence that says what to do.
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
    /// An output could not be opened or started.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// The process or the system has reached a limit.
    #[error("{remedy} ({source})")]
    Shortage {
        /// The limit, and how to raise it.
        remedy: String,
        /// The error that it caused.
        source: Box<Self>,
    },
    /// AF_XDP modes need frames that begin with an Ethernet header.
    #[error(
        "the packets of {interface} have no Ethernet header, which capture.mode = \"{mode}\" needs: use \"auto\" or \
         \"socket\", or capture from the interface on which the outer packets arrive"
    )]
    NoEthernetHeader {
        /// The interface.
        interface: String,
        /// The configured mode.
        mode: CaptureMode,
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
        "workers.cpus lists {} for {}: list one for each, or use \"auto\"",
        counted(*cpu_count, "CPU"),
        counted(*queue_count, "queue")
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
        /// The attempted action.
        what: String,
        /// Error of the system call.
        source: io::Error,
    },
}

impl EngineError {
    pub(super) fn no_rings(source: io::Error) -> Self {
        Self::System { what: "no memory for rings".to_owned(), source }
    }
}
