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
mod counters;
mod error;
mod foreign;
mod object;
mod offline;
mod own_addresses;
mod redirect_errors;
mod settings;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::BorrowedFd;

use aya::Ebpf;
use aya::maps::{Array, MapData, MapError, PerCpuArray, XskMap};
use aya::programs::links::FdLink;
use vxtap_ebpf::maps::{self, Outcome};

use crate::sys::wait_for_kernel_readers;
pub use attachment::AttachMode;
pub use counters::SteeringCounters;
pub(crate) use counters::outcome_name;
pub use error::SteeringError;
pub use foreign::{AttachedProgram, attached_program};
use object::{map_error, take_map};
pub(crate) use offline::Offline;
use own_addresses::OwnAddresses;
pub use settings::Settings;

/// The XDP program in the kernel, with its maps. Dropping it detaches the program, and so does the
/// end of the process, also by a signal.
pub struct Steering {
    // Before `ebpf`: detached first.
    link: Option<FdLink>,
    ebpf: Ebpf,
    sockets: XskMap<MapData>,
    /// Queues that have a socket in the map.
    queues: BTreeSet<u32>,
    own_addresses: OwnAddresses,
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
        settings.check()?;
        let mut ebpf = object::load()?;
        let sockets_id = redirect_errors::id_of(&ebpf, maps::SOCKETS)?;
        let uncounted_errors = redirect_errors::count(&mut ebpf)?;
        settings.fill(&mut ebpf)?;
        let mut steering = Self {
            link: None,
            sockets: take_map(&mut ebpf, maps::SOCKETS)?,
            queues: BTreeSet::new(),
            own_addresses: OwnAddresses::new(&mut ebpf)?,
            other_destination: take_map(&mut ebpf, maps::OTHER_DESTINATION)?,
            counters: take_map(&mut ebpf, maps::COUNTERS)?,
            settings_map: take_map(&mut ebpf, maps::SETTINGS)?,
            settings: maps::Settings { flags: settings.flags(), own_v4: 0, sockets_id },
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
    /// called while the program is attached: an address that is taken before and afterwards is
    /// taken throughout.
    ///
    /// # Errors
    ///
    /// [`SteeringError::TooMany`] beyond [`maps::DESTINATIONS_MAX`] addresses, with which nothing
    /// changes, or [`SteeringError::Map`].
    pub fn set_destinations(&mut self, own: Option<&[IpAddr]>) -> Result<(), SteeringError> {
        // Nothing is looked up by the time the addresses go, and all are there by the time they are
        // looked up.
        if own.is_none() && self.settings.flags & maps::CHECK_DESTINATION != 0 {
            self.look_up_destinations(None)?;
            wait_for_kernel_readers();
        }
        self.own_addresses.replace(own.unwrap_or_default())?;
        self.look_up_destinations(own)
    }

    /// Tells the program whether to look up destinations in the map of these addresses.
    fn look_up_destinations(&mut self, own: Option<&[IpAddr]>) -> Result<(), SteeringError> {
        self.settings.own_v4 = own_addresses::own_v4(own.unwrap_or_default());
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
        let program = object::program(&mut self.ebpf)?;
        self.link = Some(attachment::attach(program, if_index, interface, mode)?);
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
        let mut counters = SteeringCounters::default();
        for outcome in Outcome::ALL {
            let per_cpu =
                self.counters.get(&(outcome as u32), 0).map_err(map_error(maps::COUNTERS))?;
            *counters.counter_mut(outcome) = per_cpu.iter().sum();
        }
        Ok(counters)
    }
}

impl fmt::Debug for Steering {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { link, ebpf, .. } = self;
        f.debug_struct("Steering").field("link", link).field("ebpf", ebpf).finish_non_exhaustive()
    }
}
