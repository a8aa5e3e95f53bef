//! Counts over the frames of a capture.

use std::collections::BTreeMap;

use super::{Explainer, Explanation, FrameOutcome, shadowed_rules};
use crate::config::{Action, Direction, Filter};
use crate::drop_reason::{DropReason, Drops};
use crate::session::SourceVni;

/// A rule and the packets that it decided about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleCount<'e> {
    /// Name of the filter.
    pub filter: &'e str,
    /// List of the rule.
    pub direction: Direction,
    /// The rule's number.
    pub number: u32,
    /// Its action.
    pub action: Action,
    /// Packets that it decided about.
    pub packets: u64,
    /// Numbers of the earlier rules because of which it can never match; empty if it can.
    pub shadowed_by: Vec<u32>,
}

/// Counts over a capture.
#[derive(Debug)]
pub struct Summary<'e> {
    explainer: &'e Explainer,
    /// Frames that the XDP program does not hand to the workers, by the name of its counter.
    pub not_steered: BTreeMap<&'static str, u64>,
    /// Frames that passed.
    pub accepted: u64,
    /// Frames that were dropped, by reason.
    pub drops: Drops,
    /// Frames by session, from the default session.
    pub sessions: Vec<u64>,
    /// Frames of pairs that no session declares.
    pub unknown: BTreeMap<SourceVni, u64>,
    /// Frames of sessions with a filter whose direction cannot be inferred.
    pub direction_unknown: u64,
    /// Frames that another session of the same interface should have sent.
    pub unexpected: u64,
    rules: BTreeMap<(&'e str, Direction, u32), u64>,
}

impl<'e> Summary<'e> {
    /// Returns a summary of no frames.
    pub fn new(explainer: &'e Explainer) -> Self {
        Self {
            explainer,
            not_steered: BTreeMap::new(),
            accepted: 0,
            drops: Drops::default(),
            sessions: vec![0; explainer.config.sessions.len() + 1],
            unknown: BTreeMap::new(),
            direction_unknown: 0,
            unexpected: 0,
            rules: BTreeMap::new(),
        }
    }

    /// Counts a frame.
    pub fn count(&mut self, outcome: &FrameOutcome<'e>) {
        match outcome {
            FrameOutcome::NotSteered(name) => *self.not_steered.entry(name).or_default() += 1,
            FrameOutcome::NotDecapsulated(reason) => self.drops.count(*reason),
            FrameOutcome::Evaluated(explanation) => self.count_evaluated(explanation),
        }
    }

    fn count_evaluated(&mut self, explanation: &Explanation<'e>) {
        match explanation.outcome {
            Ok(()) => self.accepted += 1,
            Err(reason) => self.drops.count(reason),
        }
        self.sessions[explanation.session_id.index()] += 1;
        if explanation.session_id.index() == 0 {
            *self.unknown.entry(explanation.pair).or_default() += 1;
        }
        self.unexpected += u64::from(explanation.expected_session().is_some());
        let Some(filter) = explanation.filter else { return };
        self.direction_unknown += u64::from(explanation.direction.is_none());
        if let Some(rule) = explanation.rule {
            *self.rules.entry((filter, rule.direction, rule.number)).or_default() += 1;
        }
    }

    /// Returns the number of frames that reached the workers.
    pub fn received(&self) -> u64 {
        self.accepted + self.drops.total()
    }

    /// Returns every rule of every filter that a session uses, in the order of the configuration,
    /// ingress first, then by number.
    pub fn rules(&self) -> Vec<RuleCount<'e>> {
        let config = &self.explainer.config;
        let is_used = |filter: &&Filter| {
            config.sessions.iter().any(|session| session.filter.as_ref() == Some(&filter.name))
        };
        config.filters.iter().filter(is_used).flat_map(|filter| self.rules_of(filter)).collect()
    }

    fn rules_of(&self, filter: &'e Filter) -> Vec<RuleCount<'e>> {
        let shadowed = shadowed_rules(filter);
        let mut rules: Vec<_> =
            filter.rules.iter().map(|rule| (rule.direction, rule.number, rule.action)).collect();
        rules.sort_unstable_by_key(|&(direction, number, _)| (direction, number));
        let count = |(direction, number, action)| {
            let shadow =
                shadowed.iter().find(|it| (it.direction, it.number) == (direction, number));
            RuleCount {
                filter: &filter.name,
                direction,
                number,
                action,
                packets: self
                    .rules
                    .get(&(filter.name.as_str(), direction, number))
                    .copied()
                    .unwrap_or(0),
                shadowed_by: shadow.map_or_else(Vec::new, |shadow| shadow.by.clone()),
            }
        };
        rules.into_iter().map(count).collect()
    }

    /// Returns the names of the declared sessions that no frame belongs to.
    pub fn silent_sessions(&self) -> impl Iterator<Item = &'e str> {
        let sessions = self.explainer.config.sessions.iter().zip(&self.sessions[1..]);
        sessions.filter(|(_, frames)| **frames == 0).map(|(session, _)| session.name.as_str())
    }

    /// Returns the reasons that frames were dropped for, each with its count.
    pub fn reasons(&self) -> impl Iterator<Item = (DropReason, u64)> {
        let drops = self.drops;
        DropReason::ALL
            .into_iter()
            .map(move |reason| (reason, drops.get(reason)))
            .filter(|(_, count)| *count > 0)
    }
}
