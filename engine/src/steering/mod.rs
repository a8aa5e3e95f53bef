//! Steers frames of an interface to AF_XDP sockets.
//!
//! [`Steering`] loads the XDP program (crate `vxtap_ebpf`) and fills its maps: ports, allowed
//! sources, sockets. The program decides about each frame; no code here is on a packet's path. The
//! caller binds the sockets and keeps the order in which program and sockets are set up and torn
//! down.
//!
//! # Kernel
//!
//! Linux 6.1; older ones were not tried. `CAP_BPF`, `CAP_NET_ADMIN` and `CAP_PERFMON` (for the
//! verifier) for everything, `CAP_SYS_ADMIN` beside them to name a foreign program. Maps are
//! charged to the memory cgroup, so that the limit on locked memory plays no part.

mod attachment;
mod error;
mod foreign;
mod offline;
mod redirect_errors;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use aya::maps::lpm_trie::{Key, LpmTrie};
use aya::maps::{Array, HashMap, Map, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::Xdp;
use aya::programs::links::FdLink;
use aya::{Ebpf, EbpfLoader};
use ipnet::IpNet;
use vxtap_ebpf::maps::{self, Outcome};

pub use error::SteeringError;
pub use foreign::{AttachedProgram, attached_program};
pub(crate) use offline::{Offline, outcome_name};

/// The program as `cargo xtask build-ebpf` built it.
static OBJECT: &[u8] =
    aya::include_bytes_aligned!(concat!(env!("CARGO_MANIFEST_DIR"), "/../ebpf/vxtap.bpf.o"));

/// Frames that the program steers.
#[derive(Clone, Copy, Debug)]
pub struct Settings<'a> {
    /// UDP destination ports to steer, at most [`maps::PORTS_MAX`].
    pub ports: &'a [u16],
    /// Allowed sources of datagrams to these ports, at most [`maps::ALLOWED_MAX`] prefixes of each
    /// IP version. If empty, all sources are allowed; else all others are dropped, those of the
    /// other IP version included.
    pub allowed_sources: &'a [IpNet],
    /// Stamp frames with their arrival time ([`vxtap_ebpf::arrival`]).
    pub stamp_arrival: bool,
    /// Steer fragments of datagrams to these ports too, if they arrive after the first one of their
    /// packet.
    pub fragments: bool,
}

/// Hook in the kernel at which the program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AttachMode {
    /// In the driver, before the kernel has allocated anything for the frame.
    Native,
    /// In the stack, with any driver, at the price of a socket buffer for each frame.
    Generic,
}

/// Frames that the program has processed since it was loaded, by outcome. Each is counted once,
/// except that an unstamped frame, and one that the kernel refused after the redirect, is also a
/// redirected one. [`Outcome`] describes the fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "described where the program's outcomes are")]
pub struct SteeringCounters {
    pub redirected: u64,
    pub not_ours: u64,
    pub no_socket: u64,
    pub fragment: u64,
    pub malformed: u64,
    pub too_many_extensions: u64,
    pub source_not_allowed: u64,
    pub unstamped: u64,
    pub several_buffers: u64,
    pub other_destination: u64,
    pub redirect_err: u64,
}

impl SteeringCounters {
    /// Adds other counters.
    pub fn merge(&mut self, other: &Self) {
        let Self {
            redirected,
            not_ours,
            no_socket,
            fragment,
            malformed,
            too_many_extensions,
            source_not_allowed,
            unstamped,
            several_buffers,
            other_destination,
            redirect_err,
        } = other;
        self.redirected += redirected;
        self.not_ours += not_ours;
        self.no_socket += no_socket;
        self.fragment += fragment;
        self.malformed += malformed;
        self.too_many_extensions += too_many_extensions;
        self.source_not_allowed += source_not_allowed;
        self.unstamped += unstamped;
        self.several_buffers += several_buffers;
        self.other_destination += other_destination;
        self.redirect_err += redirect_err;
    }

    /// Counts a frame that was not steered by the program in the kernel.
    pub(crate) const fn count(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Redirected => &mut self.redirected,
            Outcome::NotOurs => &mut self.not_ours,
            Outcome::NoSocket => &mut self.no_socket,
            Outcome::Fragment => &mut self.fragment,
            Outcome::Malformed => &mut self.malformed,
            Outcome::TooManyExtensions => &mut self.too_many_extensions,
            Outcome::SourceNotAllowed => &mut self.source_not_allowed,
            Outcome::Unstamped => &mut self.unstamped,
            Outcome::SeveralBuffers => &mut self.several_buffers,
            Outcome::OtherDestination => &mut self.other_destination,
            Outcome::RedirectErr => &mut self.redirect_err,
        } += 1;
    }
}

/// The XDP program in the kernel, with its maps. Dropping it detaches the program, and so does the
/// end of the process, also by a signal.
pub struct Steering {
    // Before `ebpf`: detached first.
    link: Option<FdLink>,
    ebpf: Ebpf,
    sockets: XskMap<MapData>,
    /// Queues that have a socket in the map.
    queues: BTreeSet<u32>,
    destinations: HashMap<MapData, [u8; 16], u8>,
    /// Keys in `destinations`.
    own: BTreeSet<[u8; 16]>,
    other_destination: Array<MapData, [u8; 16]>,
    counters: PerCpuArray<MapData, u64>,
    settings_map: Array<MapData, [u32; 3]>,
    settings: maps::Settings,
    uncounted_errors: Option<String>,
}

impl Steering {
    /// Loads the program into the kernel, which verifies it, and fills its maps. Attaches nothing.
    ///
    /// # Errors
    ///
    /// [`SteeringError::NotPermitted`], [`SteeringError::Load`], [`SteeringError::TooMany`] or
    /// [`SteeringError::Map`].
    pub fn load(settings: &Settings<'_>) -> Result<Self, SteeringError> {
        check_counts(settings)?;
        let mut ebpf = EbpfLoader::new().load(OBJECT).map_err(SteeringError::of_load)?;
        program(&mut ebpf)?.load().map_err(SteeringError::of_load)?;
        let sockets_id = redirect_errors::id_of(&ebpf, maps::SOCKETS)?;
        let uncounted_errors = redirect_errors::count(&mut ebpf)?;
        fill(&mut ebpf, settings)?;
        let mut steering = Self {
            link: None,
            sockets: take_map(&mut ebpf, maps::SOCKETS)?,
            queues: BTreeSet::new(),
            destinations: take_map(&mut ebpf, maps::DESTINATIONS)?,
            own: BTreeSet::new(),
            other_destination: take_map(&mut ebpf, maps::OTHER_DESTINATION)?,
            counters: take_map(&mut ebpf, maps::COUNTERS)?,
            settings_map: take_map(&mut ebpf, maps::SETTINGS)?,
            settings: maps::Settings { flags: flags_of(settings), own_v4: 0, sockets_id },
            uncounted_errors,
            ebpf,
        };
        steering.write_settings()?;
        Ok(steering)
    }

    /// Writes the settings for the programs.
    fn write_settings(&mut self) -> Result<(), SteeringError> {
        const { assert!(size_of::<maps::Settings>() == size_of::<[u32; 3]>()) };
        let maps::Settings { flags, own_v4, sockets_id } = self.settings;
        self.settings_map.set(0, [flags, own_v4, sockets_id], 0).map_err(map_error(maps::SETTINGS))
    }

    /// Returns the reason why frames that the kernel refuses after the redirect are not counted;
    /// `None` if they are.
    pub fn uncounted_errors(&self) -> Option<&str> {
        self.uncounted_errors.as_deref()
    }

    /// Takes only datagrams to these addresses, to multicast groups and to 255.255.255.255, and
    /// passes all others to the kernel stack; with `None`, the setting of a new program, takes
    /// datagrams to any address. Broadcast addresses of networks have to be in the list. May be
    /// called while the program is attached: an address that is in both lists is taken throughout.
    ///
    /// # Errors
    ///
    /// [`SteeringError::TooMany`] beyond [`maps::DESTINATIONS_MAX`] addresses, with which nothing
    /// changes, or [`SteeringError::Map`].
    pub fn set_destinations(&mut self, own: Option<&[IpAddr]>) -> Result<(), SteeringError> {
        let own_v4 = own.into_iter().flatten().find_map(|address| match address {
            IpAddr::V4(address) => Some(u32::from_ne_bytes(address.octets())),
            IpAddr::V6(_) => None,
        });
        let keys: BTreeSet<_> = own.into_iter().flatten().copied().map(key_of).collect();
        if keys.len() > maps::DESTINATIONS_MAX as usize {
            let (what, given) = ("addresses of an interface", keys.len());
            return Err(SteeringError::TooMany { what, given, max: maps::DESTINATIONS_MAX });
        }
        // The map may be full: addresses that have gone make room, those that stay are not touched.
        for gone in self.own.difference(&keys) {
            self.destinations.remove(gone).map_err(map_error(maps::DESTINATIONS))?;
        }
        for new in keys.difference(&self.own) {
            self.destinations.insert(new, 1, 0).map_err(map_error(maps::DESTINATIONS))?;
        }
        self.own = keys;
        self.settings.own_v4 = own_v4.unwrap_or_default();
        self.settings.flags &= !maps::CHECK_DESTINATION;
        self.settings.flags |= if own.is_some() { maps::CHECK_DESTINATION } else { 0 };
        self.write_settings()
    }

    /// Returns a destination whose datagrams are passed to the kernel stack, as an example; `None`
    /// if there was none.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`] if the kernel refuses.
    pub fn other_destination(&self) -> Result<Option<IpAddr>, SteeringError> {
        let key = self.other_destination.get(&0, 0).map_err(map_error(maps::OTHER_DESTINATION))?;
        Ok((key != [0; 16]).then(|| IpAddr::from(key).to_canonical()))
    }

    /// Attaches the program to an interface of the calling thread's network namespace; `interface`
    /// is its name for error messages. An existing program is not replaced.
    ///
    /// # Errors
    ///
    /// [`SteeringError::NoNativeMode`] if [`AttachMode::Generic`] may work; else the obstacle.
    pub fn attach(
        &mut self,
        if_index: u32,
        interface: &str,
        mode: AttachMode,
    ) -> Result<(), SteeringError> {
        // Before the new link: two programs on one interface, even of one process, are refused.
        self.detach();
        self.link = Some(attachment::attach(program(&mut self.ebpf)?, if_index, interface, mode)?);
        Ok(())
    }

    /// Detaches the program. Maps and counters stay readable. Does nothing if it is not attached.
    pub fn detach(&mut self) {
        self.link = None;
    }

    /// Passes frames in several buffers to the kernel stack, and counts them: for sockets without
    /// `XDP_USE_SG`, for which the kernel would drop them silently.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`] if the kernel refuses.
    pub fn leave_several_buffers(&mut self) -> Result<(), SteeringError> {
        self.settings.flags |= maps::SINGLE_BUFFER;
        self.write_settings()
    }

    /// Sends the frames of an RX queue to an AF_XDP socket, which has to be bound to that queue of
    /// the interface. The map does not keep the socket open: the kernel removes it when it is
    /// closed.
    ///
    /// # Errors
    ///
    /// [`SteeringError::NoSuchQueue`] from [`maps::SOCKETS_MAX`] on, [`SteeringError::Map`] for
    /// another kind of socket.
    pub fn set_socket(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), SteeringError> {
        match self.sockets.set(queue, socket, 0) {
            Err(MapError::OutOfBounds { .. }) => {
                Err(SteeringError::NoSuchQueue { queue, max: maps::SOCKETS_MAX - 1 })
            }
            result => result.map_err(map_error(maps::SOCKETS)),
        }?;
        self.queues.insert(queue);
        Ok(())
    }

    /// Leaves the frames of all RX queues to the kernel stack. Frames that the program has
    /// redirected before may still be on their way to their sockets: the caller waits for them.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`] if the kernel refuses.
    pub fn clear_sockets(&mut self) -> Result<(), SteeringError> {
        while let Some(queue) = self.queues.pop_first() {
            self.clear_socket(queue)?;
        }
        Ok(())
    }

    /// Leaves the frames of an RX queue to the kernel stack. Does nothing if the queue has no
    /// socket.
    ///
    /// # Errors
    ///
    /// As for [`Steering::set_socket`].
    pub fn clear_socket(&mut self, queue: u32) -> Result<(), SteeringError> {
        match self.sockets.unset(queue) {
            Err(MapError::OutOfBounds { .. }) => {
                Err(SteeringError::NoSuchQueue { queue, max: maps::SOCKETS_MAX - 1 })
            }
            result => result.map_err(map_error(maps::SOCKETS)),
        }
    }

    /// Reads the counters, summed over the CPUs. Those of different outcomes are read one after
    /// another.
    ///
    /// # Errors
    ///
    /// [`SteeringError::Map`] if the kernel refuses.
    pub fn counters(&self) -> Result<SteeringCounters, SteeringError> {
        let of = |outcome: Outcome| -> Result<u64, SteeringError> {
            let per_cpu =
                self.counters.get(&(outcome as u32), 0).map_err(map_error(maps::COUNTERS))?;
            Ok(per_cpu.iter().sum())
        };
        Ok(SteeringCounters {
            redirected: of(Outcome::Redirected)?,
            not_ours: of(Outcome::NotOurs)?,
            no_socket: of(Outcome::NoSocket)?,
            fragment: of(Outcome::Fragment)?,
            malformed: of(Outcome::Malformed)?,
            too_many_extensions: of(Outcome::TooManyExtensions)?,
            source_not_allowed: of(Outcome::SourceNotAllowed)?,
            unstamped: of(Outcome::Unstamped)?,
            several_buffers: of(Outcome::SeveralBuffers)?,
            other_destination: of(Outcome::OtherDestination)?,
            redirect_err: of(Outcome::RedirectErr)?,
        })
    }
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, ebpf, .. } = self;
        f.debug_struct("Steering").field("link", link).field("ebpf", ebpf).finish_non_exhaustive()
    }
}

fn check_counts(settings: &Settings<'_>) -> Result<(), SteeringError> {
    let v4 = settings.allowed_sources.iter().filter(|net| matches!(net, IpNet::V4(_))).count();
    let limits = [
        ("ports", settings.ports.len(), maps::PORTS_MAX),
        ("allowed IPv4 sources", v4, maps::ALLOWED_MAX),
        ("allowed IPv6 sources", settings.allowed_sources.len() - v4, maps::ALLOWED_MAX),
    ];
    match limits.into_iter().find(|&(_, given, max)| given > max as usize) {
        Some((what, given, max)) => Err(SteeringError::TooMany { what, given, max }),
        None => Ok(()),
    }
}

/// Fills the maps that only the program reads. It keeps them alive.
fn fill(ebpf: &mut Ebpf, settings: &Settings<'_>) -> Result<(), SteeringError> {
    let mut ports: Array<MapData, u64> = take_map(ebpf, maps::PORTS)?;
    for &port in settings.ports {
        let (word, bit) = maps::port_bit(port);
        let others = ports.get(&word, 0).map_err(map_error(maps::PORTS))?;
        ports.set(word, others | bit, 0).map_err(map_error(maps::PORTS))?;
    }
    let mut v4: LpmTrie<MapData, [u8; 4], u8> = take_map(ebpf, maps::ALLOWED_V4)?;
    let mut v6: LpmTrie<MapData, [u8; 16], u8> = take_map(ebpf, maps::ALLOWED_V6)?;
    for source in settings.allowed_sources {
        let prefix_len = u32::from(source.prefix_len());
        match source {
            IpNet::V4(net) => v4
                .insert(&Key::new(prefix_len, net.addr().octets()), 1, 0)
                .map_err(map_error(maps::ALLOWED_V4))?,
            IpNet::V6(net) => v6
                .insert(&Key::new(prefix_len, net.addr().octets()), 1, 0)
                .map_err(map_error(maps::ALLOWED_V6))?,
        }
    }
    Ok(())
}

/// Returns an address as the key of [`maps::DESTINATIONS`].
const fn key_of(address: IpAddr) -> [u8; 16] {
    match address {
        IpAddr::V4(address) => maps::mapped(address.octets()),
        IpAddr::V6(address) => address.octets(),
    }
}

/// Returns the flags of [`maps::Settings`].
const fn flags_of(settings: &Settings<'_>) -> u32 {
    let check = if settings.allowed_sources.is_empty() { 0 } else { maps::CHECK_SOURCE };
    let stamp = if settings.stamp_arrival { maps::STAMP_ARRIVAL } else { 0 };
    let fragments = if settings.fragments { maps::STEER_FRAGMENTS } else { 0 };
    check | stamp | fragments
}

/// Returns the program. A test in crate `vxtap-tests` checks that the embedded object has it and
/// all maps.
fn program(ebpf: &mut Ebpf) -> Result<&mut Xdp, SteeringError> {
    let program =
        ebpf.program_mut(maps::PROGRAM).ok_or(SteeringError::Object { part: maps::PROGRAM })?;
    program.try_into().map_err(SteeringError::of_load)
}

fn take_map<M>(ebpf: &mut Ebpf, name: &'static str) -> Result<M, SteeringError>
where
    M: TryFrom<Map, Error = MapError>,
{
    let map = ebpf.take_map(name).ok_or(SteeringError::Object { part: name })?;
    M::try_from(map).map_err(map_error(name))
}

fn map_error(map: &'static str) -> impl Fn(MapError) -> SteeringError {
    move |source| SteeringError::Map { map, source: Box::new(source) }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const NOBODY: Settings<'static> =
        Settings { ports: &[], allowed_sources: &[], stamp_arrival: false, fragments: false };

    #[test]
    fn more_than_the_maps_hold_is_refused_before_anything_is_loaded() {
        let ports: Vec<u16> = (0..=64).collect();
        let error = Steering::load(&Settings { ports: &ports, ..NOBODY }).unwrap_err();
        assert_eq!(error.to_string(), "65 ports are too many, 64 is the limit; name fewer");
        let sources: Vec<IpNet> = (0..=4096_u32)
            .map(|i| IpNet::new(Ipv4Addr::from_bits(i).into(), 32).unwrap())
            .collect();
        let error = Steering::load(&Settings { allowed_sources: &sources, ..NOBODY }).unwrap_err();
        assert_eq!(
            error.to_string(),
            "4097 allowed IPv4 sources are too many, 4096 is the limit; name fewer"
        );
    }

    #[test]
    fn sources_are_checked_only_when_there_are_some_to_allow() {
        assert_eq!(flags_of(&NOBODY), 0);
        let anywhere = ["10.0.0.0/8".parse().unwrap()];
        assert_eq!(
            flags_of(&Settings { allowed_sources: &anywhere, ..NOBODY }),
            maps::CHECK_SOURCE
        );
        assert_eq!(flags_of(&Settings { stamp_arrival: true, ..NOBODY }), maps::STAMP_ARRIVAL);
        assert_eq!(flags_of(&Settings { fragments: true, ..NOBODY }), maps::STEER_FRAGMENTS);
    }
}
