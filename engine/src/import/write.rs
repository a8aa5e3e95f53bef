//! Writer of the configuration.

use std::collections::HashSet;
use std::fmt::{self, Display, Write};

use super::Input;
use super::assemble::{Assembled, UsableSession};
use super::model::{MirrorFilter, MirrorInterface, MirrorRule};
use crate::config::{TCP, UDP, protocol_name};

/// Most characters of a name or description that a comment repeats.
const COMMENT_CHARS_MAX: usize = 200;

/// Writes the configuration with comments. Results are dropped, as writing to a string cannot fail.
pub(super) fn toml(command: &str, inputs: &[Input], assembled: &Assembled) -> String {
    let mut out = String::new();
    let files: Vec<_> = inputs.iter().map(|input| Comment(&input.name).to_string()).collect();
    let _ = writeln!(out, "# Written by `vxtap import {command}` from {}.", files.join(", "));
    out.push_str(
        "# To be added: [capture] with the interface that the mirror sends to, and [[output]] for the frames.\n",
    );
    for (eni, vpc_prefixes) in &assembled.interfaces {
        interface(&mut out, eni, vpc_prefixes);
    }
    let used: HashSet<_> = assembled.sessions.iter().map(|it| &it.session.filter).collect();
    for (each, rules) in &assembled.filters {
        filter(&mut out, each, used.contains(&each.id));
        for each in rules {
            rule(&mut out, each);
        }
    }
    for each in &assembled.sessions {
        session(&mut out, each);
    }
    out
}

fn interface(out: &mut String, interface: &MirrorInterface, vpc_prefixes: &[ipnet::Ipv4Net]) {
    out.push('\n');
    comments(out, interface.label.as_deref(), &interface.assumptions);
    out.push_str("[[eni]]\n");
    key(out, "id", Quoted(&interface.id));
    optional(out, "mac", interface.mac.map(|mac| format!("\"{mac}\"")));
    let addresses = interface.addresses.iter().map(|prefix| {
        // A prefix of one host is written as its address.
        if prefix.prefix_len() == prefix.max_prefix_len() {
            prefix.addr().to_string()
        } else {
            prefix.to_string()
        }
    });
    list(out, "addresses", addresses);
    list(out, "vpc_prefixes", vpc_prefixes.iter().map(ToString::to_string));
}

fn filter(out: &mut String, filter: &MirrorFilter, is_used: bool) {
    out.push('\n');
    comments(out, filter.label.as_deref(), &filter.assumptions);
    if !is_used {
        out.push_str("# No session uses it.\n");
    }
    out.push_str("[[filter]]\n");
    key(out, "name", Quoted(&filter.id));
    if filter.amazon_dns {
        out.push_str("network_services = [\"amazon-dns\"]\n");
    }
}

fn rule(out: &mut String, rule: &MirrorRule) {
    out.push('\n');
    let label = rule
        .label
        .as_ref()
        .map_or_else(|| rule.id.clone(), |label| format!("{}: {label}", rule.id));
    comments(out, Some(&label), &rule.assumptions);
    out.push_str("[[filter.rule]]\n");
    key(out, "direction", format_args!("\"{}\"", rule.direction));
    key(out, "number", rule.number);
    key(out, "action", format_args!("\"{}\"", rule.action));
    optional(out, "protocol", rule.protocol.map(protocol));
    key(out, "source", format_args!("\"{}\"", rule.source));
    key(out, "destination", format_args!("\"{}\"", rule.destination));
    optional(out, "source_ports", rule.source_ports.map(|ports| format!("\"{ports}\"")));
    optional(out, "destination_ports", rule.destination_ports.map(|ports| format!("\"{ports}\"")));
}

/// Writes common protocols by name, for readability.
fn protocol(number: u8) -> String {
    let name = protocol_name(number).filter(|_| matches!(number, 1 | TCP | UDP | 58));
    name.map_or_else(|| number.to_string(), |name| format!("\"{name}\""))
}

fn session(out: &mut String, usable: &UsableSession) {
    let UsableSession { session, vni, source, has_interface } = usable;
    out.push('\n');
    comments(out, session.label.as_deref(), &session.assumptions);
    out.push_str("[[session]]\n");
    key(out, "name", Quoted(&session.id));
    key(out, "vni", vni);
    optional(out, "source", source.map(|source| format!("\"{source}\"")));
    optional(out, "eni", has_interface.then_some(Quoted(&session.interface)));
    key(out, "filter", Quoted(&session.filter));
    optional(out, "packet_length", session.packet_length);
    optional(out, "number", session.number.filter(|_| *has_interface));
}

fn comments(out: &mut String, label: Option<&str>, assumptions: &[String]) {
    for text in label.into_iter().chain(assumptions.iter().map(String::as_str)) {
        let _ = writeln!(out, "# {}", Comment(text));
    }
}

fn key(out: &mut String, key: &str, value: impl Display) {
    let _ = writeln!(out, "{key} = {value}");
}

fn optional(out: &mut String, name: &str, value: Option<impl Display>) {
    if let Some(value) = value {
        key(out, name, value);
    }
}

fn list(out: &mut String, name: &str, values: impl Iterator<Item = String>) {
    let values: Vec<_> = values.map(|value| format!("\"{value}\"")).collect();
    if !values.is_empty() {
        key(out, name, format_args!("[{}]", values.join(", ")));
    }
}

/// Writes a text as a TOML basic string.
struct Quoted<'t>(&'t str);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for c in self.0.chars() {
            match c {
                '"' | '\\' => write!(f, "\\{c}")?,
                c if c.is_control() => write!(f, "\\U{:08X}", u32::from(c))?,
                c => f.write_char(c)?,
            }
        }
        f.write_char('"')
    }
}

/// Writes a text in a comment and keeps it there: the names come from the input.
struct Comment<'t>(&'t str);

impl Display for Comment<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let is_space = |c: char| c.is_control() || c.is_whitespace();
        self.0
            .chars()
            .take(COMMENT_CHARS_MAX)
            .try_for_each(|c| f.write_char(if is_space(c) { ' ' } else { c }))
    }
}
