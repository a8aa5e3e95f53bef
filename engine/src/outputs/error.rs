//! Errors of opening and starting outputs.

use std::io;
use std::path::PathBuf;

use super::pcapng::PcapngError;
use crate::config::ConfigError;

/// Reason why an output cannot be opened or started. Each is one sentence that says what to do.
#[derive(Debug, thiserror::Error)]
pub enum OutputError {
    /// The configuration of the output is not valid.
    #[error(transparent)]
    Config(Box<ConfigError>),
    /// An output's file could not be created.
    #[error("output `{output}`: {source}")]
    Pcapng {
        /// Name of the output.
        output: String,
        /// The error.
        source: PcapngError,
    },
    /// The configured owner of an output's files does not exist.
    #[error("output `{output}`: {source}")]
    Owner {
        /// Name of the output.
        output: String,
        /// Error of the system call.
        source: io::Error,
    },
    /// The Unix socket of an output could not be created.
    #[error("output `{output}` cannot listen at {}: {source}", path.display())]
    Listen {
        /// Name of the output.
        output: String,
        /// Path of the socket.
        path: PathBuf,
        /// Error of the system call.
        source: io::Error,
    },
    /// The target of a stream could not be opened.
    #[error("output `{output}` cannot write to {target}: {source}")]
    Stream {
        /// Name of the output.
        output: String,
        /// Target, as the configuration names it.
        target: String,
        /// Error of the system call.
        source: io::Error,
    },
    /// Two outputs have the same stream target.
    #[error("outputs `{first}` and `{second}` write to {target}: give each its own")]
    SharedStream {
        /// The target.
        target: String,
        /// Name of the output that has it.
        first: String,
        /// Name of the other output.
        second: String,
    },
    /// The TAP interface of an output could not be opened.
    #[error("output `{output}` cannot have the interface {interface}: {source}")]
    Interface {
        /// Name of the output.
        output: String,
        /// Name of the interface.
        interface: String,
        /// Error of the system call.
        source: io::Error,
    },
    /// The output's consumers attach while it runs; a capture file would not wait for them.
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
    /// Another system call failed.
    #[error("{what}: {source}")]
    System {
        /// The attempted action.
        what: String,
        /// Error of the system call.
        source: io::Error,
    },
}
