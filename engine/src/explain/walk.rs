//! Walks the rules of a filter one after the other, up to the one that decides.

use crate::config::{Action, Direction, Filter, Rule, UnknownDirection};
use crate::filter::rules::{Miss, in_order, misses};
use crate::flow::Flow;

/// A rule that was tried and did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tried {
    /// Its number.
    pub number: u32,
    /// The first condition that the packet does not meet.
    pub miss: Miss,
}

/// The rule that decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Direction of its list.
    pub direction: Direction,
    /// Its number.
    pub number: u32,
    /// Its action.
    pub action: Action,
}

/// Evaluation of a list of rules for a packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Walk {
    /// Direction of the list.
    pub direction: Direction,
    /// The rules before the one that matches, in their order; all of them if none does.
    pub tried: Vec<Tried>,
    /// The one that matches.
    pub decision: Option<Decision>,
}

/// The lists of rules of a filter, in the order of evaluation.
#[derive(Debug)]
pub(super) struct Lists {
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
}

impl Lists {
    pub(super) fn new(of: &Filter) -> Self {
        let [ingress, egress] =
            [Direction::Ingress, Direction::Egress].map(|direction| in_order(&of.rules, direction));
        Self { ingress, egress }
    }

    /// Evaluates the lists for a frame of this direction; both if it is not known and either may
    /// accept it.
    pub(super) fn walk(
        &self,
        flow: Option<&Flow>,
        direction: Option<Direction>,
        unknown: UnknownDirection,
    ) -> Vec<Walk> {
        let directions = match (&direction, unknown) {
            (Some(direction), _) => std::slice::from_ref(direction),
            (None, UnknownDirection::Either) => &[Direction::Ingress, Direction::Egress],
            (None, UnknownDirection::Accept | UnknownDirection::Reject) => &[],
        };
        directions.iter().map(|&direction| walk(self.list(direction), direction, flow)).collect()
    }

    fn list(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }
}

/// Evaluates one list. No rule matches a frame without IP.
fn walk(rules: &[Rule], direction: Direction, flow: Option<&Flow>) -> Walk {
    let mut walk = Walk { direction, tried: Vec::new(), decision: None };
    let Some(flow) = flow else { return walk };
    for rule in rules {
        let Rule { number, action, .. } = *rule;
        let Some(miss) = misses(rule, flow) else {
            walk.decision = Some(Decision { direction, number, action });
            break;
        };
        walk.tried.push(Tried { number, miss });
    }
    walk
}

/// Returns the rule that decides, of the lists that evaluated a frame: one that accepts, else one
/// that rejects.
pub(super) fn decision(walks: &[Walk]) -> Option<Decision> {
    let mut decisions = walks.iter().filter_map(|walk| walk.decision);
    let first = decisions.next()?;
    let other = decisions.find(|decision| decision.action == Action::Accept);
    if first.action == Action::Accept { Some(first) } else { Some(other.unwrap_or(first)) }
}
