//! An output that is open and waits for its thread.

use std::fmt;
use std::sync::Arc;
use std::thread::{self, JoinHandle};

use super::attach::{AttachedConsumers, Service};
use super::output_control::OutputControl;
use super::wall_clock::Clock;
use super::{OutputError, OutputStats};
use crate::diagnostics::Diagnostics;
use crate::ring::Consumer;
use crate::session::Directory;
use crate::worker::QueueSet;

/// Something that only one output may have at a time.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Exclusive {
    /// A regular file, by device and inode, whatever names lead to it.
    File(u64, u64),
    /// Target of a stream, as the configuration names it.
    Target(String),
}

/// An opened output of one kind.
pub(crate) trait OpenOutput: fmt::Debug + Send {
    /// Returns what no other output may have while this one is alive.
    fn exclusive(&self) -> Option<Exclusive> {
        None
    }

    /// Starts the output's thread, which owns `consumer` from then on. Returns `None` if there is
    /// nothing to run, for example without a consumer.
    ///
    /// # Errors
    ///
    /// [`OutputError::System`] if the system has no thread to give.
    fn start(
        self: Box<Self>,
        context: ThreadContext,
        consumer: Option<Consumer>,
    ) -> Result<Option<OutputThread>, OutputError>;
}

/// Everything of the engine that the thread of an output uses.
#[derive(Debug)]
pub(crate) struct ThreadContext {
    /// Name of the output.
    pub(crate) name: String,
    /// Id of this member; those of the further members follow.
    pub(crate) id: usize,
    /// Number of members of the output.
    pub(crate) members: u32,
    pub(crate) clock: Clock,
    pub(crate) control: Arc<OutputControl>,
    /// State that the engine shares with the thread if consumers attach while it runs.
    pub(crate) attached: Option<AttachedConsumers>,
    /// Length of the rings from each queue to each attached consumer.
    pub(crate) ring_len: u32,
    pub(crate) queues: QueueSet,
    pub(crate) directory: Directory,
    pub(crate) diagnostics: Diagnostics,
}

impl ThreadContext {
    /// Returns what a thread needs to serve consumers that attach; `None` if none do.
    pub(super) fn into_service(self) -> Option<Service> {
        let Self { name, id, attached, ring_len, queues, directory, diagnostics, .. } = self;
        Some(Service { name, id, attached: attached?, ring_len, queues, directory, diagnostics })
    }
}

/// The thread of an output.
#[derive(Debug)]
pub(crate) enum OutputThread {
    /// Reads one consumer and returns what became of the frames.
    Writer(JoinHandle<OutputStats>),
    /// Serves consumers that attach while it runs.
    Server(JoinHandle<()>),
}

impl OutputThread {
    /// Starts a thread that reads a consumer.
    pub(super) fn writer(
        name: &str,
        run: impl FnOnce() -> OutputStats + Send + 'static,
    ) -> Result<Self, OutputError> {
        spawn(name, run).map(Self::Writer)
    }

    /// Starts a thread that serves consumers.
    pub(super) fn server(
        name: &str,
        run: impl FnOnce() + Send + 'static,
    ) -> Result<Self, OutputError> {
        spawn(name, run).map(Self::Server)
    }

    pub(super) fn is_finished(&self) -> bool {
        match self {
            Self::Writer(thread) => thread.is_finished(),
            Self::Server(thread) => thread.is_finished(),
        }
    }
}

fn spawn<T: Send + 'static>(
    name: &str,
    run: impl FnOnce() -> T + Send + 'static,
) -> Result<JoinHandle<T>, OutputError> {
    let no_thread =
        |source| OutputError::System { what: "cannot start an output".to_owned(), source };
    thread::Builder::new().name(name.to_owned()).spawn(run).map_err(no_thread)
}
