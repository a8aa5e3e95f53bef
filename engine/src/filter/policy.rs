//! Evaluates the policy of a session: filter, packet length and reserved bits.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use super::compiled::{Compiled, Match};
use super::direction::{DirectionEvidence, Identity};
use super::dns::Servers;
use super::rules::in_order;
use crate::config::{self, Action, Config, Direction, Eni, NetworkService, UnknownDirection};
use crate::decap::Link;
use crate::drop_reason::DropReason;
use crate::flow::Flow;
use crate::session::{Directory, Sequence, SessionId, SessionKey, VxlanReservedBits};

/// The rules of a session for its frames.
#[derive(Clone, Debug, Default)]
pub(crate) struct Policy {
    eni: Arc<Identity>,
    filter: Option<Arc<CompiledFilter>>,
    servers: Arc<Servers>,
    unknown_direction: UnknownDirection,
    /// Bytes of each frame that are kept; `None` for all.
    pub(crate) packet_length: Option<u32>,
    /// Fields that the mirror puts into the reserved bits of the VXLAN header.
    pub(crate) reserved_bits: Option<VxlanReservedBits>,
    /// State of the sequence numbers among these fields.
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
    /// Evaluates a packet, or with `None` a frame without IP.
    #[inline]
    pub(crate) fn evaluate(
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

/// Result of a policy for a frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    /// `None` if it cannot be inferred.
    pub(crate) direction: Option<Direction>,
    /// `Ok` if the frame passes, or the reason to drop it.
    pub(crate) outcome: Result<(), DropReason>,
}

impl Policy {
    /// Evaluates an inner frame, as far as it is present. `source` is the address that the mirror
    /// sends from, `marked` the direction in the reserved bits.
    #[inline]
    pub(crate) fn evaluate(
        &self,
        frame: &[u8],
        link: Link,
        source: SessionKey,
        marked: Option<Direction>,
    ) -> Verdict {
        let flow = Flow::in_frame(frame, link);
        let inferred = || self.direction(frame, link, flow.as_ref(), source);
        let direction = marked.or_else(|| inferred().map(|(direction, _)| direction));
        let outcome = match &self.filter {
            Some(filter) => self.filter(filter, flow.as_ref(), direction),
            None => Ok(()),
        };
        Verdict { direction, outcome }
    }

    /// Infers the direction of a frame, and returns it with the evidence.
    #[inline]
    pub(crate) fn direction(
        &self,
        frame: &[u8],
        link: Link,
        flow: Option<&Flow>,
        source: SessionKey,
    ) -> Option<(Direction, DirectionEvidence)> {
        let frame = if link == Link::Ethernet { frame } else { &[] };
        self.eni.infer(frame, flow, source)
    }

    /// Returns whether the packet is traffic with Amazon's DNS server, which the filter accepts or
    /// rejects without its rules.
    #[inline]
    pub(crate) fn is_amazon_dns(&self, flow: &Flow) -> bool {
        self.has_filter() && self.servers.is_traffic(flow)
    }

    /// Returns whether there are rules; without them, the direction of a frame is only reported.
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
        filter.evaluate(flow, direction, self.unknown_direction)
    }
}

/// Returns the outcome of a list of rules by its first match.
#[inline]
pub(crate) const fn outcome(first_match: Option<Match>) -> Result<(), DropReason> {
    match first_match {
        Some(Match { action: Action::Accept, .. }) => Ok(()),
        Some(Match { action: Action::Reject, .. }) => Err(DropReason::RuleRejected),
        None => Err(DropReason::NoRuleMatched),
    }
}

/// Combines the outcomes of two lists: accepted if one accepts, else rejected by a rule if one
/// rejects.
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
    /// Policies by session id; empty if no session has one.
    by_session: Box<[Option<Policy>]>,
}

impl Policies {
    /// Builds the policies of a valid configuration, whose sessions have these ids.
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
            let reserved_bits = vxlan_profile.as_ref().and_then(|name| profiles.get(name).copied());
            let (eni, servers) =
                eni.as_ref().and_then(|id| enis.get(id).cloned()).unwrap_or_default();
            let policy = Policy {
                eni,
                filter: filter.as_ref().and_then(|name| filters.get(name).cloned()),
                servers,
                unknown_direction: config.unknown_direction,
                packet_length: *packet_length,
                reserved_bits,
                sequence: reserved_bits
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

    /// Returns whether no session has a policy.
    #[inline]
    pub(crate) const fn is_empty(&self) -> bool {
        self.by_session.is_empty()
    }

    /// Returns the policy of a session; `None` if its frames pass unchanged.
    #[inline]
    pub(crate) fn get(&self, session: SessionId) -> Option<&Policy> {
        self.by_session.get(session.index())?.as_ref()
    }
}

/// Compiles a valid filter.
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
