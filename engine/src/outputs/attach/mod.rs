//! Consumers that attach and leave while the engine runs.

mod consumer_stats;
mod listen_socket;
mod notifier;
mod reader_stats;

use std::sync::Arc;

use super::OutputError;
use crate::config::Output;
use crate::diagnostics::Diagnostics;
use crate::session::Directory;
use crate::worker::QueueSet;

pub use consumer_stats::ConsumerCounters;
pub(crate) use consumer_stats::ConsumerStats;
pub(crate) use listen_socket::ListenSocket;
pub(crate) use notifier::Notifier;
pub(crate) use reader_stats::{PastReaders, ReaderStats};
pub use reader_stats::{StreamCounters, StreamReader};

/// State that the engine and the server thread of an output share, for all members of the output.
#[derive(Clone, Debug)]
pub(crate) struct AttachedConsumers {
    pub(crate) stats: Arc<ConsumerStats>,
    pub(crate) notifier: Arc<Notifier>,
    /// Largest number of rings of each queue that a member has at a time.
    pub(crate) rings: u32,
    /// Counters of the readers of a stream; `None` for other outputs.
    pub(crate) readers: Option<Arc<ReaderStats>>,
}

/// Everything that a thread needs to serve the consumers of an output.
#[derive(Debug)]
pub(crate) struct Service {
    /// Name of the output.
    pub(crate) name: String,
    /// Id of its first member; those of the other members follow.
    pub(crate) id: usize,
    pub(crate) attached: AttachedConsumers,
    /// Length of the rings from each queue to each consumer.
    pub(crate) ring_len: u32,
    pub(crate) queues: QueueSet,
    pub(crate) directory: Directory,
    pub(crate) diagnostics: Diagnostics,
}

impl AttachedConsumers {
    /// Returns the state for an output; `None` if its consumers do not attach while it runs.
    pub(super) fn of(output: &Output) -> Result<Option<Self>, OutputError> {
        if output.kind.is_stream() {
            return Self::of_stream().map(Some);
        }
        output.kind.attached_consumers_max().map(|max| Self::new(output.members, max)).transpose()
    }

    /// Returns the state for a stream: all readers have the same rings.
    pub(crate) fn of_stream() -> Result<Self, OutputError> {
        Ok(Self { readers: Some(Arc::default()), ..Self::new(1, 1)? })
    }

    fn new(members: u32, rings: u32) -> Result<Self, OutputError> {
        let no_notifier =
            |source| OutputError::System { what: "cannot start an output".to_owned(), source };
        let notifier = Notifier::new().map_err(no_notifier)?;
        Ok(Self { stats: Arc::new(ConsumerStats::new(members)), notifier, rings, readers: None })
    }
}
