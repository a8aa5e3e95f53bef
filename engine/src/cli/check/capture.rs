//! The capture: interfaces, ports, sources, destinations.

use std::fmt::Display;

use vxtap::config::{
    BusyPoll, Capture, CaptureMode, Destinations, FragmentMode, Queues, Tunnel, TunnelPort,
};
use vxtap::interface::Interface;
use vxtap::plural::{counted, listed};

/// Describes the frames that are captured.
pub(super) fn capture(capture: &Capture) -> String {
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

/// Lists the tunnels with their ports, as `VXLAN on UDP ports 4789, 8472 and GENEVE on UDP port
/// 6081`.
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

fn joined<T: Display>(things: &[T]) -> String {
    things.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}
