//! Explains the outcome of each frame of a capture: the session, the rule and the outputs, or the
//! reason to drop it.
//!
//! The outcome is that of the data path, by the same code and the same ruleset; the rules are
//! walked beside it, to name those that do not match and the condition that failed. No frame is
//! handed to an output.

mod evaluation;
mod summary;
#[cfg(test)]
mod tests;
mod walk;

use std::net::IpAddr;
use std::sync::Mutex;

use vxtap_ebpf::maps::Outcome;
use vxtap_ebpf::parse::{self, Refusal, Source};

pub use crate::filter::direction::DirectionEvidence;
pub use crate::filter::rules::Miss;
pub use evaluation::{Explanation, SessionVerdict};
pub use summary::{RuleCount, Summary};
pub use walk::{Decision, Tried, Walk};

use crate::config::{Config, ConfigError, Direction, Filter};
use crate::decap;
use crate::drop_reason::DropReason;
use crate::filter::rules::in_order;
use crate::filter::shadow;
use crate::flow::Flow;
use crate::reassembly::{Added, Reassembly};
use crate::ruleset::Ruleset;
use crate::session::{Directory, SessionId, SessionKey, SourceVni};
use crate::steering::{Offline, outcome_name};
use crate::sys::lock;
use walk::Lists;

/// Outcome of a frame of a capture.
#[derive(Clone, Debug)]
pub enum FrameOutcome<'e> {
    /// The XDP program does not hand it to the workers. Holds the name of the counter.
    NotSteered(&'static str),
    /// It cannot be decapsulated.
    NotDecapsulated(DropReason),
    /// It belongs to a session.
    Evaluated(Box<Explanation<'e>>),
}

/// Explains frames by a configuration.
#[derive(Debug)]
pub struct Explainer {
    config: Config,
    /// The same that the workers of an engine with this configuration start with.
    ruleset: Ruleset,
    /// By session, from the first declared one.
    lists: Vec<Option<Lists>>,
    /// State from earlier frames: their fragments.
    steering: Mutex<Offline>,
    reassembly: Mutex<Reassembly>,
}

impl Explainer {
    /// Returns an explainer for this configuration.
    ///
    /// # Errors
    ///
    /// As [`Config::validate`].
    pub fn new(config: Config) -> Result<Self, ConfigError> {
        config.validate()?;
        let ruleset = Ruleset::first(&config, &mut Directory::default());
        let lists = config.sessions.iter().map(|session| {
            let name = session.filter.as_ref()?;
            config.filters.iter().find(|filter| filter.name == *name).map(Lists::new)
        });
        Ok(Self {
            ruleset,
            lists: lists.collect(),
            steering: Mutex::new(Offline::new(&config.capture)),
            reassembly: Mutex::default(),
            config,
        })
    }

    /// As [`Self::explain_at`], for frames that all arrive at the same time.
    pub fn explain<'e>(&'e self, outer: &[u8]) -> FrameOutcome<'e> {
        self.explain_at(outer, 0)
    }

    /// Returns the outcome of an outer Ethernet frame that arrives at a time in nanoseconds, of any
    /// clock. The fragment that completes a datagram is evaluated as the whole datagram, if it
    /// arrives in time.
    pub fn explain_at<'e>(&'e self, outer: &[u8], time_ns: u64) -> FrameOutcome<'e> {
        match lock(&self.steering).steer(outer) {
            Outcome::Redirected => {}
            other => return FrameOutcome::NotSteered(outcome_name(other)),
        }
        if !matches!(parse::udp_datagram(outer), Err(Refusal::Fragment)) {
            return self.open(outer);
        }
        match lock(&self.reassembly).add(outer, time_ns) {
            Added::Whole(frame) => self.open(frame),
            Added::Kept => FrameOutcome::NotDecapsulated(DropReason::FragmentKept),
            Added::Refused => FrameOutcome::NotDecapsulated(DropReason::FragmentRefused),
        }
    }

    /// Decapsulates a frame and evaluates the inner frame.
    fn open<'e>(&'e self, outer: &[u8]) -> FrameOutcome<'e> {
        match decap::tunnel(outer, outer.len(), &self.ruleset.ports) {
            Err(reason) => FrameOutcome::NotDecapsulated(reason),
            Ok(inner) => FrameOutcome::Evaluated(Box::new(self.evaluate(outer, &inner))),
        }
    }

    /// Returns the UDP ports of the frames so far that went to none of `capture.ports`, with their
    /// numbers of frames, the most frequent port first.
    pub fn other_ports(&self) -> Vec<(u16, u64)> {
        lock(&self.steering).other_ports()
    }

    /// Returns the configuration.
    pub const fn config(&self) -> &Config {
        &self.config
    }

    fn evaluate<'e>(&'e self, outer: &[u8], inner: &decap::Inner) -> Explanation<'e> {
        let pair = SourceVni { source: address(inner.source), vni: inner.vni };
        let session = self.ruleset.sessions.find(SessionKey::from(pair));
        evaluation::evaluate(self, session, pair, outer, inner)
    }
}

fn address(source: Source) -> IpAddr {
    match source {
        Source::V4(bytes) => IpAddr::V4(bytes.into()),
        Source::V6(bytes) => IpAddr::V6(bytes.into()),
    }
}

/// Returns the flow of an Ethernet frame, as `address:port > address:port protocol`; `None` if it
/// is not IP.
pub fn flow_of(frame: &[u8]) -> Option<String> {
    Flow::of(frame).map(|flow| flow.to_string())
}

/// A rule that can never match, because earlier ones match every packet that it would.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ShadowedRule {
    /// Direction of its list.
    pub direction: Direction,
    /// Its number.
    pub number: u32,
    /// Numbers of the rules that match in its place, ascending.
    pub by: Vec<u32>,
}

/// Returns the rules of a valid filter that can never match, without those for which that takes too
/// long to decide.
pub fn shadowed_rules(filter: &Filter) -> Vec<ShadowedRule> {
    let of = |direction| {
        let rules = in_order(&filter.rules, direction);
        let found = shadow::shadowed(&rules).into_iter();
        found.map(move |shadow::Shadowed { number, by }| ShadowedRule { direction, number, by })
    };
    of(Direction::Ingress).chain(of(Direction::Egress)).collect()
}

/// Returns the name of a session by its id.
fn session_name(config: &Config, session: SessionId) -> &str {
    let declared = session.index().checked_sub(1).and_then(|index| config.sessions.get(index));
    declared.map_or(crate::config::DEFAULT_SESSION_NAME, |session| &session.name)
}
