//! Consumers that come and go while the engine runs, of the outputs that have such.

mod bell;
mod board;
mod door;
mod readers;

use std::sync::Arc;

use super::EngineError;
use super::lanes::Lanes;
use super::workers::Notes;
use crate::config::OutputKind;
use crate::session::Directory;

pub(super) use bell::Bell;
pub(super) use board::GuestBoard;
pub use board::GuestCounters;
pub(super) use door::Door;
pub(super) use readers::{Gone, ReaderBoard};
pub use readers::{StreamCounters, StreamReader};

/// What the members of an output have in common whose consumers come and go.
#[derive(Clone, Debug)]
pub(super) struct Guests {
    pub(super) board: Arc<GuestBoard>,
    pub(super) bell: Arc<Bell>,
    /// Most rings of each queue that a member has at a time.
    pub(super) rings: u32,
    /// The account of the readers of a stream; of other outputs it stays empty.
    pub(super) readers: Arc<ReaderBoard>,
}

/// What a thread needs to serve the consumers of an output.
#[derive(Debug)]
pub(super) struct Service {
    /// Name of the output.
    pub(super) name: String,
    /// Id of its first member; the others follow.
    pub(super) id: usize,
    pub(super) guests: Guests,
    /// Length of the rings from each queue to each consumer.
    pub(super) ring_len: u32,
    pub(super) lanes: Lanes,
    pub(super) directory: Directory,
    pub(super) notes: Notes,
}

impl Guests {
    /// Of an output of this kind; `None` where nobody comes.
    pub(super) fn of(kind: &OutputKind, members: u32) -> Result<Option<Self>, EngineError> {
        match kind {
            OutputKind::Shared { consumers, .. } => Self::new(members, *consumers).map(Some),
            OutputKind::Stream(_) => Self::of_stream().map(Some),
            OutputKind::Pcapng { .. } | OutputKind::Interface { .. } | OutputKind::Consumer => {
                Ok(None)
            }
        }
    }

    /// Of a stream: all readers have the same rings.
    pub(super) fn of_stream() -> Result<Self, EngineError> {
        Self::new(1, 1)
    }

    fn new(members: u32, rings: u32) -> Result<Self, EngineError> {
        let no_bell =
            |source| EngineError::System { what: "cannot start an output".to_owned(), source };
        let bell = Bell::new().map_err(no_bell)?;
        Ok(Self { board: Arc::new(GuestBoard::new(members)), bell, rings, readers: Arc::default() })
    }
}
