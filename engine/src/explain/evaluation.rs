//! Evaluates a frame of a session and collects the reasons.

use super::walk::{Decision, Walk, decision};
use super::{DirectionEvidence, Explainer, session_name};
use crate::config::{Direction, Session};
use crate::decap::{Encapsulation, Gwlb, Inner};
use crate::drop_reason::DropReason;
use crate::filter::{Policy, Verdict};
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
    let frame = &outer[inner.start..inner.start + inner.captured_len];
    let link = inner.encap.link();
    let config = &explainer.config;
    let flow = Flow::in_frame(frame, link);
    let declared = session_id.index().checked_sub(1).map(|place| &config.sessions[place]);
    let policy = explainer.ruleset.policies.get(session_id);
    let source = SessionKey::from(pair);
    let header = Outer::new(&outer[inner.outer_ip..inner.start], inner.encap).vxlan_header();
    let marked = |policy: &Policy| policy.reserved_bits?.direction(header?);
    let (direction, mut outcome) = match policy {
        Some(policy) => {
            let Verdict { outcome, .. } = policy.evaluate(frame, link, source, marked(policy));
            let inferred = || policy.direction(frame, link, flow.as_ref(), source);
            let marked = marked(policy).map(|direction| (direction, DirectionEvidence::Mark));
            (marked.or_else(inferred), outcome)
        }
        None => (None, Ok(())),
    };
    if declared.is_none() {
        outcome = explainer.ruleset.admits_undeclared().and(outcome);
    }
    let is_amazon_dns =
        policy.is_some_and(|policy| flow.is_some_and(|flow| policy.is_amazon_dns(&flow)));
    let lists = session_id.index().checked_sub(1).and_then(|place| explainer.lists[place].as_ref());
    let direction_only = direction.map(|(direction, _)| direction);
    let walks = match lists {
        Some(lists) if !is_amazon_dns => {
            lists.walk(flow.as_ref(), direction_only, config.unknown_direction)
        }
        _ => Vec::new(),
    };
    let ruleset = &explainer.ruleset;
    let outputs = ruleset.outputs_of(config, flow.as_ref(), session_id, direction_only);
    let outputs: Vec<_> = outputs.into_iter().map(|output| output.name.as_str()).collect();
    if outcome.is_ok() && outputs.is_empty() && !config.outputs.is_empty() {
        outcome = Err(DropReason::NoOutput);
    }
    let here = u32::try_from(frame.len()).unwrap_or(u32::MAX);
    let kept = policy.and_then(|policy| policy.packet_length).filter(|_| outcome.is_ok());
    let captured = kept.map_or(here, |length| length.min(here));
    Explanation {
        session: session_name(config, session_id),
        session_id,
        pair,
        encapsulation: inner.encap.encapsulation(),
        has_reserved_bits: inner.encap.has_reserved_bits(),
        gwlb: Outer::new(&outer[inner.outer_ip..inner.start], inner.encap).gwlb(),
        flow: flow.map(|flow| flow.to_string()),
        direction,
        is_amazon_dns,
        rule: decision(&walks),
        walks,
        filter: declared.and_then(|session| session.filter.as_deref()),
        outcome,
        captured,
        original: u32::try_from(inner.original_len).unwrap_or(u32::MAX),
        cut_here: here - captured,
        outputs: if outcome.is_ok() { outputs } else { Vec::new() },
        sessions: declared.map_or_else(Vec::new, |session| {
            siblings(explainer, session, |policy| {
                policy.evaluate(frame, link, source, marked(policy)).outcome
            })
        }),
    }
}

/// Returns the outcomes in the sessions of the same interface, in their order, up to the first that
/// accepts.
fn siblings<'e>(
    explainer: &'e Explainer,
    session: &Session,
    evaluate: impl Fn(&Policy) -> Result<(), DropReason>,
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
        let outcome = explainer.ruleset.policies.get(id).map_or(Ok(()), &evaluate);
        verdicts.push(SessionVerdict { session, number, outcome });
        if outcome.is_ok() {
            break;
        }
    }
    verdicts
}
