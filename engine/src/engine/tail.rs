//! Looking into a running engine: what passes, for somebody who comes with a socket and without an
//! entry in the configuration.
//!
//! The first one that comes makes the engine an output for it, which stays and costs nothing while
//! nobody looks. Its rings are short: its memory is what the configured outputs leave.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::reload::{list, shortened};
use super::{Engine, EngineError, Source};
use crate::config::{DEFAULT_SESSION_NAME, OUTPUTS_MAX, Output};
use crate::outputs::OutputInstance;
use crate::outputs::attach::{AttachedConsumers, Notifier};
use crate::outputs::stream::OpenStream;
use crate::outputs::stream::{Incoming, IncomingQueue};
use crate::ruleset::Ruleset;

/// What the account calls it.
const NAME: &str = "vxtap tail";
/// Most readers at a time.
const READERS_MAX: usize = 8;

/// Why somebody cannot look into an engine.
#[derive(Debug, thiserror::Error)]
pub enum TailError {
    /// There is no such session.
    #[error("no session is called {:?}: there are {}", name, list(&shortened(known)))]
    NoSession {
        /// The name that was asked for.
        name: String,
        /// The names there are.
        known: Vec<String>,
    },
    /// The outputs have all the memory.
    #[error("no memory is left for it: raise memory.per_queue_mib, or shorten memory.output_ring")]
    NoMemory,
    /// A frame cannot have so many consumers.
    #[error("{OUTPUTS_MAX} outputs are as many as there can be")]
    TooManyOutputs,
    /// Others look already.
    #[error("{READERS_MAX} others look already, which is as many as may")]
    TooManyReaders,
    /// A capture file waits for nobody.
    #[error("a capture file is read without being looked at")]
    CaptureFile,
    /// The engine has not been started, or has ended.
    #[error("the engine is not running")]
    NotRunning,
    /// The system has refused something.
    #[error(transparent)]
    Engine(#[from] EngineError),
}

/// A place to look in from.
#[derive(Debug)]
pub struct TailRequest {
    sessions: Option<Vec<String>>,
    waiting: Arc<IncomingQueue>,
    notifier: Arc<Notifier>,
}

impl TailRequest {
    /// Sends the frames to `socket` from now on, as pcapng, until it is closed, or its other end
    /// closes its writing direction: that one then gets the statistics, with what it has lost, and
    /// the end. They are also what it gets when the engine stops.
    pub fn send_to(self, socket: UnixStream) {
        self.waiting.put(Incoming::of_tail(socket, self.sessions));
        self.notifier.ring();
    }
}

/// What the engine keeps for those who look in.
#[derive(Debug)]
pub(super) struct TailOutput {
    /// The output's id.
    id: usize,
    waiting: Arc<IncomingQueue>,
}

impl Engine {
    /// Prepares for somebody to look at what passes: the frames of the sessions with these names,
    /// or of all if there is none. A frame is seen before it is known whether an output has room
    /// for it, and whether or not one takes it. Who looks and is slow loses frames, and nobody else
    /// any.
    ///
    /// # Errors
    ///
    /// [`TailError`].
    pub fn tail(&mut self, sessions: &[String]) -> Result<TailRequest, TailError> {
        if matches!(self.source, Source::File(_)) {
            return Err(TailError::CaptureFile);
        }
        if self.workers.is_empty() || self.has_ended() {
            return Err(TailError::NotRunning);
        }
        self.check_sessions(sessions)?;
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
        Ok(TailRequest {
            sessions: (!sessions.is_empty()).then(|| sessions.to_vec()),
            waiting: tail_output.waiting.clone(),
            notifier: attached.notifier.clone(),
        })
    }

    fn check_sessions(&self, names: &[String]) -> Result<(), TailError> {
        let declared = self.config.sessions.iter().map(|session| session.name.as_str());
        let known: Vec<_> = std::iter::once(DEFAULT_SESSION_NAME).chain(declared).collect();
        match names.iter().find(|name| !known.contains(&name.as_str())) {
            None => Ok(()),
            Some(name) => Err(TailError::NoSession {
                name: name.clone(),
                known: known.into_iter().map(str::to_owned).collect(),
            }),
        }
    }

    /// Makes the output for those who look in.
    fn open_tail_output(&mut self) -> Result<TailOutput, TailError> {
        let outputs = Output::count_rings(&self.config.outputs);
        if self.config.memory.outputs_planned(self.planned_outputs.max(outputs))
            >= OUTPUTS_MAX as usize
        {
            return Err(TailError::TooManyOutputs);
        }
        if self.tail_ring_len == 0 {
            return Err(TailError::NoMemory);
        }
        let (id, waiting) = (self.instances.len(), Arc::<IncomingQueue>::default());
        let opened = Box::new(OpenStream::for_tail(waiting.clone(), READERS_MAX));
        self.instances.push(OutputInstance::for_tail(
            NAME,
            AttachedConsumers::of_stream().map_err(EngineError::from)?,
            opened,
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
