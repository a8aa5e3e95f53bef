//! The delivery of frames: sessions, filters, outputs.

use std::collections::HashSet;
use std::fmt::Write;
use std::iter;

use vxtap::config::{Config, Direction, Output, Session, UnknownDirection, UnknownSessions};
use vxtap::explain::{ShadowedRule, shadowed_rules};
use vxtap::plural::{counted, listed};

use crate::cli::load::default_file_name;

/// Describes the sessions.
pub(super) fn sessions(config: &Config) -> String {
    let others = match config.unknown {
        UnknownSessions::Pass => "goes to the outputs as the default session",
        UnknownSessions::Drop => "is dropped",
    };
    if config.sessions.is_empty() {
        return format!(
            "No session is declared; all traffic {others}, counted by source and VNI.\n"
        );
    }
    let names = ["name", "VNI", "source", "interface", "filter", "bytes", "outputs"];
    let rows = iter::once(names.map(str::to_owned)).chain(config.sessions.iter().map(session_row));
    format!(
        "Recognises {}; other traffic {others}, counted by source and VNI.\n{}",
        counted(config.sessions.len(), "session"),
        table(rows)
    )
}

fn session_row(session: &Session) -> [String; 7] {
    let Session {
        name,
        vni,
        source,
        eni,
        filter,
        vxlan_profile,
        packet_length,
        number,
        vlan,
        outputs,
    } = session;
    let or = |text: Option<String>, other: &str| text.unwrap_or_else(|| other.to_owned());
    let eni = match (eni, number) {
        (Some(eni), Some(number)) => format!("{eni}, session {number}"),
        (eni, _) => or(eni.clone(), "unknown"),
    };
    let eni = vxlan_profile
        .as_ref()
        .map_or_else(|| eni.clone(), |profile| format!("{eni}, VXLAN profile {profile}"));
    [
        name.clone(),
        vlan.map_or_else(|| vni.to_string(), |vlan| format!("{vni}, VLAN {vlan}")),
        or(source.map(|source| source.to_string()), "any"),
        eni,
        or(filter.clone(), "none"),
        or(packet_length.map(|length| length.to_string()), "all"),
        or(outputs.as_ref().map(|names| names.join(", ")), "all"),
    ]
}

/// Describes the filters, and rules in them that can never match.
pub(super) fn filters(config: &Config) -> String {
    if config.filters.is_empty() {
        return String::new();
    }
    let unknown = match config.unknown_direction {
        UnknownDirection::Either => "passes if the rules of either direction accept it",
        UnknownDirection::Accept => "passes",
        UnknownDirection::Reject => "is dropped",
    };
    // A set: with tens of thousands of each, looking through all sessions takes minutes.
    let of_sessions = config.sessions.iter().filter_map(|session| session.filter.as_ref());
    let of_outputs = config.outputs.iter().filter_map(|output| output.filter.as_ref());
    let used: HashSet<_> = of_sessions.chain(of_outputs).collect();
    let mut text = format!("A frame whose direction is unknown {unknown}.\n");
    for filter in &config.filters {
        let count =
            |direction| filter.rules.iter().filter(|rule| rule.direction == direction).count();
        let (ingress, egress) = (count(Direction::Ingress), count(Direction::Egress));
        let dns = if filter.network_services.is_empty() { "dropped" } else { "passed" };
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "Filter {}: {}, {}; traffic with Amazon's DNS server is {dns}.",
            filter.name,
            counted(ingress, "ingress rule"),
            counted(egress, "egress rule")
        );
        if !used.contains(&filter.name) {
            text.push_str("  No session and no output uses it.\n");
        }
        for ShadowedRule { direction, number, by } in shadowed_rules(filter) {
            let by = listed("rule", &by);
            let _ = writeln!(
                text,
                "  The {direction} rule {number} can never match, because of {by} before it."
            );
        }
    }
    text
}

/// Describes the outputs.
pub(super) fn outputs(config: &Config) -> String {
    if config.outputs.is_empty() {
        let file = match &config.capture.interfaces[..] {
            [] => default_file_name(&["INTERFACE".to_owned()], "TIME"),
            names => default_file_name(names, "TIME"),
        };
        return format!("Writes to {file} in the working directory, as no output is configured.\n");
    }
    let rows = config
        .outputs
        .iter()
        .map(|output| [output.name.clone(), output.kind.description(), accepted(output)]);
    let some = config.sessions.iter().any(|session| session.outputs.is_some());
    let which = if some { "frames that pass, by session," } else { "every frame that passes" };
    format!("Delivers {which} to {}:\n{}", counted(config.outputs.len(), "output"), table(rows))
}

/// Describes the frames that an output gets.
fn accepted(output: &Output) -> String {
    output
        .filter
        .as_ref()
        .map_or_else(String::new, |filter| format!("what the filter {filter} accepts"))
}

/// Lays rows out in columns, indented by two. Asks for the rows twice instead of keeping them, as
/// there may be a million.
fn table<const COLUMNS: usize>(rows: impl Iterator<Item = [String; COLUMNS]> + Clone) -> String {
    let mut widths = [0; COLUMNS];
    for row in rows.clone() {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        for (cell, width) in row.iter().zip(widths) {
            // Writing to a string cannot fail.
            let _ = write!(text, "  {cell:width$}");
        }
        text.truncate(text.trim_end_matches(' ').len());
        text.push('\n');
    }
    text
}
