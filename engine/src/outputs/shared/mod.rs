//! Frames in another process, in the engine's memory: the output kind `shared`.
//!
//! A thread for each output listens at a Unix socket, gives each consumer rings of its own, which
//! go to the workers while these run, and tells the workers when a consumer is gone. Memory, rings
//! and protocol are written down in docs/ring-abi.md, for programs in other languages.
//!
//! | module | content |
//! |---|---|
//! | `protocol` | the messages between engine and consumer |
//! | `client` | the consumer's end, for Rust programs |
//! | `acceptor` | accepts connections, a few at a time |
//! | `connection` | the engine's end of one connection |
//! | `server` | the thread |
//! | `session_list` | the file with the names of the sessions |

#[cfg(test)]
mod abi;
mod acceptor;
mod client;
mod connection;
pub(crate) mod protocol;
mod server;
mod session_list;

use std::path::Path;

use rustix::net::SocketType;

use super::OutputError;
use super::attach::ListenSocket;
use super::open_output::{OpenOutput, OutputThread, ThreadContext};
use crate::config::Output;
use crate::ring::Consumer;
pub use client::{AttachError, Attachment, ORDER_WINDOW, attach};
use server::Server;

/// The socket of all members.
#[derive(Debug)]
struct OpenShared(ListenSocket);

/// Opens the socket of an output. The first member accepts the consumers of all members.
pub(super) fn open(
    output: &Output,
    member: u32,
    path: &Path,
) -> Result<Option<Box<dyn OpenOutput>>, OutputError> {
    if member > 0 {
        return Ok(None);
    }
    let socket = ListenSocket::open(path, SocketType::SEQPACKET).map_err(|source| {
        OutputError::Listen { output: output.name.clone(), path: path.to_owned(), source }
    })?;
    Ok(Some(Box::new(OpenShared(socket))))
}

impl OpenOutput for OpenShared {
    fn start(
        self: Box<Self>,
        context: ThreadContext,
        _: Option<Consumer>,
    ) -> Result<Option<OutputThread>, OutputError> {
        let members = context.members;
        let Some(service) = context.into_service() else { return Ok(None) };
        let server = Server { service, members };
        OutputThread::server("vxtap-shared", move || server.run(self.0)).map(Some)
    }
}
