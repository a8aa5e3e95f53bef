//! The rules of the workers: the part of a configuration that can change while they run, as one
//! snapshot.
//!
//! A worker uses one ruleset for a whole batch, and adopts another one only between two batches, so
//! that no frame is evaluated by half of each.

mod output_selector;

use std::sync::Arc;

use crate::config::{Config, Direction, Output, UnknownSessions};
use crate::decap::Ports;
use crate::drop_reason::DropReason;
use crate::filter::{CompiledFilter, Policies, compile};
use crate::flow::Flow;
use crate::session::{Directory, SessionId, SessionKey, SessionTable};
use output_selector::FrameSelection;
pub(crate) use output_selector::OutputSelector;

/// One snapshot. Shared by all workers, never changed.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    /// Incremented by each reload.
    pub(crate) generation: u32,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) unknown: UnknownSessions,
    pub(crate) policies: Policies,
    /// Tunnels by UDP port; the same in all rulesets of an engine.
    pub(crate) ports: Ports,
    /// Frames that each member of an output gets, by the member's id.
    pub(crate) selectors: Vec<OutputSelector>,
}

/// Subscription of a member of an output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription<'n> {
    /// Nothing: the output was removed.
    Gone,
    /// The frames that are configured for the output of this name.
    Named(&'n str),
    /// All frames that pass.
    Everything,
}

/// The sessions whose frames an output gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// All.
    #[default]
    All,
    /// Sessions whose element is true, by session id; those beyond the end are not among them.
    Some(Arc<[bool]>),
    /// None: the output was removed.
    Closed,
}

impl Route {
    /// Returns whether the output gets the session's frames.
    #[inline]
    pub(crate) fn has(&self, session: usize) -> bool {
        match self {
            Self::All => true,
            Self::Some(wanted) => wanted.get(session).copied().unwrap_or(false),
            Self::Closed => false,
        }
    }
}

impl Ruleset {
    /// Returns the ruleset of a valid configuration. `directory` assigns the session ids;
    /// `subscriptions` has all members of outputs that the engine ever had, by id.
    pub(crate) fn new(
        generation: u32,
        config: &Config,
        directory: &mut Directory,
        subscriptions: &[Subscription<'_>],
    ) -> Self {
        let ids = directory.assign(&config.sessions);
        Self {
            generation,
            sessions: Arc::new(SessionTable::new(&config.sessions, &ids, directory.names())),
            unknown: config.unknown,
            policies: Policies::new(config, &ids, directory),
            ports: Ports::new(&config.capture.ports),
            selectors: selectors(subscriptions, config, &ids, directory.seed()),
        }
    }

    /// Returns the ruleset of an engine that starts, with all outputs of the configuration in its
    /// order.
    pub(crate) fn first(config: &Config, directory: &mut Directory) -> Self {
        fn subscriptions(output: &Output) -> impl Iterator<Item = Subscription<'_>> {
            std::iter::repeat_n(Subscription::Named(&output.name), output.members as usize)
        }
        let subscriptions: Vec<_> = config.outputs.iter().flat_map(subscriptions).collect();
        Self::new(0, config, directory, &subscriptions)
    }

    /// Returns the lower half of the generation, to tell rulesets of one turn apart.
    #[cfg(debug_assertions)]
    pub(crate) const fn generation_mark(&self) -> u16 {
        (self.generation & 0xffff) as u16
    }

    /// Returns the outputs that get a frame of this session. `config` is the one that
    /// [`Self::first`] made the ruleset of.
    pub(crate) fn outputs_of<'c>(
        &self,
        config: &'c Config,
        flow: Option<&Flow>,
        session: SessionId,
        source: SessionKey,
        direction: Option<Direction>,
    ) -> Vec<&'c Output> {
        let mut selectors = &self.selectors[..];
        let takes = |output: &&Output| {
            let (members, others) = selectors.split_at(output.members as usize);
            selectors = others;
            members.iter().any(|selector| selector.takes(flow, session, source, direction))
        };
        config.outputs.iter().filter(takes).collect()
    }

    /// Returns the reason to drop the frames of undeclared sessions, if they are dropped.
    #[inline]
    pub(crate) const fn admits_undeclared(&self) -> Result<(), DropReason> {
        match self.unknown {
            UnknownSessions::Pass => Ok(()),
            UnknownSessions::Drop => Err(DropReason::UnknownSession),
        }
    }
}

/// Returns the frames that each member gets. The members of an output are in their order.
fn selectors(
    subscriptions: &[Subscription<'_>],
    config: &Config,
    ids: &[SessionId],
    seed: u64,
) -> Vec<OutputSelector> {
    let filter =
        |name: &String| config.filters.iter().find(|filter| filter.name == *name).map(compile);
    let filters: Vec<Option<Arc<CompiledFilter>>> =
        config.outputs.iter().map(|output| output.filter.as_ref().and_then(filter)).collect();
    let selector = |(id, subscription): (usize, &Subscription<'_>)| {
        let name = match *subscription {
            Subscription::Gone => return OutputSelector::CLOSED,
            Subscription::Everything => return OutputSelector::default(),
            Subscription::Named(name) => name,
        };
        let output = config.outputs.iter().zip(&filters).find(|(output, _)| output.name == name);
        let Some((Output { members, .. }, filter)) = output else { return OutputSelector::CLOSED };
        let index = subscriptions[..id].iter().filter(|other| *other == subscription).count();
        let per_frame = (*members > 1 || filter.is_some()).then(|| FrameSelection {
            filter: filter.clone().map(|filter| (filter, config.unknown_direction)),
            member: (u32::try_from(index).unwrap_or(u32::MAX), *members),
            seed,
        });
        OutputSelector { route: route(name, config, ids), per_frame }
    };
    subscriptions.iter().enumerate().map(selector).collect()
}

/// Returns the sessions of an output: those that name it or no output at all, and the default
/// session.
fn route(output: &str, config: &Config, ids: &[SessionId]) -> Route {
    let is_named = |outputs: &Vec<String>| outputs.iter().any(|name| name == output);
    if config.sessions.iter().all(|session| session.outputs.as_ref().is_none_or(is_named)) {
        return Route::All;
    }
    let len = ids.iter().map(|id| id.index() + 1).max().unwrap_or(1);
    let mut wanted = vec![false; len];
    wanted[SessionId::DEFAULT.index()] = true;
    for (session, id) in config.sessions.iter().zip(ids) {
        wanted[id.index()] = session.outputs.as_ref().is_none_or(is_named);
    }
    Route::Some(wanted.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Output, OutputKind, Session};

    fn config(sessions: &[(&str, &[&str])]) -> Config {
        let session = |(vni, (name, outputs)): (u32, &(&str, &[&str]))| Session {
            name: (*name).to_owned(),
            vni,
            outputs: (!outputs.is_empty())
                .then(|| outputs.iter().map(|&name| name.to_owned()).collect()),
            ..Session::default()
        };
        let output = |name: &str| Output::new(name, OutputKind::Consumer);
        Config {
            sessions: (1..).zip(sessions).map(session).collect(),
            outputs: ["a", "b"].map(output).into(),
            ..Config::default()
        }
    }

    #[test]
    fn an_output_gets_the_sessions_that_name_it_or_none() {
        let mut directory = Directory::default();
        let first = Ruleset::first(
            &config(&[("x", &["a"]), ("y", &[]), ("z", &["a", "b"])]),
            &mut directory,
        );
        assert_eq!(first.selectors[0].route, Route::All);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|id| first.selectors[1].route.has(id)),
            [true, false, true, true, false]
        );
        // The sessions keep their ids, the new one is behind them, and what is gone gets nothing.
        let second = config(&[("y", &[]), ("x", &["b"])]);
        let mut second = Config { sessions: second.sessions.into_iter().rev().collect(), ..second };
        second.sessions[0].vni = 1;
        second.sessions[1].vni = 2;
        let subscriptions =
            [Subscription::Gone, Subscription::Named("b"), Subscription::Everything];
        let ruleset = Ruleset::new(1, &second, &mut directory, &subscriptions);
        assert!(ruleset.selectors[2].is_everything());
        let routes: Vec<_> = ruleset.selectors.into_iter().map(|selector| selector.route).collect();
        assert_eq!(routes, [Route::Closed, Route::All, Route::All]);
        assert!(!Route::Closed.has(0));
    }
}
