//! What is captured: interface, ports, sources and queues.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::IpNet;
use vxtap_ebpf::maps::{ALLOWED_MAX, PORTS_MAX, SOCKETS_MAX};

use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::limit::Limit;
use super::once::Seen;
use super::tunnel::{GENEVE_PORT, TunnelPort, VXLAN_PORT};
use super::words::{Word, word_of};

/// Longest interface name in bytes: `IFNAMSIZ` of `include/uapi/linux/if.h` less the final zero
/// byte.
pub const INTERFACE_NAME_BYTES_MAX: usize = 15;

/// Most interfaces of one engine; more would be a mistake.
pub const INTERFACES_MAX: u32 = 16;

pub(super) const PORT: Limit = Limit::Range(1, 65_535);
pub(super) const QUEUE: Limit = Limit::Range(0, SOCKETS_MAX as u64 - 1);
/// The kernel takes any positive `int` (`SO_BUSY_POLL` in `net/core/sock.c`). A worker notices a
/// stop only between two polls, so that one second is the end of what makes sense.
pub(super) const BUSY_POLL_USECS: Limit = Limit::Range(1, 1_000_000);
/// `SO_BUSY_POLL_BUDGET` in `net/core/sock.c` refuses more than `U16_MAX`.
pub(super) const BUSY_POLL_BUDGET: Limit = Limit::Range(1, 65_535);

/// What is captured. Table `[capture]` of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Names of the interfaces that receive the mirrored traffic, each 1 to 15 bytes and once, 16
    /// at most. None, the default: not named yet; an engine needs one, reading a capture file does
    /// not. Key `interface` of the file: a name or a list.
    pub interfaces: Vec<String>,
    /// How frames come from the driver. Default: [`CaptureMode::Auto`].
    pub mode: CaptureMode,
    /// UDP destination ports that carry mirrored traffic, and in which tunnel, 1 to 64 of them,
    /// each once. Default: [`VXLAN_PORT`] and [`GENEVE_PORT`]. Traffic to other ports goes to the
    /// kernel stack; a port that carries something else loses its traffic to the engine.
    pub ports: Vec<TunnelPort>,
    /// Outer source prefixes that may send to the ports, at most 4096 of each address family,
    /// without host bits. Empty, the default: everybody. Too narrow drops mirrors (counted by the
    /// XDP program); too wide lets anyone forge them.
    pub allowed_sources: Vec<IpNet>,
    /// RX queues to read, of each interface. Default: [`Queues::All`].
    pub queues: Queues,
    /// What happens to mirrored packets that came in fragments. Default: [`Fragments::Reassemble`].
    pub fragments: Fragments,
    /// Whether the XDP program writes the arrival time in front of each frame. Default: true.
    /// Without it a frame carries the time at which its batch was read, later by up to the worker's
    /// waiting time, and the program is a little faster.
    pub arrival_times: bool,
    /// Busy polling of the NIC by the workers. Default: `None`, off.
    pub busy_poll: Option<BusyPoll>,
}

/// How frames come from the driver into the UMEM.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureMode {
    /// The first of those below that the interface supports. Each interface for itself; on an ENA
    /// the first is left out, because there it is the slower one and loses frames in several
    /// buffers.
    #[default]
    Auto,
    /// The NIC writes into the UMEM; an error where the driver cannot.
    ZeroCopy,
    /// The driver runs the XDP program and the kernel copies; an error where the driver cannot.
    Native,
    /// The kernel stack runs the XDP program and copies: works everywhere, slower.
    Generic,
    /// No XDP program and no AF_XDP: UDP sockets, which need no privileges and get only what is
    /// addressed to this host and passes its firewall. Slowest.
    Socket,
}

/// What happens to mirrored packets that their network has divided into IP fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Fragments {
    /// They are put together: up to 4096 at a time, in 16 MiB for all queues, each within two
    /// seconds. What overlaps is given up.
    #[default]
    Reassemble,
    /// They go to the kernel stack, counted.
    Pass,
}

impl Word for Fragments {
    const WORDS: &'static [(&'static str, Self)] =
        &[("reassemble", Self::Reassemble), ("pass", Self::Pass)];
}

/// RX queues to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Every RX queue of the interface.
    #[default]
    All,
    /// These RX queues, 0 to 1023, each once. Traffic that the NIC puts on another queue goes to
    /// the kernel stack.
    List(Vec<u32>),
}

/// Busy polling: the worker's system calls run the driver's receive loop (`SO_PREFER_BUSY_POLL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// `SO_BUSY_POLL`: microseconds that a blocking call polls, 1 to 1000000. Default: 20. Too low:
    /// the worker sleeps and waits for interrupts all the same; too high: a CPU burnt while nothing
    /// arrives, and a slow stop.
    pub usecs: u32,
    /// `SO_BUSY_POLL_BUDGET`: packets that one call processes, 1 to 65535. Default: 64, the
    /// kernel's NAPI weight. Too low: more system calls; too high: bursts that overrun the RX ring.
    /// Above the kernel's default needs `CAP_NET_ADMIN`.
    pub budget: u16,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: Vec::new(),
            mode: CaptureMode::default(),
            ports: [VXLAN_PORT, GENEVE_PORT].map(TunnelPort::new).into(),
            allowed_sources: Vec::new(),
            queues: Queues::default(),
            fragments: Fragments::default(),
            arrival_times: true,
            busy_poll: None,
        }
    }
}

impl Default for BusyPoll {
    fn default() -> Self {
        Self { usecs: 20, budget: 64 }
    }
}

impl Word for CaptureMode {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("zero-copy", Self::ZeroCopy),
        ("native", Self::Native),
        ("generic", Self::Generic),
        ("socket", Self::Socket),
    ];
}

impl fmt::Display for CaptureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(*self))
    }
}

impl Capture {
    /// Checks an interface name by the kernel's rule (`dev_valid_name` of `net/core/dev.c`).
    ///
    /// # Errors
    ///
    /// [`Problem::Refused`] when no interface can have the name.
    pub fn check_interface_name(name: &str) -> Result<(), Problem> {
        let is_valid = (1..=INTERFACE_NAME_BYTES_MAX).contains(&name.len())
            && name != "."
            && name != ".."
            && !name.chars().any(|c| c == '/' || c == ':' || c.is_whitespace() || c.is_control());
        if is_valid {
            return Ok(());
        }
        let allowed = "an interface name of 1 to 15 bytes without `/`, `:` and white space";
        Err(Problem::refused(format_args!("{name:?}"), allowed))
    }

    pub(super) fn check(&self) -> Result<(), Violation> {
        let Self { interfaces, ports, allowed_sources, queues, busy_poll, .. } = self;
        let capture = KeyPath::top("capture");
        check_interfaces(interfaces, &capture.key("interface"))?;
        check_ports(ports, &capture.key("ports"))?;
        check_prefixes(allowed_sources, &capture.key("allowed_sources"))?;
        if let Queues::List(queues) = queues {
            check_list(queues, QUEUE, "queues", &capture.key("queues"))?;
        }
        if let Some(BusyPoll { usecs, budget }) = *busy_poll {
            let key = capture.key("busy_poll");
            BUSY_POLL_USECS.check(usecs).map_err(|problem| problem.at(key.key("usecs")))?;
            BUSY_POLL_BUDGET.check(budget).map_err(|problem| problem.at(key.key("budget")))?;
        }
        Ok(())
    }
}

fn check_interfaces(interfaces: &[String], key: &KeyPath) -> Result<(), Violation> {
    if interfaces.len() > INTERFACES_MAX as usize {
        let (found, things) = (interfaces.len(), "interfaces");
        return Err(Problem::TooMany { found, things, max: INTERFACES_MAX }.at(key.clone()));
    }
    let mut seen = Seen::default();
    for (position, name) in interfaces.iter().enumerate() {
        let key = key.index(position);
        Capture::check_interface_name(name).map_err(|problem| problem.at(key.clone()))?;
        seen.note(name.clone(), key.clone(), name).map_err(|problem| problem.at(key))?;
    }
    Ok(())
}

fn check_ports(ports: &[TunnelPort], key: &KeyPath) -> Result<(), Violation> {
    if ports.len() > PORTS_MAX as usize {
        return Err(Problem::TooMany { found: ports.len(), things: "ports", max: PORTS_MAX }
            .at(key.clone()));
    }
    let numbers: Vec<u16> = ports.iter().map(|port| port.number).collect();
    check_list(&numbers, PORT, "ports", key)
}

/// Checks a list of numbers: not empty, each within the limit, each once.
pub(super) fn check_list<N>(
    list: &[N],
    limit: Limit,
    things: &str,
    key: &KeyPath,
) -> Result<(), Violation>
where
    N: Copy + Into<u64> + Eq + std::hash::Hash + fmt::Display,
{
    if list.is_empty() {
        return Err(
            Problem::refused("an empty list", format_args!("a list of {things}")).at(key.clone())
        );
    }
    let mut seen = Seen::default();
    for (position, &number) in list.iter().enumerate() {
        let key = key.index(position);
        limit.check(number).map_err(|problem| problem.at(key.clone()))?;
        seen.note(number, key.clone(), number).map_err(|problem| problem.at(key))?;
    }
    Ok(())
}

fn check_prefixes(prefixes: &[IpNet], key: &KeyPath) -> Result<(), Violation> {
    for (position, prefix) in prefixes.iter().enumerate() {
        check_prefix(prefix).map_err(|problem| problem.at(key.index(position)))?;
    }
    for (things, is_counted) in
        [("IPv4 prefixes", is_v4 as fn(&IpNet) -> bool), ("IPv6 prefixes", |prefix| !is_v4(prefix))]
    {
        let found = prefixes.iter().filter(|prefix| is_counted(prefix)).count();
        if found > ALLOWED_MAX as usize {
            return Err(Problem::TooMany { found, things, max: ALLOWED_MAX }.at(key.clone()));
        }
    }
    Ok(())
}

const fn is_v4(prefix: &IpNet) -> bool {
    matches!(prefix, IpNet::V4(_))
}

/// Checks that a prefix has no host bits, and that an IPv4 one is written as such.
pub(super) fn check_prefix(prefix: &IpNet) -> Result<(), Problem> {
    let meant = prefix.trunc();
    if meant != *prefix {
        return Err(Problem::refused(
            prefix,
            format_args!("a prefix without host bits, here {meant}"),
        ));
    }
    if let IpNet::V6(v6) = prefix
        && let Some(mapped) = v6.addr().to_ipv4_mapped()
        && v6.prefix_len() >= 96
    {
        let len = v6.prefix_len() - 96;
        return Err(Problem::refused(
            prefix,
            format_args!("an IPv4 prefix in IPv4 form, here {mapped}/{len}"),
        ));
    }
    Ok(())
}

/// Checks that packets can have the address as their source.
pub(super) fn check_source(address: IpAddr) -> Result<(), Problem> {
    if let IpAddr::V6(v6) = address
        && let Some(mapped) = v6.to_ipv4_mapped()
    {
        return Err(Problem::refused(
            address,
            format_args!("an IPv4 address in IPv4 form, here {mapped}"),
        ));
    }
    if address.is_unspecified()
        || address.is_multicast()
        || address == IpAddr::V4(Ipv4Addr::BROADCAST)
    {
        let allowed = "the address of one host; leave `source` out for any source";
        return Err(Problem::refused(address, allowed));
    }
    Ok(())
}
