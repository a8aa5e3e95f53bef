//! Names, limits and value layouts of the maps. Integers are in host byte order unless a field says
//! otherwise.

/// Name of the XDP program; a second engine recognises the first one by it.
pub const PROGRAM: &str = "vxtap";
/// Name of the program at the kernel's tracepoint [`REDIRECT_ERRORS_AT`], which counts the frames
/// that the kernel refuses after the XDP program has redirected them.
pub const REDIRECT_ERRORS: &str = "vxtap_redirect_errors";
/// Name of the tracepoint
/// ([`include/trace/events/xdp.h`](https://github.com/torvalds/linux/blob/v6.12/include/trace/events/xdp.h)).
pub const REDIRECT_ERRORS_AT: &str = "xdp_redirect_err";

/// XSKMAP: RX queue index → AF_XDP socket.
pub const SOCKETS: &str = "SOCKETS";
/// Array of `u64`, a bit for each UDP destination port: [`port_bit`] says which. Set means ours.
pub const PORTS: &str = "PORTS";
/// LPM trie: IPv4 source prefix → `u8`.
pub const ALLOWED_V4: &str = "ALLOWED_V4";
/// LPM trie: IPv6 source prefix → `u8`.
pub const ALLOWED_V6: &str = "ALLOWED_V6";
/// Hash: destination address → `u8`, of 16 bytes in network byte order, IPv4 as [`mapped`] gives
/// it. Broadcast addresses are among them.
pub const DESTINATIONS: &str = "DESTINATIONS";
/// One-element array: the last address, as in [`DESTINATIONS`], that a frame was passed for.
pub const OTHER_DESTINATION: &str = "OTHER_DESTINATION";
/// One-element array holding [`Settings`].
pub const SETTINGS: &str = "SETTINGS";
/// Per-CPU array of `u64`, indexed by [`Outcome`].
pub const COUNTERS: &str = "COUNTERS";
/// LRU hash: [`crate::fragment::FragmentKey`] → `u32`, of packets whose first fragment was steered.
pub const FRAGMENTS: &str = "FRAGMENTS";

/// Entries of [`SOCKETS`]: the highest RX queue index plus one that the program can steer. 1024 is
/// above the queue count of any NIC known to us; an entry costs 8 bytes.
pub const SOCKETS_MAX: u32 = 1024;
/// Entries of [`PORTS`]: a bit for each of 65 536 ports, because a lookup in an array costs a few
/// instructions, in a hash table some 20 ns.
pub const PORT_WORDS: u32 = 1024;
/// Most ports that are ours; more would be a mistake.
pub const PORTS_MAX: u32 = 64;
/// Entries of each of the two allow-lists.
pub const ALLOWED_MAX: u32 = 4096;

/// Entries of [`DESTINATIONS`]; an interface with more addresses takes datagrams to any.
pub const DESTINATIONS_MAX: u32 = 1024;

/// Entries of [`FRAGMENTS`]: packets of which fragments are in flight at a time; beyond, the least
/// recently used are evicted.
pub const FRAGMENTS_MAX: u32 = 4096;

/// [`Settings::flags`]: only sources in the allow-lists may reach our ports.
pub const CHECK_SOURCE: u32 = 1 << 0;
/// [`Settings::flags`]: put the arrival time in front of the frame.
pub const STAMP_ARRIVAL: u32 = 1 << 1;
/// [`Settings::flags`]: steer the fragments of datagrams to our ports too.
pub const STEER_FRAGMENTS: u32 = 1 << 2;
/// [`Settings::flags`]: the sockets take no frame in several buffers.
pub const SINGLE_BUFFER: u32 = 1 << 3;

/// [`Settings::flags`]: only datagrams to the addresses in [`DESTINATIONS`], to multicast groups
/// and to 255.255.255.255 are ours.
pub const CHECK_DESTINATION: u32 = 1 << 4;

/// Returns the key of an IPv4 address in [`DESTINATIONS`] (RFC 4291 section 2.5.5.2).
#[inline]
pub const fn mapped([a, b, c, d]: [u8; 4]) -> [u8; 16] {
    [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, a, b, c, d]
}

/// Returns the index into [`PORTS`] and the bit of a port (host byte order).
pub const fn port_bit(port: u16) -> (u32, u64) {
    (port as u32 / 64, 1 << (port % 64))
}

/// Run-time settings of the programs. Each field is written in one piece while they run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[repr(C)]
pub struct Settings {
    /// Bits [`CHECK_SOURCE`], [`STAMP_ARRIVAL`], [`STEER_FRAGMENTS`], [`SINGLE_BUFFER`] and
    /// [`CHECK_DESTINATION`]; all others zero.
    pub flags: u32,
    /// One of the IPv4 addresses in [`DESTINATIONS`], as it lies in a header, so that most frames
    /// need no look-up; 0 if there is none.
    pub own_v4: u32,
    /// The kernel's identifier of [`SOCKETS`], by which its refusals are told from those of others.
    pub sockets_id: u32,
}

/// Outcome of a frame: the index into [`COUNTERS`]. Each frame that the program processes raises
/// exactly one counter; [`Outcome::Unstamped`] and [`Outcome::RedirectErr`] come in addition to
/// [`Outcome::Redirected`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u32)]
pub enum Outcome {
    /// Ours, handed to the AF_XDP socket of its queue.
    Redirected = 0,
    /// Not UDP to one of our ports: passed to the kernel stack untouched.
    NotOurs = 1,
    /// Ours, but its queue has no socket: passed.
    NoSocket = 2,
    /// A fragment of an outer UDP datagram to none of our ports, or of one whose first fragment has
    /// not been seen, or any if fragments are not steered: passed.
    Fragment = 3,
    /// Headers that end early or contradict themselves: passed.
    Malformed = 4,
    /// More IPv6 extension headers than [`crate::wire::ipv6::EXTENSION_HEADERS_MAX`]: passed.
    TooManyExtensions = 5,
    /// To one of our ports from a source outside the allow-lists: dropped.
    SourceNotAllowed = 6,
    /// Redirected without arrival time, because the driver has no room for metadata or has put some
    /// there itself.
    Unstamped = 7,
    /// Ours, but in several buffers, and the sockets take no such frames: passed.
    SeveralBuffers = 8,
    /// To one of our ports at another destination than ours: passed.
    OtherDestination = 9,
    /// Redirected, but refused by the kernel, which counts it nowhere else: lost.
    RedirectErr = 10,
}

/// Number of [`Outcome`]s.
pub const OUTCOMES: u32 = 11;

impl Outcome {
    /// All outcomes, in the order of their counters.
    pub const ALL: [Self; OUTCOMES as usize] = [
        Self::Redirected,
        Self::NotOurs,
        Self::NoSocket,
        Self::Fragment,
        Self::Malformed,
        Self::TooManyExtensions,
        Self::SourceNotAllowed,
        Self::Unstamped,
        Self::SeveralBuffers,
        Self::OtherDestination,
        Self::RedirectErr,
    ];
}
