//! The list of sessions with their names, which consumers get as a file.

use std::io;
use std::os::fd::{AsFd, OwnedFd};

use super::connection::{AttachedConsumer, Connection};
use super::protocol::{self, FdMessage};
use crate::session::Directory;
use crate::sys::sealed;

/// The list, as the consumers that attach next get it.
#[derive(Debug, Default)]
pub(super) struct SessionList {
    file: Option<OwnedFd>,
    count: usize,
}

impl SessionList {
    /// Sends them to a consumer that does not know all of them.
    pub(super) fn send(
        &mut self,
        connection: &Connection,
        consumer: &mut AttachedConsumer,
        directory: &Directory,
    ) -> io::Result<()> {
        let count = directory.len();
        if consumer.sessions == count {
            return Ok(());
        }
        if self.count != count {
            let line = |(id, name): (usize, String)| format!("{id}\t{name}\n");
            let text: String = directory.names().into_iter().enumerate().map(line).collect();
            (self.file, self.count) =
                (Some(sealed::text(c"vxtap-sessions", text.as_bytes())?), count);
        }
        if let Some(file) = &self.file {
            protocol::send_files(connection.as_fd(), FdMessage::Sessions, &[file.as_fd()])?;
        }
        consumer.sessions = count;
        Ok(())
    }
}
