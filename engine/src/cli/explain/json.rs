//! Explanations as JSON: one object per frame and line.

use std::io::{self, Write};
use std::net::IpAddr;

use serde::Serialize;
use vxtap::config::Action;
use vxtap::explain::{Explanation, FrameOutcome};
use vxtap::ring::Encapsulation;

use super::engine_outcome::EngineOutcome;
use super::text::evidence_name;

/// A frame that reached the workers. A field that does not apply, or is not known, is null.
#[derive(Serialize)]
struct Line<'e> {
    /// Number in the file, from 1.
    frame: u64,
    session: Option<&'e str>,
    vni: Option<u32>,
    source: Option<IpAddr>,
    /// `vxlan`, `geneve` or `geneve_vxlan`.
    encapsulation: Option<&'static str>,
    /// Of a Gateway Load Balancer's options, in hexadecimal: 16, 16 and 8 digits.
    gwlb_endpoint_id: Option<String>,
    gwlb_attachment_id: Option<String>,
    gwlb_flow_cookie: Option<String>,
    flow: Option<&'e str>,
    /// "ingress", "egress" or "unknown".
    direction: String,
    /// Evidence for it: `mark`, `mac`, `address` or `outer_source`.
    direction_by: Option<&'static str>,
    /// "accept" or "reject".
    verdict: &'static str,
    /// Reason for the rejection.
    reason: Option<&'static str>,
    filter: Option<&'e str>,
    /// Number of the rule that decided.
    rule: Option<u32>,
    rule_direction: Option<String>,
    /// Bytes that are handed on, or for a rejected frame those that were present; then the length
    /// before the frame was cut.
    captured: Option<u32>,
    /// Length in bytes before any truncation.
    original: Option<u32>,
    outputs: &'e [&'e str],
    /// Session in which the mirror should have sent the frame, if it is another one.
    expected_session: Option<&'e str>,
    /// Outcome at the running engine: `delivered`, or the drop reason. Only with --live.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<&'e str>,
}

/// A line about a frame; none about one that does not reach the workers.
pub(super) fn frame(
    number: u64,
    outcome: &FrameOutcome<'_>,
    engine: Option<EngineOutcome<'_>>,
    out: &mut impl Write,
) -> io::Result<()> {
    let engine = engine.map(|engine| match engine {
        EngineOutcome::Delivered => "delivered",
        EngineOutcome::Dropped(reason) => reason,
    });
    let frame = match outcome {
        FrameOutcome::NotSteered(_) => return Ok(()),
        FrameOutcome::NotDecapsulated(reason) => Line {
            frame: number,
            session: None,
            vni: None,
            source: None,
            encapsulation: None,
            gwlb_endpoint_id: None,
            gwlb_attachment_id: None,
            gwlb_flow_cookie: None,
            flow: None,
            direction: "unknown".to_owned(),
            direction_by: None,
            verdict: "reject",
            reason: Some(reason.name()),
            filter: None,
            rule: None,
            rule_direction: None,
            captured: None,
            original: None,
            outputs: &[],
            expected_session: None,
            engine,
        },
        FrameOutcome::Evaluated(explanation) => Line { engine, ..evaluated(number, explanation) },
    };
    serde_json::to_writer(&mut *out, &frame)?;
    out.write_all(b"\n")
}

fn evaluated<'e>(number: u64, explanation: &'e Explanation<'e>) -> Line<'e> {
    let gwlb = explanation.gwlb;
    let rule = explanation
        .rule
        .filter(|rule| (rule.action == Action::Accept) == explanation.outcome.is_ok());
    Line {
        frame: number,
        session: Some(explanation.session),
        vni: Some(explanation.pair.vni.get()),
        source: Some(explanation.pair.source),
        encapsulation: Some(match explanation.encapsulation {
            Encapsulation::Vxlan => "vxlan",
            Encapsulation::Geneve => "geneve",
            Encapsulation::GeneveVxlan => "geneve_vxlan",
        }),
        gwlb_endpoint_id: gwlb.map(|gwlb| format!("{:016x}", gwlb.endpoint_id)),
        gwlb_attachment_id: gwlb.map(|gwlb| format!("{:016x}", gwlb.attachment_id)),
        gwlb_flow_cookie: gwlb.map(|gwlb| format!("{:08x}", gwlb.flow_cookie)),
        flow: explanation.flow.as_deref(),
        direction: explanation
            .direction
            .map_or("unknown".to_owned(), |(direction, _)| direction.to_string()),
        direction_by: explanation.direction.map(|(_, sign)| evidence_name(sign)),
        verdict: if explanation.outcome.is_ok() { "accept" } else { "reject" },
        reason: explanation.outcome.err().map(vxtap::DropReason::name),
        filter: explanation.filter,
        rule: rule.map(|rule| rule.number),
        rule_direction: rule.map(|rule| rule.direction.to_string()),
        captured: Some(explanation.captured),
        original: Some(explanation.original),
        outputs: &explanation.outputs,
        expected_session: explanation.expected_session(),
        engine: None,
    }
}
