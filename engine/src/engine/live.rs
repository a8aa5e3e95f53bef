//! Frames from an interface: the XDP program attached, a socket on each queue.
//!
//! The order is: look at the interface, load the program, attach it, open the sockets, and put the sockets
//! into the program's map once the workers run. Until then the kernel stack gets the frames, as before.

use std::iter::repeat;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

use super::{EngineError, cpus};
use crate::config::{Capture, CaptureMode, Config, Queues};
use crate::interface::Interface;
use crate::steering::{self, AttachMode, Steering, SteeringError};
use crate::xsk::{
    BindMode, FreeList, Geometry, Pages, RxQueue, Socket, SocketError, SocketSettings, Umem, rx_queue_count,
};

/// Bytes that a frame has beyond the interface's MTU: Ethernet header and two VLAN tags.
const LINK_HEADER_MAX: u32 = 14 + 2 * 4;

/// An RX queue, and the CPU of its worker if the CPUs are known.
type Place = (u32, Option<usize>);

/// A queue with its socket, ready for a worker.
#[derive(Debug)]
pub(super) struct OpenQueue {
    pub(super) queue: u32,
    /// Where its worker is to run; `None` if the CPUs are not known.
    pub(super) cpu: Option<usize>,
    pub(super) socket: Socket,
    pub(super) rx: RxQueue,
    pub(super) free: FreeList,
}

/// How frames get from the wire into the UMEM; the ladder's rung.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rung {
    /// Native XDP, the NIC writes into the UMEM.
    ZeroCopy,
    /// Native XDP, the kernel copies.
    NativeCopy,
    /// Generic XDP: after the kernel has made a socket buffer of the frame.
    Generic,
}

impl Rung {
    /// All rungs, the best first.
    const LADDER: [Self; 3] = [Self::ZeroCopy, Self::NativeCopy, Self::Generic];

    const fn attach_mode(self) -> AttachMode {
        match self {
            Self::ZeroCopy | Self::NativeCopy => AttachMode::Native,
            Self::Generic => AttachMode::Generic,
        }
    }

    const fn bind_mode(self) -> BindMode {
        match self {
            Self::ZeroCopy => BindMode::ZeroCopy,
            Self::NativeCopy | Self::Generic => BindMode::Copy,
        }
    }
}

impl std::fmt::Display for Rung {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(match self {
            Self::ZeroCopy => "zero-copy",
            Self::NativeCopy => "native copy",
            Self::Generic => "generic copy",
        })
    }
}

/// The interface in use.
#[derive(Debug)]
pub(super) struct Live {
    interface: Interface,
    steering: Steering,
    rung: Rung,
    is_attached: bool,
}

impl Live {
    /// Loads and attaches the program and opens a socket on each queue. `notes` gets a sentence for each thing that is
    /// not as good as it could be.
    pub(super) fn open(
        config: &Config,
        notes: &mut Vec<String>,
    ) -> Result<(Self, Vec<OpenQueue>), EngineError> {
        let Capture { interface, ports, allowed_sources, queues, arrival_times, .. } = &config.capture;
        let interface = Interface::find(interface)?;
        let chunk_size = chunk_size(&interface, config.memory.chunk_size);
        let queues = queue_list(&interface, queues)?;
        if !interface.is_up {
            let name = &interface.name;
            notes.push(format!(
                "{name} is down, nothing arrives: bring it up with `ip link set dev {name} up`"
            ));
        }
        let cpus = cpus::choose(&config.workers.cpus, queues.len())?;
        let places: Vec<_> =
            queues.iter().copied().zip(cpus.into_iter().map(Some).chain(repeat(None))).collect();
        let ports: Vec<_> = ports.iter().map(|port| port.number).collect();
        let settings = steering::Settings { ports: &ports, allowed_sources, stamp_arrival: *arrival_times };
        let mut steering = Steering::load(&settings)?;
        let rungs: &[Rung] = match config.capture.mode {
            CaptureMode::Auto => &Rung::LADDER,
            CaptureMode::ZeroCopy => &[Rung::ZeroCopy],
            CaptureMode::Native => &[Rung::NativeCopy],
            CaptureMode::Generic => &[Rung::Generic],
        };
        let mut umems = umems(config, chunk_size, places.len())?;
        let mut attached = None;
        for (place, &rung) in rungs.iter().enumerate() {
            let is_last = place + 1 == rungs.len();
            match climb(config, &interface, &mut steering, &mut attached, &places, &mut umems, rung) {
                Ok(open) => {
                    note_hugepages(config, &open, notes);
                    return Ok((Self { interface, steering, rung, is_attached: true }, open));
                }
                Err(error) if !is_last && is_step_down(&error) => {
                    notes.push(format!(
                        "{} is not captured in {rung} mode: {}",
                        interface.name,
                        cause(&error)
                    ));
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last rung returns")
    }

    pub(super) const fn interface(&self) -> &Interface {
        &self.interface
    }

    pub(super) const fn steering(&self) -> &Steering {
        &self.steering
    }

    pub(super) const fn rung(&self) -> Rung {
        self.rung
    }

    /// Lets the frames in: from here on the program hands them to the sockets.
    pub(super) fn connect(&mut self, queue: u32, socket: BorrowedFd<'_>) -> Result<(), EngineError> {
        Ok(self.steering.set_socket(queue, socket)?)
    }

    /// Takes the program off the interface; says whether it was there. Its counters can still be read.
    pub(super) fn detach(&mut self) -> bool {
        let was_attached = std::mem::replace(&mut self.is_attached, false);
        self.steering.detach();
        was_attached
    }
}

/// The memory of each queue, made once: what one rung gives back the kernel releases only some time later.
fn umems(config: &Config, chunk_size: u32, queue_count: usize) -> Result<Vec<Arc<Umem>>, EngineError> {
    let memory = &config.memory;
    let plan = memory.plan(config.outputs.len())?;
    let geometry = Geometry::new(chunk_size, plan.chunk_count);
    let pages = if memory.hugepages { Pages::Reserved } else { Pages::Collapsed };
    let umem = |_| Ok(Arc::new(Umem::create(geometry, pages)?.0));
    (0..queue_count).map(umem).collect()
}

/// Tries one rung on all queues. The program stays attached from one rung to the next where both attach it the same
/// way: some drivers take the link down for every change.
fn climb(
    config: &Config,
    interface: &Interface,
    steering: &mut Steering,
    attached: &mut Option<AttachMode>,
    places: &[Place],
    umems: &mut [Arc<Umem>],
    rung: Rung,
) -> Result<Vec<OpenQueue>, EngineError> {
    let mode = rung.attach_mode();
    if *attached != Some(mode) {
        *attached = None;
        steering.attach(interface.index, &interface.name, mode)?;
        *attached = Some(mode);
    }
    let each = places.iter().zip(umems);
    each.map(|(&place, umem)| open_queue(config, interface, place, umem, rung.bind_mode())).collect()
}

fn open_queue(
    config: &Config,
    interface: &Interface,
    (queue, cpu): Place,
    umem: &mut Arc<Umem>,
    mode: BindMode,
) -> Result<OpenQueue, EngineError> {
    let mut free = Umem::chunks(umem).expect("no queue of another rung is left");
    let settings = SocketSettings {
        if_index: interface.index,
        queue,
        mode,
        needs_segments_above: Some(mtu_max(umem.geometry().chunk_size())).filter(|max| interface.mtu > *max),
        fill_len: config.memory.fill_ring,
        rx_len: config.memory.rx_ring,
        busy_poll: config.capture.busy_poll.as_ref().map(|poll| (poll.usecs, poll.budget)),
    };
    let (socket, rx) = Socket::open(umem, &mut free, &settings)?;
    Ok(OpenQueue { queue, cpu, socket, rx, free })
}

/// Whether the error says that the driver lacks this rung, so that the next one is worth a try.
const fn is_step_down(error: &EngineError) -> bool {
    match error {
        EngineError::Steering(error) => matches!(
            error,
            SteeringError::NoNativeMode { .. }
                | SteeringError::MtuTooLarge { .. }
                | SteeringError::Attach { .. }
        ),
        EngineError::Socket(error) => {
            matches!(error, SocketError::Unsupported { .. } | SocketError::NoSegments { .. })
        }
        _ => false,
    }
}

/// What the kernel said to a rung.
fn cause(error: &EngineError) -> String {
    match error {
        EngineError::Steering(SteeringError::NoNativeMode { source, .. }) => {
            format!("the driver has no native XDP ({source})")
        }
        EngineError::Socket(SocketError::Unsupported { mode, source, .. }) => {
            format!("the driver does not offer {mode} ({source})")
        }
        other => other.to_string(),
    }
}

fn note_hugepages(config: &Config, open: &[OpenQueue], notes: &mut Vec<String>) {
    const HUGEPAGE_BYTES: u64 = 2 << 20;
    if config.memory.hugepages && !open.iter().all(|queue| queue.rx.umem().is_huge()) {
        let pages = open.iter().map(|queue| queue.rx.umem().geometry().len().div_ceil(HUGEPAGE_BYTES));
        let pages: u64 = pages.sum();
        notes.push(format!(
            "not enough huge pages are reserved and the kernel could not make some, using ordinary ones: {pages} of \
             2 MiB are needed (`sysctl vm.nr_hugepages`)"
        ));
    }
}

/// Longest packet, in bytes, that fits into a chunk with its link-layer header.
const fn mtu_max(chunk_size: u32) -> u32 {
    Geometry::new(chunk_size, 1).frame_max() - LINK_HEADER_MAX
}

/// Size of a chunk in bytes: as configured, else the smallest that holds frames of the interface's MTU, else the largest there
/// is, of which a frame then takes several.
fn chunk_size(interface: &Interface, configured: Option<u32>) -> u32 {
    const SIZES: [u32; 2] = [2048, 4096];
    let fits = |&size: &u32| interface.mtu <= mtu_max(size);
    configured.unwrap_or_else(|| SIZES.into_iter().find(fits).unwrap_or(SIZES[1]))
}

fn queue_list(interface: &Interface, queues: &Queues) -> Result<Vec<u32>, EngineError> {
    let count = rx_queue_count(&interface.name).map_err(|source| EngineError::System {
        what: format!("cannot ask {} for its queues", interface.name),
        source,
    })?;
    match queues {
        Queues::All => Ok((0..count).collect()),
        Queues::List(list) => match list.iter().find(|&&queue| queue >= count) {
            Some(&queue) => Err(EngineError::NoSuchQueue { interface: interface.name.clone(), queue, count }),
            None => Ok(list.clone()),
        },
    }
}
