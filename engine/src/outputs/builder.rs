//! Opens outputs: their files, sockets and interfaces, before anything runs.

use std::collections::HashMap;

use super::attach::AttachedConsumers;
use super::open_output::Exclusive;
use super::{OutputError, OutputInstance, registry};
use crate::config::{Config, Output};
use crate::diagnostics::Diagnostics;
use crate::session::{Directory, SessionId};

/// Opens outputs beside those that are alive.
pub(crate) struct OutputBuilder<'e> {
    pub(super) directory: &'e Directory,
    pub(super) sessions: Vec<SessionId>,
    /// Files and stream targets in use, with the names of the outputs that have them.
    exclusive: HashMap<Exclusive, String>,
    /// Longest packet, in bytes, that the frames of interfaces hold.
    pub(super) mtu: u32,
    pub(super) diagnostics: Diagnostics,
}

impl<'e> OutputBuilder<'e> {
    /// Returns a builder for outputs beside `others`.
    pub(crate) fn new(
        config: &Config,
        directory: &'e mut Directory,
        others: &[OutputInstance],
        mtu: u32,
        diagnostics: &Diagnostics,
    ) -> Self {
        let alive = others.iter().filter(|instance| instance.is_alive());
        let exclusive =
            alive.filter_map(|it| Some((it.exclusive.clone()?, it.name.clone()))).collect();
        let sessions = directory.assign(&config.sessions);
        Self { directory, sessions, exclusive, mtu, diagnostics: diagnostics.clone() }
    }

    /// Opens all members of outputs.
    pub(crate) fn open<'c>(
        mut self,
        outputs: impl IntoIterator<Item = &'c Output>,
    ) -> Result<Vec<OutputInstance>, OutputError> {
        let mut instances = Vec::new();
        for output in outputs {
            let attached = AttachedConsumers::of(output)?;
            for member in 0..output.members {
                let opened = registry::open(&mut self, output, member)?;
                let exclusive = opened.as_ref().and_then(|opened| opened.exclusive());
                self.exclusive
                    .extend(exclusive.clone().map(|exclusive| (exclusive, output.name.clone())));
                let attached = attached.clone();
                instances.push(OutputInstance::new(output, member, attached, opened, exclusive));
            }
        }
        Ok(instances)
    }

    /// Returns the name of the output that has something which only one may have.
    pub(super) fn owner_of(&self, exclusive: &Exclusive) -> Option<&String> {
        self.exclusive.get(exclusive)
    }
}
