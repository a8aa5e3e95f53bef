//! Attaches the readers of `vxtap tail` to a running engine, without an output in the
//! configuration.
//!
//! The first reader makes the engine add an output, which stays and costs nothing while it has no
//! readers. Its rings are short: they use the memory that the configured outputs leave.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::reload::{list, shortened};
use super::{Engine, EngineError, FrameSource};
use crate::config::{DEFAULT_SESSION_NAME, OUTPUTS_MAX, Output};
use crate::outputs::OutputInstance;
use crate::outputs::attach::{AttachedConsumers, Notifier};
use crate::outputs::stream::{Incoming, IncomingQueue, OpenStream, OuterStream, Selection};
use crate::ruleset::Ruleset;

/// Name of the output in reports.
const NAME: &str = "vxtap tail";
/// Largest number of readers at a time.
const READERS_MAX: usize = 8;

/// Reason why a reader cannot attach.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// There is no such session.
    #[error(
        "no session is called {:?}: there are {}; an undeclared pair is vni-VNI@SOURCE",
        name,
        list(&shortened(known))
    )]
    NoSession {
        /// The requested name.
        name: String,
        /// The existing names.
        known: Vec<String>,
    },
    /// The outputs use all the memory.
    #[error(
        "no memory is left for its ring: raise memory.per_queue_mib, or shorten memory.output_ring"
    )]
    NoMemory,
    /// A frame can have no more outputs.
    #[error("there can be no more than {OUTPUTS_MAX} outputs")]
    TooManyOutputs,
    /// The largest number of readers is attached.
    #[error("no more than {READERS_MAX} readers can attach at a time")]
    TooManyReaders,
    /// A capture file is not live.
    #[error("vxtap tail shows live traffic, not a capture file")]
    CaptureFile,
    /// The engine has not been started, or has ended.
    #[error("the engine is not running")]
    NotRunning,
    /// A system call failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// Permission for one reader to attach.
#[derive(Debug)]
pub struct TailRequest(TailSource);

#[derive(Debug)]
enum TailSource {
    /// The output of `vxtap tail`.
    Frames { selection: Option<Selection>, waiting: Arc<IncomingQueue>, notifier: Arc<Notifier> },
    /// Copies of outer frames.
    Outer(OuterStream),
}

impl TailRequest {
    /// Sends frames to `socket` from now on, as pcapng, until the peer closes it or shuts down its
    /// writing direction. In the latter case, and when the engine stops, the peer gets the
    /// statistics, with its losses, and the end of the file.
    pub fn send_to(self, socket: UnixStream) {
        match self.0 {
            TailSource::Frames { selection, waiting, notifier } => {
                waiting.put(Incoming::of_tail(socket, selection));
                notifier.notify();
            }
            TailSource::Outer(stream) => stream.start(socket),
        }
    }
}

/// The output that serves the readers of `vxtap tail`.
#[derive(Debug)]
pub(super) struct TailOutput {
    /// Id of the output.
    id: usize,
    waiting: Arc<IncomingQueue>,
}

impl Engine {
    /// Prepares a reader for the frames of the sessions with these names, or of all sessions if
    /// there are none. `vni-102@10.0.1.3` stands for the frames of this pair, declared or not,
    /// unless a session has that name. The reader gets frames that pass the filters, even if no
    /// output takes them. A slow reader loses only its own frames.
    ///
    /// # Errors
    ///
    /// [`TailError`].
    pub fn tail(&mut self, sessions: &[String]) -> Result<TailRequest, TailError> {
        self.check_is_live()?;
        let selection = self.select(sessions)?;
        let has_ended = |tail_output: &TailOutput| {
            self.instances[tail_output.id]
                .attached
                .as_ref()
                .is_none_or(|attached| attached.notifier.has_ended())
        };
        if self.tail_output.as_ref().is_none_or(has_ended) {
            self.tail_output = Some(self.open_tail_output()?);
        }
        let tail_output = self.tail_output.as_ref().ok_or(TailError::NotRunning)?;
        let attached =
            self.instances[tail_output.id].attached.as_ref().ok_or(TailError::NotRunning)?;
        if attached.stats.read(0).attached + tail_output.waiting.len() as u64 >= READERS_MAX as u64
        {
            return Err(TailError::TooManyReaders);
        }
        Ok(TailRequest(TailSource::Frames {
            selection: (!sessions.is_empty()).then_some(selection),
            waiting: tail_output.waiting.clone(),
            notifier: attached.notifier.clone(),
        }))
    }

    /// Prepares a reader for the outer frames that the workers receive, as they arrive, dropped
    /// ones included: those have the comment `dropped: ` and the name of the [`DropReason`]. Each
    /// captured interface is an interface of the stream. Frames that never become whole are not
    /// shown. The workers copy the frames; a slow reader loses only its own copies, which the
    /// statistics at the end count.
    ///
    /// [`DropReason`]: crate::DropReason
    ///
    /// # Errors
    ///
    /// [`TailError`].
    pub fn tail_outer(&self) -> Result<TailRequest, TailError> {
        self.check_is_live()?;
        if self.outer_threads.count() >= READERS_MAX {
            return Err(TailError::TooManyReaders);
        }
        Ok(TailRequest(TailSource::Outer(OuterStream {
            queues: self.queues.clone(),
            interfaces: self.interfaces().iter().map(|(name, _)| (*name).to_owned()).collect(),
            threads: self.outer_threads.clone(),
            diagnostics: self.diagnostics.clone(),
        })))
    }

    fn check_is_live(&self) -> Result<(), TailError> {
        if matches!(self.source, FrameSource::File(_)) {
            return Err(TailError::CaptureFile);
        }
        if self.workers.is_empty() || self.has_ended() {
            return Err(TailError::NotRunning);
        }
        Ok(())
    }

    /// Returns the sessions and pairs with these names.
    fn select(&self, names: &[String]) -> Result<Selection, TailError> {
        let declared = self.config.sessions.iter().map(|session| session.name.as_str());
        let known: Vec<_> = std::iter::once(DEFAULT_SESSION_NAME).chain(declared).collect();
        let mut selection = Selection::default();
        for name in names {
            if known.contains(&name.as_str()) {
                selection.names.push(name.clone());
            } else if let Ok(pair) = name.parse() {
                selection.pairs.push(pair);
            } else {
                let known = known.into_iter().map(str::to_owned).collect();
                return Err(TailError::NoSession { name: name.clone(), known });
            }
        }
        Ok(selection)
    }

    /// Adds the output of `vxtap tail`.
    fn open_tail_output(&mut self) -> Result<TailOutput, TailError> {
        let outputs = Output::count_rings(&self.config.outputs);
        if self.config.memory.outputs_planned(self.planned_outputs.max(outputs))
            >= OUTPUTS_MAX as usize
        {
            return Err(TailError::TooManyOutputs);
        }
        if self.ring_budget.tail_ring_len == 0 {
            return Err(TailError::NoMemory);
        }
        let (id, waiting) = (self.instances.len(), Arc::<IncomingQueue>::default());
        let opened = Box::new(OpenStream::for_tail(waiting.clone(), READERS_MAX));
        self.instances.push(OutputInstance::for_tail(
            NAME,
            AttachedConsumers::of_stream().map_err(EngineError::from)?,
            opened,
            self.ring_budget.tail_ring_len,
        ));
        if let Err(error) = self.start_outputs() {
            self.remove_from(id);
            return Err(error.into());
        }
        let generation = self.ruleset.generation;
        let subscriptions: Vec<_> =
            self.instances.iter().map(OutputInstance::subscription).collect();
        let ruleset = Ruleset::new(generation, &self.config, &mut self.directory, &subscriptions);
        self.change_over(ruleset, self.queues.from(0).iter().map(|_| Vec::new()).collect());
        self.allow_consumers();
        Ok(TailOutput { id, waiting })
    }
}
