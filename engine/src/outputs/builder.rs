//! Opens outputs: their files, sockets and interfaces, before anything runs.

use super::attach::AttachedConsumers;
use super::open_context::OpenContext;
use super::{OutputError, OutputInstance, registry};
use crate::config::{Config, Output};
use crate::diagnostics::Diagnostics;
use crate::session::Directory;

/// Opens outputs beside those that are alive.
pub(crate) struct OutputBuilder<'e>(OpenContext<'e>);

impl<'e> OutputBuilder<'e> {
    /// Returns a builder for outputs beside `others`. `mtu` is the longest packet, in bytes, that
    /// the frames of interfaces hold.
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
        let diagnostics = diagnostics.clone();
        Self(OpenContext { directory, sessions, exclusive, mtu, diagnostics })
    }

    /// Opens all members of outputs, which get rings of this length.
    pub(crate) fn open<'c>(
        mut self,
        outputs: impl IntoIterator<Item = &'c Output>,
        ring_len: u32,
    ) -> Result<Vec<OutputInstance>, OutputError> {
        let mut instances = Vec::new();
        for output in outputs {
            let attached = AttachedConsumers::of(output)?;
            for member in 0..output.members {
                let opened = registry::open(&self.0, output, member)?;
                let exclusive = opened.as_ref().and_then(|opened| opened.exclusive());
                let in_use = exclusive.clone().map(|exclusive| (exclusive, output.name.clone()));
                self.0.exclusive.extend(in_use);
                let attached = attached.clone();
                let mut instance = OutputInstance::new(output, member, attached, opened, exclusive);
                instance.ring_len = ring_len;
                instances.push(instance);
            }
        }
        Ok(instances)
    }
}
