//! `vxtap check`: describes the behaviour of the engine in sentences.

use std::collections::HashSet;
use std::fmt::{self, Display, Write};
use std::iter;

use vxtap::Engine;
use vxtap::config::{
    BusyPoll, Capture, CaptureMode, Config, ConfigError, Cpus, Destinations, Direction,
    FragmentMode, Memory, Output, Queues, Session, Tunnel, TunnelPort, UnknownDirection,
    UnknownSessions, WaitMode, Workers,
};
use vxtap::engine::StartNeeds;
use vxtap::explain::{ShadowedRule, shadowed_rules};
use vxtap::interface::Interface;
use vxtap::plural::{counted, listed};

use super::load::default_file_name;

/// Number of RX queues of the example, if the configuration does not list the queues.
const EXAMPLE_QUEUES: u64 = 4;

/// Describes a configuration.
///
/// # Errors
///
/// As for [`Memory::plan`]; none for a validated configuration.
pub(super) fn describe(config: &Config) -> Result<String, ConfigError> {
    // Without an output, `vxtap run` has one.
    let rings = Output::count_rings(&config.outputs).max(1);
    let needs = Engine::start_needs(config).ok();
    let needs = needs.filter(|_| !config.capture.interfaces.is_empty());
    let memory = memory(&config.memory, rings, &config.capture, needs)?;
    let paragraphs = [
        capture(&config.capture),
        workers(&config.workers, &config.capture),
        memory,
        sessions(config),
        filters(config),
        outputs(config),
    ];
    let paragraphs: Vec<_> = paragraphs.into_iter().filter(|it| !it.is_empty()).collect();
    Ok(paragraphs.join("\n"))
}

fn capture(capture: &Capture) -> String {
    let Capture {
        interfaces,
        mode,
        ports,
        allowed_sources,
        queues,
        fragments,
        destinations: _,
        promiscuous,
        arrival_times,
        busy_poll,
    } = capture;
    let interface = match &interfaces[..] {
        [] => "the interface given with -i (none is configured)".to_owned(),
        names => listed("interface", names),
    };
    let whose = if interfaces.len() > 1 { "of each" } else { "of it" };
    let queues = match queues {
        Queues::All => format!("all RX queues {whose}"),
        Queues::List(queues) => format!("RX {} {whose}", listed("queue", queues)),
    };
    let ports = tunnels(ports);
    let sources = sources(allowed_sources);
    let destinations = destinations(capture);
    let promiscuous =
        if *promiscuous { " The NIC receives frames to any MAC address." } else { "" };
    let fragments = match fragments {
        FragmentMode::Reassemble => "Reassembles outer fragments.",
        FragmentMode::Pass => "Leaves outer fragments to the kernel stack.",
    };
    let times = match (mode, arrival_times) {
        (CaptureMode::Socket, _) => "the kernel received it",
        (_, true) => "the XDP program saw it",
        (_, false) => "its batch was read",
    };
    let busy_poll = busy_poll.map_or_else(String::new, |BusyPoll { usecs, budget }| {
        format!(
            "Workers poll the NIC for up to {usecs} \u{b5}s per call, {} at once.\n",
            counted(budget, "packet")
        )
    });
    format!(
        "Captures from {interface}, {queues}: {}.\n\
         Takes {ports}, {sources}. All other traffic goes to the kernel stack.\n\
         {destinations}{promiscuous}\n\
         {fragments} Each frame carries the time at which {times}.\n{busy_poll}",
        capture_mode(*mode)
    )
}

const fn capture_mode(mode: CaptureMode) -> &'static str {
    match mode {
        CaptureMode::Auto => {
            "zero-copy mode if the driver can (and is not ENA), else native, else generic mode, else UDP sockets"
        }
        CaptureMode::ZeroCopy => "zero-copy mode, or not at all",
        CaptureMode::Native => "native mode, or not at all",
        CaptureMode::Generic => "generic mode",
        CaptureMode::Socket => "UDP sockets, which get only what is addressed to this host",
    }
}

fn sources(allowed: &[impl Display]) -> String {
    match allowed {
        [] => "from any source: any host that reaches the interface can forge frames".to_owned(),
        prefixes => {
            format!("only from {}; from other sources it is dropped and counted", joined(prefixes))
        }
    }
}

/// Describes the outer destinations, with the addresses that are in force now.
fn destinations(capture: &Capture) -> String {
    match (capture.mode, capture.destinations) {
        (CaptureMode::Socket, _) => "Takes what the kernel delivers to this host.".to_owned(),
        (_, Destinations::Any) => {
            "Takes datagrams to any destination, also those on their way through this host."
                .to_owned()
        }
        (_, Destinations::Own) if capture.interfaces.is_empty() => {
            "Takes what is addressed to the interface.".to_owned()
        }
        (_, Destinations::Own) => {
            let each = capture.interfaces.iter().map(|name| own_destinations(name));
            each.collect::<Vec<_>>().join("\n")
        }
    }
}

fn own_destinations(name: &str) -> String {
    let addresses = Interface::find(name).and_then(|interface| interface.own_addresses());
    match addresses.as_deref() {
        Ok([]) => format!("Takes datagrams to any destination from {name}, which has no address."),
        Ok(addresses) => format!("Takes what is addressed to {name}: {}.", joined(addresses)),
        Err(_) => format!("Takes what is addressed to {name}, which is not here now."),
    }
}

fn workers(workers: &Workers, capture: &Capture) -> String {
    let Workers { cpus, wait } = workers;
    let cpus = match (cpus, &capture.queues) {
        (Cpus::Auto, _) => "on CPUs that the engine chooses".to_owned(),
        (Cpus::List(cpus), Queues::All) => format!("in turn on {}", listed("CPU", cpus)),
        (Cpus::List(cpus), Queues::List(queues)) => {
            let count = queues.len() * capture.interfaces.len().max(1);
            format!("on {}", listed("CPU", &cpus[..count.min(cpus.len())]))
        }
    };
    let idle = match wait {
        WaitMode::Busy => "keeps polling, and uses its CPU in full",
        WaitMode::Adaptive => {
            "sleeps for 100 \u{b5}s at a time under load, else until the kernel wakes it"
        }
        WaitMode::Interrupt => "sleeps until the kernel wakes it",
    };
    format!(
        "Runs one worker per RX queue, {cpus}. While nothing arrives, a worker {idle} (wait = \"{wait}\").\n"
    )
}

/// Describes the memory; `here` is that of the interfaces, if they are here now.
fn memory(
    memory: &Memory,
    rings: usize,
    capture: &Capture,
    here: Option<StartNeeds>,
) -> Result<String, ConfigError> {
    let plan = memory.plan(rings)?;
    let Memory { per_queue_mib, chunk_size, fill_ring, rx_ring, hugepages, .. } = memory;
    let bytes = u64::from(plan.chunk_count) * u64::from(memory.chunk_size_max());
    let chunk_size = chunk_size.map_or_else(
        || "4096 bytes, or half of it where the MTU allows".to_owned(),
        |size| format!("{size} bytes"),
    );
    let total = match (&capture.queues, here) {
        (_, Some(StartNeeds { queues, bytes })) => {
            let has = if capture.interfaces.len() > 1 {
                "of these interfaces"
            } else {
                "of this interface"
            };
            format!("{} in total for the {} {has}", Mib(bytes), counted(queues, "RX queue"))
        }
        (Queues::All, None) => format!(
            "that times the number of RX queues in total, for example {} for {EXAMPLE_QUEUES}",
            Mib(bytes * EXAMPLE_QUEUES)
        ),
        (Queues::List(queues), None) => {
            let count = queues.len() * capture.interfaces.len().max(1);
            format!("{} in total for {}", Mib(bytes * count as u64), counted(count, "RX queue"))
        }
    };
    let tail = match plan.tail_ring_len {
        0 => "none for `vxtap tail`".to_owned(),
        len => format!("{len} for `vxtap tail`"),
    };
    let pages = if *hugepages { " In huge pages, if the system has enough." } else { "" };
    Ok(format!(
        "Locks {} of memory per RX queue (at most {per_queue_mib} MiB); {total}.{pages}\n  \
         {} chunks of {chunk_size}: fill ring {fill_ring}, RX ring {rx_ring}, {} of {}, {}, {tail}, the rest one batch.\n",
        Mib(bytes),
        plan.chunk_count,
        counted(memory.outputs_planned(rings), "output ring"),
        plan.output_ring_len,
        room(memory, rings, plan.spare_ring_len),
    ))
}

/// Describes the memory for outputs that a reload adds or changes.
fn room(memory: &Memory, rings: usize, spare_ring_len: u32) -> String {
    match (memory.outputs_planned(rings) - rings, spare_ring_len) {
        (0, 0) => "none for an output that a reload adds".to_owned(),
        (0, len) => format!("{len} for an output that a reload adds"),
        (planned, 0) => format!("{planned} of them for outputs that a reload adds"),
        (planned, len) => format!("{planned} of them and {len} for outputs that a reload adds"),
    }
}

fn sessions(config: &Config) -> String {
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

fn filters(config: &Config) -> String {
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

fn outputs(config: &Config) -> String {
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

/// Displays a number of bytes in MiB with one decimal place.
struct Mib(u64);

impl Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u128::from(self.0) * 10).div_ceil(1 << 20);
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}

fn joined<T: Display>(things: &[T]) -> String {
    things.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

/// `VXLAN on UDP ports 4789, 8472 and GENEVE on UDP port 6081`.
fn tunnels(ports: &[TunnelPort]) -> String {
    let of = |tunnel| {
        let numbers: Vec<_> =
            ports.iter().filter(|port| port.tunnel == tunnel).map(|port| port.number).collect();
        (!numbers.is_empty()).then(|| {
            format!("{} on UDP {}", tunnel.to_string().to_uppercase(), listed("port", &numbers))
        })
    };
    let each = [Tunnel::Vxlan, Tunnel::VxlanGpe, Tunnel::Geneve].into_iter().filter_map(of);
    each.collect::<Vec<_>>().join(" and ")
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::time::{ClockId, clock_gettime};
    use vxtap::config::Filter;

    use super::*;

    /// Returns the CPU time that it takes to describe a configuration whose sessions all use the
    /// first of its filters; the shortest of three tries.
    fn cpu_time(sessions: u32, filters: u32) -> Duration {
        let name = |number| format!("filter{number:08}");
        let filters = (0..filters).map(|n| Filter { name: name(n), ..Filter::default() });
        let session = |vni: u32| Session {
            name: vni.to_string(),
            vni,
            filter: Some(name(0)),
            ..Session::default()
        };
        let config = Config {
            sessions: (0..sessions).map(session).collect(),
            filters: filters.collect(),
            ..Config::default()
        };
        let now = || Duration::try_from(clock_gettime(ClockId::ThreadCPUTime)).unwrap_or_default();
        let time = |_| {
            let start = now();
            assert!(describe(&config).is_ok_and(|text| text.contains("No session and no output")));
            now().saturating_sub(start)
        };
        (0..3).map(time).min().unwrap_or_default()
    }

    #[test]
    fn a_description_of_ten_times_as_much_takes_no_hundred_times_as_long() {
        let (small, large) = (cpu_time(2_000, 1_000), cpu_time(20_000, 10_000));
        assert!(large < 30 * small, "{small:?}, {large:?}");
    }
}
