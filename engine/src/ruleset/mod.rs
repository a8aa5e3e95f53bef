//! What the workers judge by: the part of a configuration that can change while they run, as one
//! snapshot.
//!
//! A worker uses one ruleset for a whole batch, and takes over another one only between two
//! batches, so that no frame is judged by half of each.

mod output_selector;

use std::sync::Arc;

use crate::config::{Config, Output, UnknownSessions};
use crate::decap::Ports;
use crate::filter::{CompiledFilter, Policies, compile};
use crate::session::{Directory, SessionId, SessionTable};
use output_selector::Narrowing;
pub(crate) use output_selector::OutputSelector;

/// One snapshot. Shared by all workers, never changed.
#[derive(Debug, Default)]
pub(crate) struct Ruleset {
    /// Counts up with each reload.
    pub(crate) generation: u32,
    pub(crate) sessions: Arc<SessionTable>,
    pub(crate) unknown: UnknownSessions,
    pub(crate) policies: Policies,
    /// Which port carries which tunnel; the same in all rulesets of an engine.
    pub(crate) ports: Ports,
    /// By id of the outputs' members: which frames it gets.
    pub(crate) choices: Vec<OutputSelector>,
}

/// What a member of an output is to get.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Subscription<'n> {
    /// Nothing: it is not there any more.
    Gone,
    /// What is configured for the output of this name.
    Named(&'n str),
    /// All that passes.
    Everything,
}

/// The sessions whose frames an output gets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) enum Route {
    /// All.
    #[default]
    All,
    /// Those whose place is true, by session id; the others, and those beyond the end, not.
    Some(Arc<[bool]>),
    /// None: the output is not there any more.
    Closed,
}

impl Route {
    /// Whether the output gets the session's frames.
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
    /// The ruleset of a valid configuration. `directory` gives the sessions their ids; `claims` has
    /// what all members of outputs that the engine ever had are to get, by id.
    pub(crate) fn new(
        generation: u32,
        config: &Config,
        directory: &mut Directory,
        claims: &[Subscription<'_>],
    ) -> Self {
        let ids = directory.assign(&config.sessions);
        Self {
            generation,
            sessions: Arc::new(SessionTable::new(&config.sessions, &ids, directory.names())),
            unknown: config.unknown,
            policies: Policies::new(config, &ids, directory),
            ports: Ports::new(&config.capture.ports),
            choices: choices(claims, config, &ids, directory.seed()),
        }
    }

    /// The ruleset of a configuration whose outputs are all there and in its order, for an engine
    /// that starts.
    pub(crate) fn first(config: &Config, directory: &mut Directory) -> Self {
        fn claims(output: &Output) -> impl Iterator<Item = Subscription<'_>> {
            std::iter::repeat_n(Subscription::Named(&output.name), output.members as usize)
        }
        let claims: Vec<_> = config.outputs.iter().flat_map(claims).collect();
        Self::new(0, config, directory, &claims)
    }
}

/// What each member gets. The members of an output are in their order.
fn choices(
    claims: &[Subscription<'_>],
    config: &Config,
    ids: &[SessionId],
    seed: u64,
) -> Vec<OutputSelector> {
    let filter =
        |name: &String| config.filters.iter().find(|filter| filter.name == *name).map(compile);
    let filters: Vec<Option<Arc<CompiledFilter>>> =
        config.outputs.iter().map(|output| output.filter.as_ref().and_then(filter)).collect();
    let choice = |(id, claim): (usize, &Subscription<'_>)| {
        let name = match *claim {
            Subscription::Gone => return OutputSelector::CLOSED,
            Subscription::Everything => return OutputSelector::default(),
            Subscription::Named(name) => name,
        };
        let output = config.outputs.iter().zip(&filters).find(|(output, _)| output.name == name);
        let Some((Output { members, .. }, filter)) = output else { return OutputSelector::CLOSED };
        let place = claims[..id].iter().filter(|other| *other == claim).count();
        let narrowing = (*members > 1 || filter.is_some()).then(|| Narrowing {
            filter: filter.clone().map(|filter| (filter, config.unknown_direction)),
            member: (u32::try_from(place).unwrap_or(u32::MAX), *members),
            seed,
        });
        OutputSelector { route: route(name, config, ids), narrowing }
    };
    claims.iter().enumerate().map(choice).collect()
}

/// What an output gets: all sessions that do not name others, the default session among them.
fn route(output: &str, config: &Config, ids: &[SessionId]) -> Route {
    let is_meant = |outputs: &Vec<String>| outputs.iter().any(|name| name == output);
    if config.sessions.iter().all(|session| session.outputs.as_ref().is_none_or(is_meant)) {
        return Route::All;
    }
    let len = ids.iter().map(|id| id.index() + 1).max().unwrap_or(1);
    let mut wanted = vec![false; len];
    wanted[SessionId::DEFAULT.index()] = true;
    for (session, id) in config.sessions.iter().zip(ids) {
        wanted[id.index()] = session.outputs.as_ref().is_none_or(is_meant);
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
        assert_eq!(first.choices[0].route, Route::All);
        assert_eq!(
            [0, 1, 2, 3, 4].map(|id| first.choices[1].route.has(id)),
            [true, false, true, true, false]
        );
        // The sessions keep their ids, the new one is behind them, and what is gone gets nothing.
        let second = config(&[("y", &[]), ("x", &["b"])]);
        let mut second = Config { sessions: second.sessions.into_iter().rev().collect(), ..second };
        second.sessions[0].vni = 1;
        second.sessions[1].vni = 2;
        let claims = [Subscription::Gone, Subscription::Named("b"), Subscription::Everything];
        let ruleset = Ruleset::new(1, &second, &mut directory, &claims);
        assert!(ruleset.choices[2].is_everything());
        let routes: Vec<_> = ruleset.choices.into_iter().map(|choice| choice.route).collect();
        assert_eq!(routes, [Route::Closed, Route::All, Route::All]);
        assert!(!Route::Closed.has(0));
    }
}
