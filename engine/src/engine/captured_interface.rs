//! An interface that is captured: its mode, and the path by which frames come in.
//!
//! The order is: query the interface, load the program, attach it, open the sockets, and put the
//! sockets into the program's map once the workers run. Until then the kernel stack gets the
//! frames, as before.

use std::iter::repeat;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;

use super::active_mode::{ActiveMode, ModeFallback};
use super::destinations::DestinationFilter;
use super::interface_notes::{self, InterfaceNote};
use super::mode_selection::ModeSelection;
use super::queue_builder::{self, OpenQueue, QueueBuilder, SteeringTarget};
use super::{EngineError, cpus};
use crate::config::{CaptureMode, Config, Output, Queues};
use crate::interface::{self, Interface};
use crate::steering::{Steering, SteeringCounters, SteeringError};
use crate::sys::{driver_of, hold_promiscuous, rx_queue_count};
use crate::udp::UdpStats;

/// The part of the system that decides which frames come in.
enum IngressPath {
    /// The XDP program.
    Program { steering: Box<Steering>, is_attached: bool },
    /// The kernel stack; the UDP sockets count what they receive, for each queue.
    Stack(Vec<Arc<UdpStats>>),
}

/// An interface that is captured.
pub(super) struct CapturedInterface {
    /// State of the interface when it was last queried.
    pub(super) interface: Interface,
    pub(super) mode: ActiveMode,
    /// The better modes, and the reasons against them.
    pub(super) fallbacks: Vec<ModeFallback>,
    /// Number of RX queues when it was last queried.
    pub(super) queue_count: u32,
    pub(super) chunk_size: u32,
    /// `true` if a frame longer than a chunk is received in several.
    pub(super) has_segments: bool,
    /// Set once the interface no longer exists.
    pub(super) is_gone: bool,
    ingress: IngressPath,
    destinations: DestinationFilter,
    /// Keeps the interface in promiscuous mode.
    _promiscuous: Option<OwnedFd>,
}

impl CapturedInterface {
    /// Opens an interface with its queues in the best mode that works. The workers of the first
    /// `workers_before` CPUs belong to other interfaces. Adds a note to `notes` for each thing that
    /// is not as good as it could be.
    pub(super) fn open(
        config: &Config,
        name: &str,
        workers_before: usize,
        notes: &mut Vec<InterfaceNote>,
    ) -> Result<(Self, Vec<OpenQueue>), EngineError> {
        let interface = Interface::find(name)?;
        let (queues, queue_count) = queue_list(&interface, &config.capture.queues)?;
        check_link_type(&interface, config.capture.mode)?;
        let cpus = cpus::choose(&config.workers.cpus, workers_before + queues.len())?;
        let cpus = cpus.into_iter().skip(workers_before).map(Some).chain(repeat(None));
        let builder = QueueBuilder { config, interface: &interface };
        let chunk_size = builder.chunk_size();
        let umems =
            builder.umems(chunk_size, Output::count_rings(&config.outputs), queues.len())?;
        let queue_cpus = queues.into_iter().zip(cpus).collect();
        let mut select =
            ModeSelection { builder, queue_cpus, umems, steering: None, attached: None };
        let (modes, mut fallbacks) = ActiveMode::to_try(
            config.capture.mode,
            driver_of(name).as_deref(),
            interface.has_ethernet_header,
        );
        let mut messages = Vec::new();
        let (mode, open) = select.select(&modes, &mut fallbacks, &mut messages)?;
        notes.extend(interface_notes::of(&interface, mode, &fallbacks));
        queue_builder::warn_of_missing_hugepages(config, &select.umems, &mut messages);
        let ModeSelection { steering, .. } = select;
        let ingress = match steering {
            Some(steering) if mode.xdp().is_some() => {
                IngressPath::Program { steering, is_attached: true }
            }
            _ => IngressPath::Stack(Vec::new()),
        };
        let mut captured = Self {
            destinations: DestinationFilter::new(config.capture.destinations),
            _promiscuous: promiscuous(config, &interface)?,
            interface,
            mode,
            fallbacks,
            queue_count,
            chunk_size,
            has_segments: true,
            is_gone: false,
            ingress,
        };
        notes.extend(captured.update_destinations(&interface::all()?)?);
        messages.extend(captured.uncounted_errors());
        notes.extend(messages.into_iter().map(InterfaceNote::whole));
        Ok((captured, open))
    }

    /// Gives the program the addresses of the interface, which is one of `all`, if they have
    /// changed. Returns a note about that, or about datagrams that are addressed to others.
    pub(super) fn update_destinations(
        &mut self,
        all: &[Interface],
    ) -> Result<Option<InterfaceNote>, SteeringError> {
        let Self { interface, ingress, destinations, .. } = self;
        let IngressPath::Program { steering, is_attached: true } = ingress else { return Ok(None) };
        let changed = destinations.update(steering, interface, all)?;
        Ok(changed.or_else(|| destinations.others_alone(steering, &interface.name)))
    }

    /// Returns a message if frames that the kernel refuses are not counted.
    fn uncounted_errors(&self) -> Option<String> {
        let IngressPath::Program { steering, .. } = &self.ingress else { return None };
        steering.uncounted_errors().map(|reason| {
            format!("frames that the kernel refuses after a redirect are not counted ({reason})")
        })
    }

    /// Starts to deliver the frames of a queue.
    pub(super) fn start_delivery(
        &mut self,
        queue: u32,
        target: SteeringTarget,
    ) -> Result<(), EngineError> {
        match (&mut self.ingress, target) {
            (
                IngressPath::Program { steering, .. },
                SteeringTarget::Socket { socket, has_segments },
            ) => {
                if !has_segments {
                    steering.leave_several_buffers()?;
                    self.has_segments = false;
                }
                steering.set_socket(queue, socket.as_fd())?;
            }
            (IngressPath::Stack(stats), SteeringTarget::Stack(udp_stats)) => {
                stats.push(udp_stats);
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the sockets from the program, which stays attached; returns `false` if none is.
    pub(super) fn clear_sockets(&mut self) -> Result<bool, SteeringError> {
        match &mut self.ingress {
            IngressPath::Program { steering, is_attached: true } => {
                steering.clear_sockets().map(|()| true)
            }
            _ => Ok(false),
        }
    }

    /// Detaches the program from the interface. The counters can still be read.
    pub(super) fn detach(&mut self) {
        if let IngressPath::Program { steering, is_attached } = &mut self.ingress {
            steering.detach();
            *is_attached = false;
        }
    }

    /// Returns the outcomes of all frames that were seen.
    pub(super) fn counters(&self) -> Result<SteeringCounters, SteeringError> {
        match &self.ingress {
            IngressPath::Program { steering, .. } => steering.counters(),
            IngressPath::Stack(stats) => {
                let mut counters = SteeringCounters::default();
                for counts in stats.iter().map(|udp_stats| udp_stats.read()) {
                    counters.redirected += counts.redirected;
                    counters.source_not_allowed += counts.source_not_allowed;
                    counters.malformed += counts.malformed;
                }
                Ok(counters)
            }
        }
    }
}

/// Refuses modes that need an Ethernet header for an interface whose packets have none.
fn check_link_type(interface: &Interface, mode: CaptureMode) -> Result<(), EngineError> {
    if interface.has_ethernet_header || matches!(mode, CaptureMode::Auto | CaptureMode::Socket) {
        return Ok(());
    }
    Err(EngineError::NoEthernetHeader { interface: interface.name.clone(), mode })
}

/// Sets the interface to promiscuous mode, if configured.
fn promiscuous(config: &Config, interface: &Interface) -> Result<Option<OwnedFd>, EngineError> {
    if !config.capture.promiscuous {
        return Ok(None);
    }
    let held = hold_promiscuous(interface.index).map_err(|source| EngineError::System {
        what: format!("cannot set {} to promiscuous mode, which needs CAP_NET_RAW", interface.name),
        source,
    })?;
    Ok(Some(held))
}

/// Returns the queues to read, and the number of queues that the interface has.
pub(super) fn queue_list(
    interface: &Interface,
    queues: &Queues,
) -> Result<(Vec<u32>, u32), EngineError> {
    let count = rx_queue_count(&interface.name).map_err(|source| EngineError::System {
        what: format!("cannot ask {} for its queues", interface.name),
        source,
    })?;
    match queues {
        Queues::All => Ok(((0..count).collect(), count)),
        Queues::List(list) => match list.iter().find(|&&queue| queue >= count) {
            Some(&queue) => {
                Err(EngineError::NoSuchQueue { interface: interface.name.clone(), queue, count })
            }
            None => Ok((list.clone(), count)),
        },
    }
}
