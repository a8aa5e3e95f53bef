//! An interface that is captured: its mode, and the path by which frames come in.
//!
//! The order is: query the interface, load the program, attach it, open the sockets, and put the
//! sockets into the program's map once the workers run. Until then the kernel stack gets the
//! frames, as before.

use std::iter::repeat;
use std::os::fd::AsFd;
use std::sync::Arc;

use super::active_mode::{ActiveMode, ModeFallback};
use super::queue_builder::{self, OpenQueue, QueueBuilder, QueueCpu, SteeringTarget};
use super::{EngineError, cpus};
use crate::config::{Config, FragmentMode, Output, Queues};
use crate::interface::Interface;
use crate::steering::{self, AttachMode, Steering, SteeringCounters, SteeringError};
use crate::sys::{driver_of, rx_queue_count};
use crate::udp::UdpStats;
use crate::xsk::{SocketError, Umem};

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
}

/// Tries the capture modes of one interface.
struct ModeSelection<'a> {
    builder: QueueBuilder<'a>,
    queue_cpus: Vec<QueueCpu>,
    umems: Vec<Arc<Umem>>,
    /// Loaded once; the program stays attached from one mode to the next where both attach it the
    /// same way, because some drivers take the link down for every change.
    steering: Option<Box<Steering>>,
    attached: Option<AttachMode>,
}

impl CapturedInterface {
    /// Opens an interface with its queues in the best mode that works. The workers of the first
    /// `workers_before` CPUs belong to other interfaces. Adds a message to `diagnostics` for each
    /// thing that is not as good as it could be.
    pub(super) fn open(
        config: &Config,
        name: &str,
        workers_before: usize,
        diagnostics: &mut Vec<String>,
    ) -> Result<(Self, Vec<OpenQueue>), EngineError> {
        let interface = Interface::find(name)?;
        let (queues, queue_count) = queue_list(&interface, &config.capture.queues)?;
        if !interface.is_up {
            diagnostics.push(format!(
                "{name} is down, nothing arrives: bring it up with `ip link set dev {name} up`"
            ));
        }
        let cpus = cpus::choose(&config.workers.cpus, workers_before + queues.len())?;
        let cpus = cpus.into_iter().skip(workers_before).map(Some).chain(repeat(None));
        let builder = QueueBuilder { config, interface: &interface };
        let chunk_size = builder.chunk_size();
        let umems: Result<_, _> = queues
            .iter()
            .map(|_| builder.umem(chunk_size, Output::count_rings(&config.outputs)))
            .collect();
        let queue_cpus = queues.into_iter().zip(cpus).collect();
        let mut select =
            ModeSelection { builder, queue_cpus, umems: umems?, steering: None, attached: None };
        let (modes, mut fallbacks) =
            ActiveMode::to_try(config.capture.mode, driver_of(name).as_deref());
        let mut messages = Vec::new();
        let (mode, open) = select.select(&modes, &mut fallbacks, &mut messages)?;
        diagnostics.extend(fallback_messages(name, &fallbacks).into_iter().chain(messages));
        queue_builder::warn_of_missing_hugepages(config, &select.umems, diagnostics);
        let ModeSelection { steering, .. } = select;
        let ingress = match steering {
            Some(steering) if mode.xdp().is_some() => {
                IngressPath::Program { steering, is_attached: true }
            }
            _ => IngressPath::Stack(Vec::new()),
        };
        Ok((
            Self {
                interface,
                mode,
                fallbacks,
                queue_count,
                chunk_size,
                has_segments: true,
                is_gone: false,
                ingress,
            },
            open,
        ))
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

    /// Detaches the program from the interface; returns `false` if none was attached. The counters
    /// can still be read.
    pub(super) fn detach(&mut self) -> bool {
        match &mut self.ingress {
            IngressPath::Program { steering, is_attached } => {
                steering.detach();
                std::mem::replace(is_attached, false)
            }
            IngressPath::Stack(_) => false,
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

impl ModeSelection<'_> {
    /// Tries the modes in order until one works; adds the others to `fallbacks`.
    fn select(
        &mut self,
        modes: &[ActiveMode],
        fallbacks: &mut Vec<ModeFallback>,
        diagnostics: &mut Vec<String>,
    ) -> Result<(ActiveMode, Vec<OpenQueue>), EngineError> {
        for (index, &mode) in modes.iter().enumerate() {
            let is_last = index + 1 == modes.len();
            match self.open_all(mode, diagnostics) {
                Ok(open) => return Ok((mode, open)),
                Err(error) if !is_last && allows_fallback(&error) => {
                    fallbacks.push(ModeFallback { mode, reason: cause(&error) });
                }
                Err(error) => return Err(error),
            }
        }
        unreachable!("the last mode returns")
    }

    /// Opens all queues in one mode.
    fn open_all(
        &mut self,
        mode: ActiveMode,
        diagnostics: &mut Vec<String>,
    ) -> Result<Vec<OpenQueue>, EngineError> {
        match mode.xdp() {
            Some((mode, _)) => self.attach(mode)?,
            None => self.steering = None,
        }
        let Self { builder, queue_cpus, umems, .. } = self;
        let each = queue_cpus.iter().zip(umems);
        each.map(|(&index, umem)| builder.open(mode, index, umem, diagnostics)).collect()
    }

    fn attach(&mut self, mode: AttachMode) -> Result<(), EngineError> {
        let QueueBuilder { config, interface } = self.builder;
        let mut steering = match self.steering.take() {
            Some(steering) => steering,
            None => Box::new(load(config)?),
        };
        if self.attached != Some(mode) {
            self.attached = None;
            let attached = steering.attach(interface.index, &interface.name, mode);
            self.attached = attached.is_ok().then_some(mode);
            self.steering = Some(steering);
            return Ok(attached?);
        }
        self.steering = Some(steering);
        Ok(())
    }
}

fn load(config: &Config) -> Result<Steering, EngineError> {
    let capture = &config.capture;
    let ports: Vec<_> = capture.ports.iter().map(|port| port.number).collect();
    let settings = steering::Settings {
        ports: &ports,
        allowed_sources: &capture.allowed_sources,
        stamp_arrival: capture.arrival_times,
        fragments: capture.fragments == FragmentMode::Reassemble,
    };
    Ok(Steering::load(&settings)?)
}

/// Returns whether kernel, driver or privileges do not suffice for this mode, so that the next one
/// is worth a try.
const fn allows_fallback(error: &EngineError) -> bool {
    match error {
        EngineError::Steering(error) => matches!(
            error,
            SteeringError::NoNativeMode { .. }
                | SteeringError::MtuTooLarge { .. }
                | SteeringError::Attach { .. }
                | SteeringError::NotPermitted { .. }
                | SteeringError::Load { .. }
        ),
        EngineError::Socket(error) => matches!(
            error,
            SocketError::Unsupported { .. }
                | SocketError::NoSegments { .. }
                | SocketError::NotPermitted
        ),
        _ => false,
    }
}

/// Returns the reason against a mode, from the error that it caused.
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

/// Returns one message for each reason.
fn fallback_messages(name: &str, fallbacks: &[ModeFallback]) -> Vec<String> {
    let of_one_reason = fallbacks.chunk_by(|one, other| one.reason == other.reason);
    let note = |fallbacks: &[ModeFallback]| {
        let modes: Vec<_> = fallbacks.iter().map(|fallback| fallback.mode.to_string()).collect();
        format!("{name} is not captured in {} mode: {}", modes.join(" or "), fallbacks[0].reason)
    };
    of_one_reason.map(note).collect()
}

/// Returns the queues to read, and the number of queues that the interface has.
fn queue_list(interface: &Interface, queues: &Queues) -> Result<(Vec<u32>, u32), EngineError> {
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
