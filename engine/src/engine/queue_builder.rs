//! Opens an RX queue: its memory, and its AF_XDP or UDP socket.

use std::os::fd::{AsFd, OwnedFd};
use std::panic::resume_unwind;
use std::sync::Arc;
use std::thread;

use super::EngineError;
use super::active_mode::ActiveMode;
use crate::config::{Capture, Config};
use crate::interface::Interface;
use crate::udp::{UdpSettings, UdpSource, UdpStats};
use crate::xsk::{
    BindMode, FreeList, Geometry, Pages, RxBackend, RxQueue, Socket, SocketSettings, Umem,
};

/// Bytes that a frame has beyond the interface's MTU: Ethernet header and two VLAN tags.
const LINK_HEADER_MAX: u32 = 14 + 2 * 4;

/// An opened queue that waits for its worker.
pub(super) struct OpenQueue {
    pub(super) queue: u32,
    /// CPU that its worker is pinned to; `None` if the CPUs are not known.
    pub(super) cpu: Option<usize>,
    pub(super) backend: Box<dyn RxBackend>,
    pub(super) rx: RxQueue,
    pub(super) free: FreeList,
    pub(super) target: SteeringTarget,
}

/// The way in which frames are steered to a queue.
#[derive(Debug)]
pub(super) enum SteeringTarget {
    /// The socket goes into the XDP program's map.
    Socket {
        socket: OwnedFd,
        /// `true` if the socket takes frames in several buffers (`XDP_USE_SG`).
        has_segments: bool,
    },
    /// The kernel stack knows the UDP sockets; they count here.
    Stack(Arc<UdpStats>),
    /// Frames need no steering.
    NotSteered,
}

/// An RX queue, and the CPU of its worker if the CPUs are known.
pub(super) type QueueCpu = (u32, Option<usize>);

/// Opens queues of one interface.
#[derive(Clone, Copy)]
pub(super) struct QueueBuilder<'a> {
    pub(super) config: &'a Config,
    pub(super) interface: &'a Interface,
}

impl QueueBuilder<'_> {
    /// Creates the UMEM of a queue, with chunks of `chunk_size` bytes.
    pub(super) fn umem(
        &self,
        chunk_size: u32,
        planned_outputs: usize,
    ) -> Result<Arc<Umem>, EngineError> {
        let memory = &self.config.memory;
        let geometry = Geometry::new(chunk_size, memory.plan(planned_outputs)?.chunk_count);
        let pages = if memory.hugepages { Pages::Reserved } else { Pages::Collapsed };
        Ok(Arc::new(Umem::create(geometry, pages)?.0))
    }

    /// Creates the UMEMs of `count` queues, on as many threads as there are CPUs: the kernel clears
    /// all of the memory.
    pub(super) fn umems(
        &self,
        chunk_size: u32,
        planned_outputs: usize,
        count: usize,
    ) -> Result<Vec<Arc<Umem>>, EngineError> {
        let threads = thread::available_parallelism().map_or(1, usize::from).min(count).max(1);
        let share = |first: usize| -> Result<Vec<_>, EngineError> {
            (first..count)
                .step_by(threads)
                .map(|_| self.umem(chunk_size, planned_outputs))
                .collect()
        };
        thread::scope(|scope| {
            let others: Vec<_> = (1..threads)
                .map(|first| {
                    let thread = thread::Builder::new().spawn_scoped(scope, move || share(first));
                    (first, thread)
                })
                .collect();
            let mut umems = share(0)?;
            for (first, other) in others {
                umems.extend(match other {
                    Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                    // Without another thread it takes longer.
                    Err(_) => share(first),
                }?);
            }
            Ok(umems)
        })
    }

    /// Opens a queue in a mode. The caller must hold the only reference to its memory. Adds a
    /// message to `diagnostics` for each thing that is not as good as it could be.
    pub(super) fn open(
        &self,
        mode: ActiveMode,
        index: QueueCpu,
        umem: &mut Arc<Umem>,
        diagnostics: &mut Vec<String>,
    ) -> Result<OpenQueue, EngineError> {
        match mode.xdp() {
            Some((_, mode)) => self.open_xdp(mode, index, umem),
            None => self.open_udp(index, umem, diagnostics),
        }
    }

    fn open_xdp(
        &self,
        mode: BindMode,
        (queue, cpu): QueueCpu,
        umem: &mut Arc<Umem>,
    ) -> Result<OpenQueue, EngineError> {
        let Self { config, interface } = self;
        let mut free = Umem::chunks(umem).expect("no queue of another mode is left");
        let mtu_max = mtu_max(umem.geometry().chunk_size());
        let settings = SocketSettings {
            if_index: interface.index,
            queue,
            mode,
            needs_segments_above: Some(mtu_max).filter(|max| interface.mtu > *max),
            fill_len: config.memory.fill_ring,
            rx_len: config.memory.rx_ring,
            busy_poll: config.capture.busy_poll.as_ref().map(|poll| (poll.usecs, poll.budget)),
        };
        let (socket, rx) = Socket::open(umem, &mut free, &settings)?;
        let handle = socket.as_fd().try_clone_to_owned();
        let what = "cannot duplicate a socket's descriptor".to_owned();
        let handle = handle.map_err(|source| EngineError::System { what, source })?;
        let target = SteeringTarget::Socket { socket: handle, has_segments: socket.has_segments() };
        Ok(OpenQueue { queue, cpu, backend: Box::new(socket), rx, free, target })
    }

    fn open_udp(
        &self,
        (queue, cpu): QueueCpu,
        umem: &mut Arc<Umem>,
        diagnostics: &mut Vec<String>,
    ) -> Result<OpenQueue, EngineError> {
        let Self { config, interface } = self;
        let Capture { ports, allowed_sources, .. } = &config.capture;
        let ports: Vec<_> = ports.iter().map(|port| port.number).collect();
        let free = Umem::chunks(umem).expect("no queue of another mode is left");
        let settings = UdpSettings {
            interface: &interface.name,
            ports: &ports,
            allowed_sources,
            frame_len_max: (interface.mtu + LINK_HEADER_MAX) as usize,
        };
        let rings = (config.memory.fill_ring, config.memory.rx_ring);
        let udp_stats = Arc::new(UdpStats::default());
        let (source, rx, granted) =
            UdpSource::open(umem.clone(), &settings, rings, udp_stats.clone())?;
        if let Some(note) = small_buffer(granted).filter(|_| queue == 0) {
            diagnostics.push(note);
        }
        let target = SteeringTarget::Stack(udp_stats);
        Ok(OpenQueue { queue, cpu, backend: Box::new(source), rx, free, target })
    }

    /// Returns the size of a chunk in bytes: as configured, else the smallest that holds frames of
    /// the interface's MTU, else the largest there is; a frame then takes several.
    pub(super) fn chunk_size(&self) -> u32 {
        const SIZES: [u32; 2] = [2048, 4096];
        let fits = |&size: &u32| self.interface.mtu <= mtu_max(size);
        let configured = self.config.memory.chunk_size;
        configured.unwrap_or_else(|| SIZES.into_iter().find(fits).unwrap_or(SIZES[1]))
    }
}

/// Returns the longest packet, in bytes, that fits into a chunk with its link-layer header.
const fn mtu_max(chunk_size: u32) -> u32 {
    Geometry::new(chunk_size, 1).frame_max() - LINK_HEADER_MAX
}

/// Returns a message if a receive buffer is smaller than requested.
fn small_buffer(granted: u32) -> Option<String> {
    let wanted = UdpSettings::BUFFER;
    (granted < wanted).then(|| {
        format!(
            "the receive buffers of the UDP sockets have {} KiB, bursts may be lost: allow more with `sysctl -w \
             net.core.rmem_max={wanted}`, or give the process CAP_NET_ADMIN",
            granted / 1024
        )
    })
}

pub(super) fn warn_of_missing_hugepages(
    config: &Config,
    umems: &[Arc<Umem>],
    diagnostics: &mut Vec<String>,
) {
    const HUGEPAGE_BYTES: u64 = 2 << 20;
    if config.memory.hugepages && !umems.iter().all(|umem| umem.is_huge()) {
        let pages: u64 =
            umems.iter().map(|umem| umem.geometry().len().div_ceil(HUGEPAGE_BYTES)).sum();
        diagnostics.push(format!(
            "not enough huge pages are reserved and the kernel could not make some, using ordinary ones: {pages} of \
             2 MiB are needed (`sysctl vm.nr_hugepages`)"
        ));
    }
}
