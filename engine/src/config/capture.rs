//! Interfaces, ports, sources and queues to capture from.

use std::fmt;

use ipnet::IpNet;
use vxtap_ebpf::maps::SOCKETS_MAX;

use super::error::Problem;
use super::keyword::{Keyword, keyword_of};
use super::limit::Limit;
use super::tunnel::{GENEVE_PORT, TunnelPort, VXLAN_PORT};

/// Longest interface name in bytes: `IFNAMSIZ` of `include/uapi/linux/if.h` less the final zero
/// byte.
pub const INTERFACE_NAME_BYTES_MAX: usize = 15;

/// Maximum number of interfaces of one engine; more would be a mistake.
pub const INTERFACES_MAX: u32 = 16;

pub(super) const PORT: Limit = Limit::Range(1, 65_535);
pub(super) const QUEUE: Limit = Limit::Range(0, SOCKETS_MAX as u64 - 1);
/// The kernel accepts any positive `int` (`SO_BUSY_POLL` in
/// [`net/core/sock.c`](https://github.com/torvalds/linux/blob/v6.12/net/core/sock.c)). A worker
/// notices a stop only between two polls, hence one second at most.
pub(super) const BUSY_POLL_USECS: Limit = Limit::Range(1, 1_000_000);
/// `SO_BUSY_POLL_BUDGET` in
/// [`net/core/sock.c`](https://github.com/torvalds/linux/blob/v6.12/net/core/sock.c) refuses more
/// than `U16_MAX`.
pub(super) const BUSY_POLL_BUDGET: Limit = Limit::Range(1, 65_535);

/// Interfaces, ports, sources and queues to capture from. Table `[capture]` of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Capture {
    /// Names of the interfaces that receive the mirrored traffic: 16 at most, each 1 to 15 bytes
    /// and once. Default: none; an engine needs at least one, reading a capture file does not. Key
    /// `interface` of the file: a name or a list.
    pub interfaces: Vec<String>,
    /// Way of the frames from the driver into the engine. Default: [`CaptureMode::Auto`].
    pub mode: CaptureMode,
    /// UDP destination ports of mirrored traffic with their tunnels: 1 to 64 of them, each once.
    /// Default: [`VXLAN_PORT`] and [`GENEVE_PORT`]. Traffic to other ports goes to the kernel
    /// stack; other traffic to one of these ports no longer reaches it.
    pub ports: Vec<TunnelPort>,
    /// Outer source prefixes that may send to the ports, at most 4096 of each address family,
    /// without host bits. Empty, the default: any source. Too narrow: mirrors are dropped (counted
    /// by the XDP program); too wide: other hosts can forge mirrored traffic.
    pub allowed_sources: Vec<IpNet>,
    /// RX queues to read on each interface. Default: [`Queues::All`].
    pub queues: Queues,
    /// Treatment of outer IP fragments. Default: [`FragmentMode::Reassemble`].
    pub fragments: FragmentMode,
    /// Outer destinations of mirrored traffic. Default: [`Destinations::Own`].
    pub destinations: Destinations,
    /// `true` if the NIC receives frames to any MAC address while the engine runs. Default: false.
    /// Needed where mirrored traffic is not addressed to this host, as at a tap of an overlay's own
    /// traffic, together with [`Destinations::Any`].
    pub promiscuous: bool,
    /// `true` if the XDP program writes the arrival time in front of each frame. Default: true.
    /// With false a frame carries the time at which its batch was read, later by up to the worker's
    /// waiting time, and the program is a little faster.
    pub arrival_times: bool,
    /// Settings of busy polling by the workers. Default: `None`, off.
    pub busy_poll: Option<BusyPoll>,
}

/// Way of the frames from the driver into the engine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CaptureMode {
    /// The first of the following modes that the interface supports, chosen per interface. On an
    /// ENA zero-copy is left out: it is slower there and loses frames that span several buffers.
    #[default]
    Auto,
    /// The NIC writes into the UMEM; an error if the driver does not support it.
    ZeroCopy,
    /// The driver runs the XDP program and the kernel copies; an error if the driver does not
    /// support it.
    Native,
    /// The kernel stack runs the XDP program and copies: works everywhere, slower.
    Generic,
    /// UDP sockets without XDP program and AF_XDP: need no privileges and receive only datagrams
    /// that are addressed to this host and pass its firewall. Slowest.
    Socket,
}

/// Outer destinations whose datagrams are taken; others go to the kernel stack and are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Destinations {
    /// The addresses of the interface and of the VLANs, bridge, bond or VRF on top of it, with
    /// their broadcast addresses, and every multicast group; looked up twice a second. Any
    /// destination while the interface has no address but an IPv6 link-local one.
    #[default]
    Own,
    /// Any destination, traffic on its way through this host included.
    Any,
}

impl Keyword for Destinations {
    const KEYWORDS: &'static [(&'static str, Self)] = &[("own", Self::Own), ("any", Self::Any)];
}

/// Treatment of mirrored packets that arrive in IP fragments.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FragmentMode {
    /// Fragments are reassembled: up to 4096 packets at a time, in 16 MiB for all queues, each
    /// within two seconds. Packets with overlapping fragments are dropped.
    #[default]
    Reassemble,
    /// Fragments go to the kernel stack and are counted.
    Pass,
}

impl Keyword for FragmentMode {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("reassemble", Self::Reassemble), ("pass", Self::Pass)];
}

/// RX queues to read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Queues {
    /// Every RX queue of the interface.
    #[default]
    All,
    /// These RX queues, 0 to 1023, each once. Traffic on other queues goes to the kernel stack.
    List(Vec<u32>),
}

/// Busy polling: the worker's system calls run the driver's receive loop (`SO_PREFER_BUSY_POLL`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusyPoll {
    /// `SO_BUSY_POLL`: microseconds that a blocking call polls, 1 to 1000000. Default: 20. Too low:
    /// the worker still sleeps and waits for interrupts; too high: an idle worker uses its CPU, and
    /// stopping takes longer.
    pub usecs: u32,
    /// `SO_BUSY_POLL_BUDGET`: packets that one call processes, 1 to 65535. Default: 64, the
    /// kernel's NAPI weight. Too low: more system calls; too high: bursts that overrun the RX ring.
    /// A value above the kernel's default needs `CAP_NET_ADMIN`.
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
            fragments: FragmentMode::default(),
            destinations: Destinations::default(),
            promiscuous: false,
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

impl Keyword for CaptureMode {
    const KEYWORDS: &'static [(&'static str, Self)] = &[
        ("auto", Self::Auto),
        ("zero-copy", Self::ZeroCopy),
        ("native", Self::Native),
        ("generic", Self::Generic),
        ("socket", Self::Socket),
    ];
}

impl fmt::Display for CaptureMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(keyword_of(*self))
    }
}

impl Capture {
    /// Checks an interface name by the kernel's rule (`dev_valid_name` in
    /// [`net/core/dev.c`](https://github.com/torvalds/linux/blob/v6.12/net/core/dev.c)).
    ///
    /// # Errors
    ///
    /// [`Problem::Refused`] if no interface can have the name.
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
}
