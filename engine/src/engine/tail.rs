//! Looking into a running engine: what passes, for somebody who comes with a socket and without an
//! entry in the configuration.
//!
//! The first one that comes makes the engine an output for it, which stays and costs nothing while
//! nobody looks. Its rings are short: its memory is what the configured outputs leave.

use std::os::unix::net::UnixStream;
use std::sync::Arc;

use super::guests::{Bell, Guests};
use super::outlet::{Opened, Outlet};
use super::reload::{list, shortened};
use super::stream::{Doors, Settings, Visitor, Waiting};
use super::{Engine, EngineError, Source};
use crate::config::{DEFAULT_SESSION_NAME, OUTPUTS_MAX, Output};
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
pub struct Tail {
    sessions: Option<Vec<String>>,
    waiting: Arc<Waiting>,
    bell: Arc<Bell>,
}

impl Tail {
    /// Sends the frames to `socket` from now on, as pcapng, until it is closed, or its other end
    /// closes its writing direction: that one then gets the statistics, with what it has lost, and
    /// the end. They are also what it gets when the engine stops.
    pub fn send_to(self, socket: UnixStream) {
        self.waiting.put(Visitor::of_tail(socket, self.sessions));
        self.bell.ring();
    }
}

/// What the engine keeps for those who look in.
#[derive(Debug)]
pub(super) struct Window {
    /// The output's id.
    id: usize,
    waiting: Arc<Waiting>,
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
    pub fn tail(&mut self, sessions: &[String]) -> Result<Tail, TailError> {
        if matches!(self.source, Source::File(_)) {
            return Err(TailError::CaptureFile);
        }
        if self.workers.is_empty() || self.has_ended() {
            return Err(TailError::NotRunning);
        }
        self.check_sessions(sessions)?;
        let has_ended = |window: &Window| {
            self.outlets[window.id].guests.as_ref().is_none_or(|guests| guests.bell.has_ended())
        };
        if self.window.as_ref().is_none_or(has_ended) {
            self.window = Some(self.open_window()?);
        }
        let window = self.window.as_ref().ok_or(TailError::NotRunning)?;
        let guests = self.outlets[window.id].guests.as_ref().ok_or(TailError::NotRunning)?;
        if guests.board.read(0).attached + window.waiting.len() as u64 >= READERS_MAX as u64 {
            return Err(TailError::TooManyReaders);
        }
        Ok(Tail {
            sessions: (!sessions.is_empty()).then(|| sessions.to_vec()),
            waiting: window.waiting.clone(),
            bell: guests.bell.clone(),
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
    fn open_window(&mut self) -> Result<Window, TailError> {
        let outputs = Output::count_rings(&self.config.outputs);
        if self.config.memory.outputs_planned(self.planned_outputs.max(outputs))
            >= OUTPUTS_MAX as usize
        {
            return Err(TailError::TooManyOutputs);
        }
        if self.tail_ring_len == 0 {
            return Err(TailError::NoMemory);
        }
        let (id, waiting) = (self.outlets.len(), Arc::<Waiting>::default());
        let opened =
            Opened::Stream(Doors::Waiting(waiting.clone()), Settings::of_tail(READERS_MAX));
        self.outlets.push(Outlet::for_tail(NAME, Guests::of_stream()?, opened));
        if let Err(error) = self.start_sinks() {
            self.take_back(id);
            return Err(error.into());
        }
        let generation = self.ruleset.generation;
        let claims: Vec<_> = self.outlets.iter().map(Outlet::claim).collect();
        let ruleset = Ruleset::new(generation, &self.config, &mut self.directory, &claims);
        self.change_over(ruleset, self.lanes.from(0).iter().map(|_| Vec::new()).collect());
        self.open_doors();
        Ok(Window { id, waiting })
    }
}
