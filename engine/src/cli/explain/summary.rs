//! Summary of all frames, as tables.

use std::io::{self, Write};

use vxtap::capture_file::OuterFrameCounts;
use vxtap::explain::{RuleCount, Summary};
use vxtap::plural::counted;

use crate::cli::log;

pub(super) fn table(
    summary: &Summary<'_>,
    counts: &OuterFrameCounts,
    out: &mut impl Write,
) -> io::Result<()> {
    let reasons = summary.reasons().map(|(reason, count)| format!(" + {reason} {count}"));
    let reasons: String = reasons.collect();
    writeln!(out, "\n  received {} = accepted {}{reasons}", summary.received(), summary.accepted)?;
    for (counter, frames) in &summary.not_steered {
        let frames = counted(*frames, "frame");
        writeln!(out, "  not handed to the workers: {frames}: {counter}")?;
    }
    for note in notes(counts) {
        writeln!(out, "  {note}")?;
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
pub(super) fn left_out(summary: &Summary<'_>, counts: &OuterFrameCounts) {
    for (counter, frames) in &summary.not_steered {
        let frames = counted(*frames, "frame");
        log(&format!("not handed to the workers, without a line: {frames}: {counter}"));
    }
    for note in notes(counts) {
        log(&note);
    }
}

/// Describes the frames that were passed over or changed as they were read.
fn notes(counts: &OuterFrameCounts) -> Vec<String> {
    let OuterFrameCounts { passed_over, lengths_filled_in, too_long } = counts;
    let mut notes: Vec<_> = passed_over
        .iter()
        .map(|(link_type, frames)| {
            format!("passed over: {} of {link_type}", counted(*frames, "frame"))
        })
        .collect();
    for (frames, what) in [
        (*lengths_filled_in, "an IP or UDP length of zero (segmentation offload), filled in"),
        (*too_long, "a packet longer than 65535 bytes (segmentation offload), malformed"),
    ] {
        if frames > 0 {
            notes.push(format!("{} with {what}", counted(frames, "frame")));
        }
    }
    notes
}
