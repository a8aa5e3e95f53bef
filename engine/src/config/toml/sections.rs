//! Tables of the file: their keys, and the structures that they become.

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::LocatedProblem;
use super::reader::{Node, Section};
use super::{mirror, output};
use crate::config::capture::{BUSY_POLL_BUDGET, BUSY_POLL_USECS, PORT, QUEUE};
use crate::config::memory::{CHUNK_SIZE, MAX_OUTPUTS, PER_QUEUE_MIB, RING_LEN};
use crate::config::workers::CPU;
use crate::config::{BusyPoll, Capture, Config, Cpus, Memory, Queues, TunnelPort, Workers};

const TOP: &[&str] = &[
    "capture",
    "workers",
    "memory",
    "sessions",
    "eni",
    "filter",
    "vxlan_profile",
    "session",
    "output",
];
const CAPTURE: &[&str] = &[
    "interface",
    "mode",
    "ports",
    "allowed_sources",
    "queues",
    "fragments",
    "destinations",
    "promiscuous",
    "arrival_times",
    "busy_poll",
];
const BUSY_POLL: &[&str] = &["usecs", "budget"];
const WORKERS: &[&str] = &["cpus", "wait"];
const MEMORY: &[&str] = &[
    "per_queue_mib",
    "chunk_size",
    "fill_ring",
    "rx_ring",
    "output_ring",
    "max_outputs",
    "hugepages",
];
const SESSIONS: &[&str] = &["unknown", "unknown_direction"];

/// Every key by section, as the documentation names them.
#[cfg(test)]
pub(in crate::config) const KEYS: &[(&str, &[&str])] = &[
    ("capture.", CAPTURE),
    ("capture.busy_poll.", BUSY_POLL),
    ("workers.", WORKERS),
    ("memory.", MEMORY),
    ("sessions.", SESSIONS),
    ("eni.", mirror::ENI),
    ("filter.", mirror::FILTER),
    ("filter.rule.", mirror::RULE),
    ("vxlan_profile.", mirror::VXLAN_PROFILE),
    ("vxlan_profile.direction.", mirror::DIRECTION_BIT),
    ("vxlan_profile.sequence.", mirror::SEQUENCE),
    ("session.", mirror::SESSION),
    ("output.", output::ALL),
];

pub(super) fn config(document: &Spanned<DeTable<'_>>) -> Result<Config, LocatedProblem> {
    let top = Section::top(document, TOP)?;
    let sessions = top.section("sessions", SESSIONS)?;
    let sessions = sessions.as_ref();
    Ok(Config {
        capture: top
            .section("capture", CAPTURE)?
            .as_ref()
            .map_or_else(|| Ok(Capture::default()), capture)?,
        workers: top
            .section("workers", WORKERS)?
            .as_ref()
            .map_or_else(|| Ok(Workers::default()), workers)?,
        memory: top
            .section("memory", MEMORY)?
            .as_ref()
            .map_or_else(|| Ok(Memory::default()), memory)?,
        unknown: sessions
            .map_or(Ok(None), |section| section.keyword("unknown"))?
            .unwrap_or_default(),
        unknown_direction: sessions
            .map_or(Ok(None), |section| section.keyword("unknown_direction"))?
            .unwrap_or_default(),
        enis: top.each("eni", mirror::ENI, mirror::eni)?,
        filters: top.each("filter", mirror::FILTER, mirror::filter)?,
        vxlan_profiles: top.each("vxlan_profile", mirror::VXLAN_PROFILE, mirror::vxlan_profile)?,
        sessions: top.each("session", mirror::SESSION, mirror::session)?,
        outputs: top.each("output", output::ALL, output::output)?,
    })
}

fn capture(section: &Section<'_>) -> Result<Capture, LocatedProblem> {
    let default = Capture::default();
    Ok(Capture {
        interfaces: section
            .get("interface")
            .map_or(Ok(default.interfaces), |node| interfaces(&node))?,
        mode: section.keyword("mode")?.unwrap_or(default.mode),
        ports: section.get("ports").map_or(Ok(default.ports), |node| {
            node.list("a list of ports, such as [4789, 6081]")?.iter().map(port).collect()
        })?,
        allowed_sources: section.prefixes("allowed_sources")?,
        queues: section.get("queues").map_or(Ok(default.queues), |node| queues(&node))?,
        fragments: section.keyword("fragments")?.unwrap_or(default.fragments),
        destinations: section.keyword("destinations")?.unwrap_or(default.destinations),
        promiscuous: section.boolean("promiscuous")?.unwrap_or(default.promiscuous),
        arrival_times: section.boolean("arrival_times")?.unwrap_or(default.arrival_times),
        busy_poll: section.get("busy_poll").map(busy_poll).transpose()?,
    })
}

/// Reads a port as a number, or with its tunnel in quotes.
fn port(node: &Node<'_>) -> Result<TunnelPort, LocatedProblem> {
    if matches!(node.value(), DeValue::String(_)) {
        return node.parsed(&format!(
            "{PORT}, or one with its tunnel in quotes, such as \"geneve:16081\""
        ));
    }
    node.number(PORT).map(TunnelPort::new)
}

/// Reads a name or a list of names. An empty list in a file is a mistake, although a structure may
/// have none.
fn interfaces(node: &Node<'_>) -> Result<Vec<String>, LocatedProblem> {
    let allowed = "the name of an interface in quotes";
    let name = |node: &Node<'_>| {
        let name = node.string(allowed)?;
        Capture::check_interface_name(name).map_err(|problem| node.fault(problem))?;
        Ok(name.to_owned())
    };
    match node.value() {
        DeValue::Array(list) if list.is_empty() => Err(node.refused(allowed)),
        DeValue::Array(_) => node.list(allowed)?.iter().map(name).collect(),
        _ => name(node).map(|name| vec![name]),
    }
}

fn queues(node: &Node<'_>) -> Result<Queues, LocatedProblem> {
    let allowed = "\"all\" or a list of queues";
    match node.value() {
        DeValue::String(word) if word == "all" => Ok(Queues::All),
        _ => node.numbers(QUEUE, allowed).map(Queues::List),
    }
}

fn busy_poll(node: Node<'_>) -> Result<BusyPoll, LocatedProblem> {
    let default = BusyPoll::default();
    let section = node.section(BUSY_POLL, "a table such as { usecs = 20, budget = 64 }")?;
    Ok(BusyPoll {
        usecs: section.number("usecs", BUSY_POLL_USECS)?.unwrap_or(default.usecs),
        budget: section.number("budget", BUSY_POLL_BUDGET)?.unwrap_or(default.budget),
    })
}

fn workers(section: &Section<'_>) -> Result<Workers, LocatedProblem> {
    let default = Workers::default();
    Ok(Workers {
        cpus: section.get("cpus").map_or(Ok(default.cpus), |node| cpus(&node))?,
        wait: section.keyword("wait")?.unwrap_or(default.wait),
    })
}

fn cpus(node: &Node<'_>) -> Result<Cpus, LocatedProblem> {
    let allowed = "\"auto\" or a list of CPUs";
    match node.value() {
        DeValue::String(word) if word == "auto" => Ok(Cpus::Auto),
        _ => node.numbers(CPU, allowed).map(Cpus::List),
    }
}

fn memory(section: &Section<'_>) -> Result<Memory, LocatedProblem> {
    let default = Memory::default();
    Ok(Memory {
        per_queue_mib: section
            .number("per_queue_mib", PER_QUEUE_MIB)?
            .unwrap_or(default.per_queue_mib),
        chunk_size: section.number("chunk_size", CHUNK_SIZE)?,
        fill_ring: section.number("fill_ring", RING_LEN)?.unwrap_or(default.fill_ring),
        rx_ring: section.number("rx_ring", RING_LEN)?.unwrap_or(default.rx_ring),
        output_ring: section.number("output_ring", RING_LEN)?,
        max_outputs: section.number("max_outputs", MAX_OUTPUTS)?,
        hugepages: section.boolean("hugepages")?.unwrap_or(default.hugepages),
    })
}
