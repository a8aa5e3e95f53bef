//! Does a frame pass, all in all?

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::compiled::{Compiled, Match};
use super::direction::{DirectionSign, Identity};
use super::dns::Servers;
use super::rules::in_order;
use crate::config::{self, Action, Config, Direction, Eni, NetworkService, UnknownDirection};
use crate::decap::Link;
use crate::drop_reason::DropReason;
use crate::flow::Flow;
use crate::session::{Directory, Key, Sequence, SessionId, VxlanReservedBits};

/// What a session asks of its frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    eni: Arc<Identity>,
    filter: Option<Arc<CompiledFilter>>,
    servers: Arc<Servers>,
    unknown_direction: UnknownDirection,
    /// Bytes of each frame that are kept; `None`: all.
    pub(crate) packet_length: Option<u32>,
    /// How the mirror marks its frames, if it does.
    pub(crate) marks: Option<VxlanReservedBits>,
    /// How the numbers that it gives them follow each other.
    pub(crate) sequence: Option<Arc<Mutex<Sequence>>>,
}

/// A compiled filter; sessions and outputs share it.
#[derive(Debug)]
pub(crate) struct CompiledFilter {
    ingress: Compiled,
    egress: Compiled,
    has_amazon_dns: bool,
}

impl CompiledFilter {
    /// What the rules say of a packet, or of a frame that is none.
    #[inline]
    pub(crate) fn judge(
        &self,
        flow: Option<&Flow>,
        direction: Option<Direction>,
        unknown: UnknownDirection,
    ) -> Result<(), DropReason> {
        let first_match = |rules: &Compiled| flow.and_then(|flow| rules.first_match(flow));
        match (direction, unknown) {
            (Some(Direction::Ingress), _) => outcome(first_match(&self.ingress)),
            (Some(Direction::Egress), _) => outcome(first_match(&self.egress)),
            (None, UnknownDirection::Either) => {
                either(outcome(first_match(&self.ingress)), outcome(first_match(&self.egress)))
            }
            (None, UnknownDirection::Accept) => Ok(()),
            (None, UnknownDirection::Reject) => Err(DropReason::DirectionUnknown),
        }
    }
}

/// What a policy says of a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `None`: it cannot be inferred.
    pub(crate) direction: Option<Direction>,
    /// Whether it passes, or why not.
    pub(crate) outcome: Result<(), DropReason>,
}

impl Policy {
    /// Judges an inner frame, as far as it is here; `source` is where the mirror sends from, `told`
    /// the direction that its mark tells.
    #[inline]
    pub(crate) fn judge(
        &self,
        frame: &[u8],
        link: Link,
        source: Key,
        told: Option<Direction>,
    ) -> Verdict {
        let flow = Flow::in_frame(frame, link);
        let inferred = || self.direction(frame, link, flow.as_ref(), source);
        let direction = told.or_else(|| inferred().map(|(direction, _)| direction));
        let outcome = match &self.filter {
            Some(filter) => self.filter(filter, flow.as_ref(), direction),
            None => Ok(()),
        };
        Verdict { direction, outcome }
    }

    /// The direction of a frame, and how it is known.
    #[inline]
    pub(crate) fn direction(
        &self,
        frame: &[u8],
        link: Link,
        flow: Option<&Flow>,
        source: Key,
    ) -> Option<(Direction, DirectionSign)> {
        let frame = if link == Link::Ethernet { frame } else { &[] };
        self.eni.infer(frame, flow, source)
    }

    /// Whether the packet is traffic with Amazon's DNS server, about which the filter decides
    /// without its rules.
    #[inline]
    pub(crate) fn is_amazon_dns(&self, flow: &Flow) -> bool {
        self.has_filter() && self.servers.talk(flow)
    }

    /// Whether it has rules; without them, a frame's direction is told and matters no further.
    #[inline]
    pub(crate) const fn has_filter(&self) -> bool {
        self.filter.is_some()
    }

    #[inline]
    fn filter(
        &self,
        filter: &CompiledFilter,
        flow: Option<&Flow>,
        direction: Option<Direction>,
    ) -> Result<(), DropReason> {
        if let Some(flow) = flow
            && self.is_amazon_dns(flow)
        {
            return if filter.has_amazon_dns { Ok(()) } else { Err(DropReason::AmazonDns) };
        }
        filter.judge(flow, direction, self.unknown_direction)
    }
}

/// What a list of rules says of a packet that it meets so.
#[inline]
pub(crate) const fn outcome(first_match: Option<Match>) -> Result<(), DropReason> {
    match first_match {
        Some(Match { action: Action::Accept, .. }) => Ok(()),
        Some(Match { action: Action::Reject, .. }) => Err(DropReason::RuleRejected),
        None => Err(DropReason::NoRuleMatched),
    }
}

/// What two lists say together: accepted if one accepts, else rejected by a rule if there is one.
#[inline]
pub(crate) const fn either(
    one: Result<(), DropReason>,
    other: Result<(), DropReason>,
) -> Result<(), DropReason> {
    match (one, other) {
        (Ok(()), _) | (_, Ok(())) => Ok(()),
        (Err(DropReason::NoRuleMatched), other) => other,
        (one, _) => one,
    }
}

/// The policies of all sessions.
#[derive(Debug, Default)]
pub(crate) struct Policies {
    /// By session id; empty if no session has one.
    by_session: Box<[Option<Policy>]>,
}

impl Policies {
    /// The policies of a valid configuration, whose sessions have these ids.
    pub(crate) fn new(config: &Config, ids: &[SessionId], directory: &Directory) -> Self {
        let filters: HashMap<_, _> =
            config.filters.iter().map(|it| (&it.name, compile(it))).collect();
        let profiles: HashMap<_, _> =
            config.vxlan_profiles.iter().map(|it| (&it.name, VxlanReservedBits::new(it))).collect();
        let enis: HashMap<_, _> = config.enis.iter().map(|eni| (&eni.id, identify(eni))).collect();
        let mut by_session = Vec::new();
        for (session, id) in config.sessions.iter().zip(ids) {
            let config::Session { eni, filter, vxlan_profile, packet_length, .. } = session;
            if eni.is_none()
                && filter.is_none()
                && vxlan_profile.is_none()
                && packet_length.is_none()
            {
                continue;
            }
            let marks = vxlan_profile.as_ref().and_then(|name| profiles.get(name).copied());
            let (eni, servers) =
                eni.as_ref().and_then(|id| enis.get(id).cloned()).unwrap_or_default();
            let policy = Policy {
                eni,
                filter: filter.as_ref().and_then(|name| filters.get(name).cloned()),
                servers,
                unknown_direction: config.unknown_direction,
                packet_length: *packet_length,
                marks,
                sequence: marks
                    .and_then(VxlanReservedBits::number_bits)
                    .map(|bits| directory.sequence(*id, bits)),
            };
            if by_session.len() <= id.index() {
                by_session.resize(id.index() + 1, None);
            }
            by_session[id.index()] = Some(policy);
        }
        Self { by_session: by_session.into() }
    }

    /// Whether no session has one.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }

    /// The policy of a session; `None`: its frames pass as they are.
    #[inline]
    pub(crate) fn get(&self, session: SessionId) -> Option<&Policy> {
        self.by_session.get(session.index())?.as_ref()
    }
}

/// Compiles a filter, which has to be valid.
pub(crate) fn compile(filter: &config::Filter) -> Arc<CompiledFilter> {
    let compiled = |direction| Compiled::new(&in_order(&filter.rules, direction));
    Arc::new(CompiledFilter {
        ingress: compiled(Direction::Ingress),
        egress: compiled(Direction::Egress),
        has_amazon_dns: filter.network_services.contains(&NetworkService::AmazonDns),
    })
}

fn identify(eni: &Eni) -> (Arc<Identity>, Arc<Servers>) {
    (Arc::new(Identity::new(eni)), Arc::new(Servers::new(eni)))
}
