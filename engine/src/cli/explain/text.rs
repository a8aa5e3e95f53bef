//! Explanations of frames as text.

use std::io::{self, Write};

use vxtap::DropReason;
use vxtap::config::{Action, Direction};
use vxtap::explain::{DirectionEvidence, Explanation, FrameOutcome, Miss, Walk};
use vxtap::ring::Encapsulation;

/// Some lines about a frame.
pub(super) fn frame(
    number: u64,
    outcome: &FrameOutcome<'_>,
    out: &mut impl Write,
) -> io::Result<()> {
    match outcome {
        FrameOutcome::NotSteered(counter) => {
            writeln!(out, "frame {number}: does not reach the workers: {counter}")
        }
        FrameOutcome::NotDecapsulated(reason) => writeln!(out, "frame {number}: dropped: {reason}"),
        FrameOutcome::Evaluated(explanation) => evaluated(number, explanation, out),
    }
}

fn evaluated(number: u64, explanation: &Explanation<'_>, out: &mut impl Write) -> io::Result<()> {
    let Explanation { session, pair, flow, walks, sessions, .. } = explanation;
    writeln!(
        out,
        "frame {number}: session {session}, {pair}, {}",
        direction(explanation.direction)
    )?;
    let lengths = lengths(explanation);
    writeln!(out, "  {}, {lengths}", flow.as_deref().unwrap_or("not IP"))?;
    if let Some(tunnel) = tunnel(explanation) {
        writeln!(out, "  {tunnel}")?;
    }
    if explanation.is_amazon_dns {
        writeln!(out, "  traffic with Amazon's DNS server: the filter's network_services decide")?;
    }
    for walk in walks {
        writeln!(out, "  {}", rules(walk))?;
    }
    if !sessions.is_empty() {
        let asked: Vec<_> = sessions
            .iter()
            .map(|it| format!("{} ({}) {}", it.session, it.number, verdict(it.outcome)))
            .collect();
        writeln!(out, "  sessions of this interface: {}", asked.join(", "))?;
    }
    if let Some(expected) = explanation.expected_session() {
        writeln!(out, "  NOT EXPECTED HERE: the mirror should have sent it in session {expected}")?;
    }
    writeln!(out, "  {}", outcome(explanation))
}

/// Describes the tunnel if it is not plain VXLAN.
fn tunnel(explanation: &Explanation<'_>) -> Option<String> {
    let mut parts = Vec::new();
    if explanation.encapsulation != Encapsulation::Vxlan {
        parts.push(format!("in {}", explanation.encapsulation));
    }
    parts.extend(explanation.gwlb.map(|gwlb| gwlb.to_string()));
    if explanation.has_reserved_bits {
        parts.push("reserved bits of the VXLAN header are set".to_owned());
    }
    (!parts.is_empty()).then(|| parts.join(", "))
}

pub(super) fn direction(direction: Option<(Direction, DirectionEvidence)>) -> String {
    match direction {
        Some((direction, sign)) => {
            format!("{direction} by {}", evidence_name(sign).replace('_', " "))
        }
        None => "direction unknown".to_owned(),
    }
}

pub(super) const fn evidence_name(sign: DirectionEvidence) -> &'static str {
    match sign {
        DirectionEvidence::Mark => "mark",
        DirectionEvidence::Mac => "mac",
        DirectionEvidence::Address => "address",
        DirectionEvidence::OuterSource => "outer_source",
    }
}

fn lengths(explanation: &Explanation<'_>) -> String {
    let Explanation { captured, original, cut_here, .. } = *explanation;
    match (captured < original, cut_here > 0) {
        (false, _) => format!("{captured} bytes"),
        (true, false) => format!("{captured} of {original} bytes, cut before it came"),
        (true, true) => format!("{captured} of {original} bytes, cut to the packet length"),
    }
}

fn rules(walk: &Walk) -> String {
    let mut parts: Vec<_> = walk
        .tried
        .iter()
        .map(|tried| format!("{} no: {}", tried.number, miss(tried.miss)))
        .collect();
    parts.push(match walk.decision {
        Some(decision) => format!("{} {}s", decision.number, decision.action),
        None => "no rule matches".to_owned(),
    });
    format!("{} rules: {}", walk.direction, parts.join("; "))
}

const fn miss(miss: Miss) -> &'static str {
    match miss {
        Miss::Family => "address family",
        Miss::Protocol => "protocol",
        Miss::Source => "source",
        Miss::Destination => "destination",
        Miss::SourcePorts => "source port",
        Miss::DestinationPorts => "destination port",
        Miss::NoPorts => "shows no ports",
    }
}

fn verdict(outcome: Result<(), DropReason>) -> String {
    match outcome {
        Ok(()) => "accepts".to_owned(),
        Err(reason) => format!("does not: {reason}"),
    }
}

/// Describes the outcome in a few words.
pub(super) fn outcome(explanation: &Explanation<'_>) -> String {
    let rule = match explanation.rule {
        Some(rule) if matches!((rule.action, explanation.outcome), (Action::Accept, Ok(()))) => {
            format!(" by {} rule {}", rule.direction, rule.number)
        }
        Some(rule) if explanation.outcome == Err(DropReason::RuleRejected) => {
            format!(" by {} rule {}", rule.direction, rule.number)
        }
        _ => String::new(),
    };
    match explanation.outcome {
        Ok(()) if explanation.outputs.is_empty() => {
            format!("accepted{rule}, no output is configured")
        }
        Ok(()) => format!("accepted{rule}, to {}", explanation.outputs.join(", ")),
        Err(reason) => format!("dropped{rule}: {reason}"),
    }
}
