//! Changes the configuration of a running engine: sessions, filters and outputs, at a batch
//! boundary of each worker.
//!
//! Everything that can fail happens before the workers are asked. Sockets, memory and the XDP
//! program stay as they are.

use std::collections::HashSet;
use std::fmt;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::{Engine, EngineError, FrameSource};
use crate::config::{Config, ConfigError, Output};
use crate::outputs::OutputBuilder;
use crate::outputs::OutputInstance;
use crate::ring::Writer;
use crate::ruleset::Ruleset;

/// Interval at which the workers are asked whether they have changed over; a sleeping one takes up
/// to 50 ms to notice.
const TURN: Duration = Duration::from_millis(1);

/// Reason why an engine keeps its configuration. Nothing has changed then.
#[derive(Debug, thiserror::Error)]
pub enum ReloadError {
    /// The new configuration is not valid.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The new configuration changes keys that need a restart.
    #[error("{} cannot change while the engine runs: restart it for that", list(keys))]
    Fixed {
        /// The keys whose values differ.
        keys: Vec<&'static str>,
    },
    /// No memory is left for another output.
    #[error(
        "outputs {}: no memory is left for their rings: it is planned for {planned}, and there would be {needed}: restart with memory.max_outputs = {needed}, or reload again when removed outputs have ended",
        list(added)
    )]
    NoRoom {
        /// Names of the outputs that were to be added.
        added: Vec<String>,
        /// Number of outputs that the memory is planned for.
        planned: usize,
        /// Number of outputs that would use it, including removed ones that have not ended yet.
        needed: usize,
    },
    /// An output cannot be opened or started.
    #[error(transparent)]
    Output(#[from] EngineError),
    /// A changed output cannot be opened, for example because its old version still has the same
    /// file.
    #[error(
        "{source}; what a changed output keeps (file, interface, socket) is free when the output has gone: reload without it, then with it"
    )]
    Changed {
        /// The error of the output.
        source: EngineError,
    },
    /// A capture file is read with one configuration.
    #[error("a capture file is read with one configuration")]
    CaptureFile,
    /// The engine has not been started, or has ended.
    #[error("the engine is not running")]
    NotRunning,
}

/// Differences between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Number of configurations that the engine had before: 1 after the first reload.
    pub generation: u32,
    /// Names of sessions that were added or removed, or are filtered or routed differently.
    pub sessions: Difference,
    /// Names of filters.
    pub filters: Difference,
    /// Names of outputs. A changed output was replaced: the old one ended, and a new one with its
    /// name began.
    pub outputs: Difference,
}

/// Names that differ between two configurations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Difference {
    /// Only in the new one.
    pub added: Vec<String>,
    /// Only in the old one.
    pub removed: Vec<String>,
    /// In both, with different contents.
    pub changed: Vec<String>,
}

impl Engine {
    /// Applies the sessions, filters and outputs of another configuration. Each worker does so
    /// between two batches: no frame is lost, and each frame is evaluated by exactly one
    /// configuration. When this returns, all workers have changed over. Outputs that are not in the
    /// new configuration end as soon as their rings have been read.
    ///
    /// # Errors
    ///
    /// [`ReloadError`]; nothing has changed then.
    pub fn reload(&mut self, config: Config) -> Result<Changes, ReloadError> {
        config.validate()?;
        if matches!(self.source, FrameSource::File(_)) {
            return Err(ReloadError::CaptureFile);
        }
        if self.workers.is_empty() || self.has_ended() {
            return Err(ReloadError::NotRunning);
        }
        let keys = self.config.keys_requiring_restart(&config);
        if !keys.is_empty() {
            return Err(ReloadError::Fixed { keys });
        }
        let changes = self.changes(&config);
        let writers = self.add_outputs(&config)?;
        for instance in &mut self.instances {
            instance.is_gone |= !instance.is_in(&config.outputs);
        }
        let subscriptions: Vec<_> =
            self.instances.iter().map(OutputInstance::subscription).collect();
        let ruleset =
            Ruleset::new(changes.generation, &config, &mut self.directory, &subscriptions);
        self.change_over(ruleset, writers);
        self.config = config;
        let gone = self.instances.iter().filter(|instance| instance.is_gone);
        gone.filter_map(|instance| instance.attached.as_ref())
            .for_each(|attached| attached.notifier.close());
        self.allow_consumers();
        Ok(changes)
    }

    /// Makes all workers change over to a ruleset, with the writers of new outputs for each, and
    /// waits until they have.
    pub(super) fn change_over(&mut self, ruleset: Ruleset, writers: Vec<Vec<(usize, Writer)>>) {
        let ruleset = Arc::new(ruleset);
        self.workers.change(&ruleset, writers);
        while !self.workers.have_changed() && !self.has_ended() {
            thread::sleep(TURN);
        }
        self.ruleset = ruleset;
    }

    /// Opens and starts new outputs. Returns for each worker the writers of their rings, with the
    /// outputs' ids.
    fn add_outputs(&mut self, config: &Config) -> Result<Vec<Vec<(usize, Writer)>>, ReloadError> {
        let is_running = |output: &&Output| {
            self.instances.iter().any(|instance| !instance.is_gone && instance.is_of(output))
        };
        let added: Vec<_> = config.outputs.iter().filter(|output| !is_running(output)).collect();
        let mut each: Vec<Vec<_>> = (0..self.queues.len()).map(|_| Vec::new()).collect();
        if added.is_empty() {
            return Ok(each);
        }
        let ring_len = self.ring_len_for(&added)?;
        let mtu = self.mtu();
        let has_changed =
            added.iter().any(|output| self.config.outputs.iter().any(|it| it.name == output.name));
        let builder = OutputBuilder::new(
            config,
            &mut self.directory,
            &self.instances,
            mtu,
            &self.diagnostics,
        );
        let opened = builder.open(added.iter().copied(), ring_len).map_err(|source| {
            let source = EngineError::from(source);
            if has_changed { ReloadError::Changed { source } } else { source.into() }
        })?;
        let first = self.instances.len();
        for mut instance in opened {
            let id = self.instances.len();
            if instance.attached.is_some() {
                self.instances.push(instance);
                continue;
            }
            let (writers, consumer) = match self.queues.rings(ring_len) {
                Ok(rings) => rings,
                Err(error) => {
                    self.remove_from(first);
                    return Err(EngineError::no_rings(error).into());
                }
            };
            instance.set_consumer(consumer);
            self.instances.push(instance);
            each.iter_mut().zip(writers).for_each(|(each, writer)| each.push((id, writer)));
        }
        if let Err(error) = self.start_outputs() {
            self.remove_from(first);
            return Err(error.into());
        }
        self.note_short_rings(&added, ring_len);
        Ok(each)
    }

    /// Returns the length of the rings of new outputs.
    fn ring_len_for(&self, added: &[&Output]) -> Result<u32, ReloadError> {
        let alive =
            self.instances.iter().filter(|instance| instance.is_alive() && !instance.is_for_tail());
        let lens = alive
            .flat_map(|instance| std::iter::repeat_n(instance.ring_len, instance.ring_count()));
        let rings = added.iter().map(|output| output.ring_count()).sum();
        self.ring_budget.ring_len(lens.clone(), rings).ok_or_else(|| ReloadError::NoRoom {
            added: added.iter().map(|output| output.name.clone()).collect(),
            planned: self.config.memory.outputs_planned(self.planned_outputs),
            needed: lens.count() + rings,
        })
    }

    /// Tells the operator about new outputs with shorter rings than those that were planned for.
    fn note_short_rings(&self, added: &[&Output], ring_len: u32) {
        let planned = self.ring_budget.ring_len;
        if ring_len < planned {
            let names: Vec<_> = added.iter().map(|output| format!("`{}`", output.name)).collect();
            let plural = if names.len() == 1 { "" } else { "s" };
            self.diagnostics.push(format!(
                "output{plural} {}: rings of {ring_len} frames, not {planned}, since the memory was planned without it; after a restart they are as long as the others",
                list(&names)
            ));
        }
    }

    fn changes(&self, new: &Config) -> Changes {
        let old = &self.config;
        let mut sessions = difference(&old.sessions, &new.sessions, |session| &session.name);
        let enis: HashSet<_> =
            difference(&old.enis, &new.enis, |eni| &eni.id).changed.into_iter().collect();
        for session in &new.sessions {
            let is_touched = session.eni.as_ref().is_some_and(|eni| enis.contains(eni));
            if is_touched
                && !sessions.added.contains(&session.name)
                && !sessions.changed.contains(&session.name)
            {
                sessions.changed.push(session.name.clone());
            }
        }
        Changes {
            generation: self.ruleset.generation + 1,
            sessions,
            filters: difference(&old.filters, &new.filters, |filter| &filter.name),
            outputs: difference(&old.outputs, &new.outputs, |output| &output.name),
        }
    }
}

fn difference<T: PartialEq>(old: &[T], new: &[T], name: impl Fn(&T) -> &String) -> Difference {
    let old: std::collections::HashMap<_, _> =
        old.iter().map(|thing| (name(thing), thing)).collect();
    let mut difference = Difference::default();
    let mut names = HashSet::new();
    for thing in new {
        names.insert(name(thing));
        match old.get(name(thing)) {
            None => difference.added.push(name(thing).clone()),
            Some(before) if *before != thing => difference.changed.push(name(thing).clone()),
            Some(_) => {}
        }
    }
    difference.removed = old.into_keys().filter(|name| !names.contains(name)).cloned().collect();
    difference.removed.sort();
    difference
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { generation: _, sessions, filters, outputs } = self;
        let mut parts = Vec::new();
        for (things, Difference { added, removed, changed }) in
            [("sessions", sessions), ("filters", filters), ("outputs", outputs)]
        {
            for (names, verb) in [(added, "added"), (removed, "removed"), (changed, "changed")] {
                if !names.is_empty() {
                    parts.push(format!("{things} {verb}: {}", list(&shortened(names))));
                }
            }
        }
        f.write_str(if parts.is_empty() { "nothing is different" } else { "" })?;
        f.write_str(&parts.join("; "))
    }
}

/// Largest number of names in a message.
const NAMES_SHOWN: usize = 5;

pub(super) fn shortened(names: &[String]) -> Vec<String> {
    let mut shown: Vec<_> = names.iter().take(NAMES_SHOWN).cloned().collect();
    if names.len() > NAMES_SHOWN {
        shown.push(format!("and {} more", names.len() - NAMES_SHOWN));
    }
    shown
}

pub(super) fn list(names: &[impl fmt::Display]) -> String {
    names.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Session;

    fn sessions(vnis: &[(&str, u32)]) -> Vec<Session> {
        let session = |&(name, vni): &(&str, u32)| Session {
            name: name.to_owned(),
            vni,
            ..Session::default()
        };
        vnis.iter().map(session).collect()
    }

    #[test]
    fn what_differs_is_named() {
        let (old, new) =
            (sessions(&[("a", 1), ("b", 2), ("c", 3)]), sessions(&[("d", 4), ("b", 2), ("c", 5)]));
        let difference = difference(&old, &new, |session| &session.name);
        let changes = Changes { generation: 1, sessions: difference, ..Changes::default() };
        assert_eq!(
            changes.to_string(),
            "sessions added: d; sessions removed: a; sessions changed: c"
        );
        assert_eq!(Changes::default().to_string(), "nothing is different");
        let many: Vec<_> = (0..7).map(|n| n.to_string()).collect();
        assert_eq!(list(&shortened(&many)), "0, 1, 2, 3, 4, and 2 more");
    }
}
