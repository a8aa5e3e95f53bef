//! Why is a frame here, and why is one not? Judges the frames of a capture one by one and says what
//! each decision rests on.
//!
//! The verdict is that of the data path, by the same code; the rules are walked beside it, to name
//! those that do not match and what they miss. Nothing is handed to an output.

mod judged;
mod summary;
#[cfg(test)]
mod tests;
mod walk;

use std::net::IpAddr;
use std::sync::{Arc, Mutex};

use vxtap_ebpf::maps::Outcome;
use vxtap_ebpf::parse::{self, Refusal, Source};

pub use crate::filter::direction::DirectionSign;
pub use crate::filter::rules::Miss;
pub use judged::{Explanation, SessionVerdict};
pub use summary::{RuleCount, Summary};
pub use walk::{Decision, Tried, Walk};

use crate::config::{Config, ConfigError, Direction, Filter, Output};
use crate::decap;
use crate::drop_reason::DropReason;
use crate::filter::rules::in_order;
use crate::filter::{CompiledFilter, Policies, compile, shadow};
use crate::flow::Flow;
use crate::reassembly::{Added, Reassembly};
use crate::session::{Directory, Key, Pair, SessionId, SessionTable};
use crate::steering::{Offline, outcome_name};
use crate::sys::lock;
use walk::Lists;

/// What becomes of a frame of a capture.
#[derive(Clone, Debug)]
pub enum Fate<'e> {
    /// The XDP program does not hand it to the workers; the name of its counter.
    NotSteered(&'static str),
    /// It has no tunnel that can be taken off.
    NotDecapsulated(DropReason),
    /// It belongs to a session.
    Judged(Box<Explanation<'e>>),
}

/// A configuration, ready to explain frames.
#[derive(Debug)]
pub struct Explainer {
    config: Config,
    ports: decap::Ports,
    sessions: SessionTable,
    policies: Policies,
    /// By session, from the first declared one.
    lists: Vec<Option<Lists>>,
    /// By output.
    output_filters: Vec<Option<Arc<CompiledFilter>>>,
    /// What frames before have left behind: fragments.
    steering: Mutex<Offline>,
    reassembly: Mutex<Reassembly>,
}

impl Explainer {
    /// Explains by this configuration.
    ///
    /// # Errors
    ///
    /// As [`Config::validate`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let mut directory = Directory::default();
        let ids = directory.assign(&config.sessions);
        let output_filter = |output: &Output| {
            let name = output.filter.as_ref()?;
            config.filters.iter().find(|filter| filter.name == *name).map(compile)
        };
        let lists = config.sessions.iter().map(|session| {
            let name = session.filter.as_ref()?;
            config.filters.iter().find(|filter| filter.name == *name).map(Lists::new)
        });
        Ok(Self {
            ports: decap::Ports::new(&config.capture.ports),
            sessions: SessionTable::new(&config.sessions, &ids, directory.names()),
            policies: Policies::new(&config, &ids, &directory),
            lists: lists.collect(),
            output_filters: config.outputs.iter().map(output_filter).collect(),
            steering: Mutex::new(Offline::new(&config.capture)),
            reassembly: Mutex::default(),
            config,
        })
    }

    /// As [`Self::explain_at`], for frames that all come at once.
    pub fn explain<'e>(&'e self, outer: &[u8]) -> Fate<'e> {
        self.explain_at(outer, 0)
    }

    /// Says what becomes of an outer Ethernet frame that arrives at a time in nanoseconds, of any
    /// clock. Of a datagram in fragments the last one to come is judged, as the whole, if it comes
    /// in time.
    pub fn explain_at<'e>(&'e self, outer: &[u8], time_ns: u64) -> Fate<'e> {
        match lock(&self.steering).steer(outer) {
            Outcome::Redirected => {}
            other => return Fate::NotSteered(outcome_name(other)),
        }
        if !matches!(parse::udp_datagram(outer), Err(Refusal::Fragment)) {
            return self.open(outer);
        }
        match lock(&self.reassembly).add(outer, time_ns) {
            Added::Whole(frame) => self.open(frame),
            Added::Kept => Fate::NotDecapsulated(DropReason::FragmentKept),
            Added::Refused => Fate::NotDecapsulated(DropReason::FragmentRefused),
        }
    }

    /// Takes the tunnel off and judges what is inside.
    fn open<'e>(&'e self, outer: &[u8]) -> Fate<'e> {
        match decap::tunnel(outer, outer.len(), &self.ports) {
            Err(reason) => Fate::NotDecapsulated(reason),
            Ok(inner) => Fate::Judged(Box::new(self.judge(outer, &inner))),
        }
    }

    /// The configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    fn judge<'e>(&'e self, outer: &[u8], inner: &decap::Inner) -> Explanation<'e> {
        let pair = Pair { source: address(inner.source), vni: inner.vni };
        let session = self.sessions.find(Key::from(pair));
        judged::judge(self, session, pair, outer, inner)
    }
}

fn address(source: Source) -> IpAddr {
    match source {
        Source::V4(bytes) => IpAddr::V4(bytes.into()),
        Source::V6(bytes) => IpAddr::V6(bytes.into()),
    }
}

/// Who talks to whom in an Ethernet frame, as `address:port > address:port protocol`; `None` if it
/// is not IP.
pub fn flow_of(frame: &[u8]) -> Option<String> {
    Flow::of(frame).map(|flow| flow.to_string())
}

/// A rule that can never match, because earlier ones match all that it asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowedRule {
    /// Whose.
    pub direction: Direction,
    /// Its number.
    pub number: u32,
    /// Numbers of the rules that match in its place, ascending.
    pub by: Vec<u32>,
}

/// The rules of a valid filter that can never match. A rule whose case takes too long to decide is
/// not among them.
pub fn shadowed_rules(filter: &Filter) -> Vec<ShadowedRule> {
    let of = |direction| {
        let rules = in_order(&filter.rules, direction);
        let found = shadow::shadowed(&rules).into_iter();
        found.map(move |shadow::Shadowed { number, by }| ShadowedRule { direction, number, by })
    };
    of(Direction::Ingress).chain(of(Direction::Egress)).collect()
}

/// The name of a session by its id.
fn session_name(config: &Config, session: SessionId) -> &str {
    let declared = session.index().checked_sub(1).and_then(|place| config.sessions.get(place));
    declared.map_or(crate::config::DEFAULT_SESSION_NAME, |session| &session.name)
}
