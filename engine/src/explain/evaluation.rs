//! Evaluates a frame of a session and collects the reasons.

use super::walk::{Decision, Walk, decision};
use super::{DirectionEvidence, Explainer, session_name};
use crate::config::{Config, Direction, Output, Session};
use crate::decap::{Encapsulation, Gwlb, Inner, Link, VXLAN_LEN};
use crate::drop_reason::DropReason;
use crate::filter::Policy;
use crate::filter::direction::by_outer_source;
use crate::flow::Flow;
use crate::ring::Outer;
use crate::session::{SessionId, SessionKey, SourceVni};

/// A frame, its outcome and the reasons.
#[derive(Clone, Debug)]
pub struct Explanation<'e> {
    /// Name of the session.
    pub session: &'e str,
    /// Its id: 0 for the default session.
    pub session_id: SessionId,
    /// Outer source address and VNI.
    pub pair: SourceVni,
    /// Tunnel headers around it.
    pub encapsulation: Encapsulation,
    /// Its VXLAN header has reserved bits set.
    pub has_reserved_bits: bool,
    /// Values that a Gateway Load Balancer has added, if it came through one.
    pub gwlb: Option<Gwlb>,
    /// Inner flow, as `address:port > address:port protocol`; `None` if it is not IP.
    pub flow: Option<String>,
    /// Direction at the mirrored interface, and the evidence for it; `None` if it is not known.
    pub direction: Option<(Direction, DirectionEvidence)>,
    /// It is traffic with Amazon's DNS server, and the session has a filter.
    pub is_amazon_dns: bool,
    /// The lists of rules that evaluate it. Empty without a filter, for Amazon's DNS, and for a
    /// frame without a direction if the configuration decides about those.
    pub walks: Vec<Walk>,
    /// The rule that decides; `None` if none does.
    pub rule: Option<Decision>,
    /// Name of the filter, if the session has one.
    pub filter: Option<&'e str>,
    /// `Ok` if it passes, or the reason to drop it.
    pub outcome: Result<(), DropReason>,
    /// Bytes of the frame that are handed on if it passes; else those that are present.
    pub captured: u32,
    /// Bytes that the frame had before it was cut.
    pub original: u32,
    /// Bytes that are present and that the packet length cuts off.
    pub cut_here: u32,
    /// Names of the outputs that get it.
    pub outputs: Vec<&'e str>,
    /// The sessions of the same interface in the order in which the mirror evaluates them, up to
    /// the first that accepts the frame. Empty if there is no other.
    pub sessions: Vec<SessionVerdict<'e>>,
}

/// Outcome of a frame in one session of an interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SessionVerdict<'e> {
    /// Name of the session.
    pub session: &'e str,
    /// Its number.
    pub number: u16,
    /// `Ok` if its filter accepts the frame, or the reason why not.
    pub outcome: Result<(), DropReason>,
}

impl Explanation<'_> {
    /// Returns the session that should have sent the frame, if that is another one than it arrived
    /// in: the mirror sends each packet once, by the first session whose filter accepts it.
    pub fn expected_session(&self) -> Option<&str> {
        let first = self.sessions.last().filter(|verdict| verdict.outcome.is_ok())?;
        (first.session != self.session).then_some(first.session)
    }
}

/// Evaluates the inner frame of an outer one, as far as it is present.
pub(super) fn evaluate<'e>(
    explainer: &'e Explainer,
    session_id: SessionId,
    pair: SourceVni,
    outer: &[u8],
    inner: &Inner,
) -> Explanation<'e> {
    let Explainer { config, ruleset, .. } = explainer;
    let tunnel = Outer::new(&outer[inner.outer_ip..inner.start], inner.encap);
    let bytes = &outer[inner.start..inner.start + inner.captured_len];
    let frame = InnerFrame::new(bytes, inner, pair, &tunnel);
    let flow = frame.flow.as_ref();
    let index = session_id.index().checked_sub(1);
    let declared = index.map(|index| &config.sessions[index]);
    let policy = ruleset.policies.get(session_id);
    let direction = frame.direction(policy);
    let direction_only = direction.map(|(direction, _)| direction);
    let is_amazon_dns = policy.zip(flow).is_some_and(|(policy, flow)| policy.is_amazon_dns(flow));
    let lists = index.and_then(|index| explainer.lists[index].as_ref());
    let walks = lists
        .filter(|_| !is_amazon_dns)
        .map_or_else(Vec::new, |lists| lists.walk(flow, direction_only, config.unknown_direction));
    let outputs = ruleset.outputs_of(config, flow, session_id, frame.source, direction_only);
    let admitted = if declared.is_none() { ruleset.admits_undeclared() } else { Ok(()) };
    let outcome = admitted
        .and_then(|()| policy.map_or(Ok(()), |policy| frame.outcome(policy)))
        .and_then(|()| has_output(config, &outputs));
    let captured = captured_len(bytes, policy.filter(|_| outcome.is_ok()));
    let outputs = outputs.into_iter().filter(|_| outcome.is_ok());
    Explanation {
        session: session_name(config, session_id),
        session_id,
        pair,
        encapsulation: inner.encap.encapsulation(),
        has_reserved_bits: inner.encap.has_reserved_bits(),
        gwlb: tunnel.gwlb(),
        flow: flow.map(Flow::to_string),
        direction,
        is_amazon_dns,
        rule: decision(&walks),
        walks,
        filter: declared.and_then(|session| session.filter.as_deref()),
        outcome,
        captured,
        original: u32::try_from(inner.original_len).unwrap_or(u32::MAX),
        cut_here: captured_len(bytes, None) - captured,
        outputs: outputs.map(|output| output.name.as_str()).collect(),
        sessions: declared.map_or_else(Vec::new, |session| siblings(explainer, session, &frame)),
    }
}

/// A frame, and the facts about it that a policy evaluates.
struct InnerFrame<'f> {
    bytes: &'f [u8],
    link: Link,
    flow: Option<Flow>,
    source: SessionKey,
    vxlan_header: Option<[u8; VXLAN_LEN]>,
}

impl<'f> InnerFrame<'f> {
    fn new(bytes: &'f [u8], inner: &Inner, pair: SourceVni, tunnel: &Outer<'_>) -> Self {
        let link = inner.encap.link();
        Self {
            bytes,
            link,
            flow: Flow::in_frame(bytes, link),
            source: SessionKey::from(pair),
            vxlan_header: tunnel.vxlan_header(),
        }
    }

    /// Returns the direction that the reserved bits of the VXLAN header state.
    fn marked(&self, policy: &Policy) -> Option<Direction> {
        policy.reserved_bits?.direction(self.vxlan_header?)
    }

    /// Returns the direction, marked or inferred, and the evidence for it.
    fn direction(&self, policy: Option<&Policy>) -> Option<(Direction, DirectionEvidence)> {
        let Self { bytes, link, ref flow, source, .. } = *self;
        let Some(policy) = policy else {
            let direction = by_outer_source(source, &flow.as_ref()?.addresses)?;
            return Some((direction, DirectionEvidence::OuterSource));
        };
        let marked = self.marked(policy).map(|direction| (direction, DirectionEvidence::Mark));
        marked.or_else(|| policy.direction(bytes, link, flow.as_ref(), source))
    }

    /// Returns `Ok` if a session's policy accepts the frame.
    fn outcome(&self, policy: &Policy) -> Result<(), DropReason> {
        policy.evaluate(self.bytes, self.link, self.source, self.marked(policy)).outcome
    }
}

/// Returns `Ok` if an output gets the frame, or if none is configured.
const fn has_output(config: &Config, outputs: &[&Output]) -> Result<(), DropReason> {
    if outputs.is_empty() && !config.outputs.is_empty() {
        return Err(DropReason::NoOutput);
    }
    Ok(())
}

/// Returns the number of the bytes that a policy leaves.
fn captured_len(bytes: &[u8], policy: Option<&Policy>) -> u32 {
    let present = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
    let packet_length = policy.and_then(|policy| policy.packet_length);
    packet_length.map_or(present, |length| length.min(present))
}

/// Returns the outcomes in the sessions of the same interface, in their order, up to the first that
/// accepts.
fn siblings<'e>(
    explainer: &'e Explainer,
    session: &Session,
    frame: &InnerFrame<'_>,
) -> Vec<SessionVerdict<'e>> {
    let Some(eni) = &session.eni else { return Vec::new() };
    let all = explainer.config.sessions.iter().zip((1..).map(SessionId));
    let mut siblings: Vec<_> = all
        .filter(|(other, _)| other.eni.as_ref() == Some(eni))
        .filter_map(|(other, id)| Some((other.number?, &*other.name, id)))
        .collect();
    if siblings.len() < 2 {
        return Vec::new();
    }
    siblings.sort_unstable();
    let mut verdicts = Vec::new();
    for (number, session, id) in siblings {
        let policy = explainer.ruleset.policies.get(id);
        let outcome = policy.map_or(Ok(()), |policy| frame.outcome(policy));
        verdicts.push(SessionVerdict { session, number, outcome });
        if outcome.is_ok() {
            break;
        }
    }
    verdicts
}
