//! Summary of all frames, as tables.

use std::io::{self, Write};

use vxtap::explain::{RuleCount, Summary};
use vxtap::plural::counted;

use crate::cli::log;

pub(super) fn table(summary: &Summary<'_>, out: &mut impl Write) -> io::Result<()> {
    let reasons = summary.reasons().map(|(reason, count)| format!(" + {reason} {count}"));
    let reasons: String = reasons.collect();
    writeln!(out, "\n  received {} = accepted {}{reasons}", summary.received(), summary.accepted)?;
    for (counter, frames) in &summary.not_steered {
        let frames = counted(*frames, "frame");
        writeln!(out, "  beside these, {frames} stopped before the workers: {counter}")?;
    }
    if summary.direction_unknown > 0 {
        writeln!(out, "  direction unknown: {}", summary.direction_unknown)?;
    }
    if summary.unexpected > 0 {
        writeln!(out, "  sent in another session than expected: {}", summary.unexpected)?;
    }
    rules(&summary.rules(), out)?;
    let silent: Vec<_> = summary.silent_sessions().collect();
    if !silent.is_empty() {
        writeln!(out, "\n  sessions without traffic: {}", silent.join(", "))?;
    }
    if !summary.unknown.is_empty() {
        writeln!(out, "\n  {:<38}{:>14}", "traffic without a session", "frames")?;
    }
    for (pair, frames) in &summary.unknown {
        writeln!(out, "  {:<38}{frames:>14}", pair.to_string())?;
    }
    Ok(())
}

fn rules(rules: &[RuleCount<'_>], out: &mut impl Write) -> io::Result<()> {
    let mut filter = None;
    for rule in rules {
        if filter.replace(rule.filter) != Some(rule.filter) {
            writeln!(
                out,
                "\n  {:<38}{:>14}",
                format!("rules of filter {}", rule.filter),
                "packets"
            )?;
        }
        let name = format!("{} {} {}", rule.direction, rule.number, rule.action);
        let by: Vec<_> = rule.shadowed_by.iter().map(u32::to_string).collect();
        let remark = match (rule.packets, by.is_empty()) {
            (0, true) => "  never matched".to_owned(),
            (0, false) => format!("  never matched, shadowed by {}", by.join(", ")),
            _ => String::new(),
        };
        writeln!(out, "  {name:<38}{:>14}{remark}", rule.packets)?;
    }
    Ok(())
}

/// Reports on standard error the frames that have no JSON object.
pub(super) fn left_out(summary: &Summary<'_>) {
    for (counter, frames) in &summary.not_steered {
        let frames = counted(*frames, "frame");
        log(&format!("{frames} stopped before the workers, without a line: {counter}"));
    }
}
