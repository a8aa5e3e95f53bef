//! Follows changes of the interfaces while the engine runs: link down and up, another MTU, more or
//! fewer RX queues, deletion.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant};

use super::interface_notes;
use super::queue_builder::{QueueBuilder, QueueCpu};
use super::{Engine, EngineError, FrameSource, OutputInstance, cpus};
use crate::config::Queues;
use crate::interface::{self, Interface};
use crate::plural::counted;
use crate::ring::{self, QueueId};
use crate::sys::rx_queue_count;
use crate::worker::QueueHandle;

/// Interval between two queries: one netlink request for all interfaces.
const INTERVAL: Duration = Duration::from_millis(500);

/// State of the periodic query.
#[derive(Debug)]
pub(super) struct Watch {
    last: Option<Instant>,
    /// Network namespace of the interfaces.
    namespace: Option<u64>,
    /// `true` once a call from another namespace was reported.
    is_reported: bool,
}

impl Watch {
    /// Returns a watch of interfaces in the network namespace of the calling thread.
    pub(super) fn here() -> Self {
        Self { last: None, namespace: network_namespace(), is_reported: false }
    }

    fn is_due(&mut self) -> bool {
        let is_due = self.last.is_none_or(|last| last.elapsed() >= INTERVAL);
        if is_due {
            self.last = Some(Instant::now());
        }
        is_due
    }
}

/// Returns the identity of the network namespace of the calling thread (`namespaces(7)`).
fn network_namespace() -> Option<u64> {
    fs::metadata("/proc/thread-self/ns/net").ok().map(|namespace| namespace.ino())
}

/// A change of an interface.
struct InterfaceChange {
    index: usize,
    now: Option<Interface>,
    queue_count: u32,
}

impl Engine {
    /// Queries the interfaces, twice a second however often it is called, and applies what has
    /// changed. Call it at least once a second, from the network namespace in which the engine was
    /// opened.
    ///
    /// Changes are reported by [`Self::take_diagnostics`]. New RX queues are served if all queues
    /// are configured. A deleted interface delivers no more frames; without another one the engine
    /// [has ended](Self::has_ended). Frames that consumers hold stay valid in any case.
    pub fn poll_interfaces(&mut self) {
        if !self.is_started || !self.watch.is_due() {
            return;
        }
        if self.watch.namespace == network_namespace() {
            self.check_interfaces();
        } else if !std::mem::replace(&mut self.watch.is_reported, true) {
            self.diagnostics
                .push("the interfaces are not watched from another network namespace".to_owned());
        }
    }

    /// Queries the interfaces and applies what has changed.
    pub(super) fn check_interfaces(&mut self) {
        for change in self.changes_of_interfaces() {
            self.apply(change);
        }
        self.update_destinations();
        self.report_ended_workers();
    }

    /// Gives the programs the addresses of their interfaces, and reports what arrives for others.
    fn update_destinations(&mut self) {
        if self.watch.namespace != network_namespace() {
            return;
        }
        let FrameSource::Live(interfaces) = &mut self.source else { return };
        // An error passes, or is one that opening the next interface reports.
        let Ok(all) = interface::all() else { return };
        for captured in interfaces.iter_mut().filter(|captured| !captured.is_gone) {
            if let Ok(Some(note)) = captured.update_destinations(&all) {
                for sentence in interface_notes::sentences(&[note]) {
                    self.diagnostics.push(sentence);
                }
            }
        }
    }

    /// Reports interfaces that still exist but have lost a worker, while others go on.
    fn report_ended_workers(&mut self) {
        if self.has_ended() {
            return;
        }
        let FrameSource::Live(interfaces) = &mut self.source else { return };
        for (index, captured) in
            interfaces.iter_mut().enumerate().filter(|(_, captured)| !captured.is_gone)
        {
            if self.workers.any_ended(index) {
                captured.is_gone = true;
                self.workers.drain_interface(index);
                self.diagnostics.push(format!(
                    "a worker of {} has ended: the interface delivers no more frames",
                    captured.interface.name
                ));
            }
        }
    }

    /// Returns the interfaces that have changed; none if the kernel cannot be asked now, which is
    /// tried again.
    fn changes_of_interfaces(&self) -> Vec<InterfaceChange> {
        if self.watch.namespace != network_namespace() {
            return Vec::new();
        }
        let FrameSource::Live(interfaces) = &self.source else { return Vec::new() };
        let Ok(all) = interface::all() else { return Vec::new() };
        let mut changes = Vec::new();
        for (index, captured) in
            interfaces.iter().enumerate().filter(|(_, captured)| !captured.is_gone)
        {
            let now =
                all.iter().find(|interface| interface.index == captured.interface.index).cloned();
            // By its current name.
            let count = now.as_ref().and_then(|now| rx_queue_count(&now.name).ok());
            let queue_count = count.unwrap_or(captured.queue_count);
            if now.as_ref() != Some(&captured.interface) || queue_count != captured.queue_count {
                changes.push(InterfaceChange { index, now, queue_count });
            }
        }
        changes
    }

    /// Reports and applies a change.
    fn apply(&mut self, InterfaceChange { index, now, queue_count }: InterfaceChange) {
        let FrameSource::Live(interfaces) = &mut self.source else { return };
        let captured = &mut interfaces[index];
        let name = captured.interface.name.clone();
        let Some(now) = now else {
            captured.is_gone = true;
            let failure = format!("{name} was deleted: it delivers no more frames");
            self.workers.drain_interface(index);
            if !self.has_ended() {
                self.diagnostics.push(failure.clone());
            }
            self.failures.push(failure);
            return;
        };
        let (before, count_before) = (captured.interface.clone(), captured.queue_count);
        (captured.interface, captured.queue_count) = (now.clone(), queue_count);
        let (has_segments, mode) = (captured.has_segments, captured.mode);
        for note in describe(&before, &now, has_segments) {
            self.diagnostics.push(note);
        }
        if queue_count != count_before {
            self.diagnostics.push(format!(
                "{name} has {} (before: {count_before})",
                counted(queue_count, "RX queue")
            ));
        }
        if queue_count > count_before
            && mode.xdp().is_some()
            && self.config.capture.queues == Queues::All
        {
            for queue in count_before..queue_count {
                if let Err(error) = self.add_queue(index, queue) {
                    self.diagnostics.push(format!(
                        "queue {queue} of {name} is left to the kernel stack: {error}"
                    ));
                }
            }
        }
    }

    /// Serves a new queue, unless it is served already: memory, socket, a ring to each output, and
    /// a worker.
    fn add_queue(&mut self, interface: usize, queue: u32) -> Result<(), EngineError> {
        let queue_id = QueueId { interface, queue };
        if self.queues.has(queue_id) {
            return Ok(());
        }
        let FrameSource::Live(interfaces) = &self.source else { return Ok(()) };
        let captured = &interfaces[interface];
        let builder = QueueBuilder { config: &self.config, interface: &captured.interface };
        let mut umem = builder.umem(captured.chunk_size, self.planned_outputs)?;
        let mut diagnostics = Vec::new();
        let open =
            builder.open(captured.mode, self.place_of(queue), &mut umem, &mut diagnostics)?;
        for note in diagnostics {
            self.diagnostics.push(note);
        }
        let mut writers = Vec::new();
        let has_ring = |(_, instance): &(usize, &OutputInstance)| {
            !instance.is_gone && instance.attached.is_none()
        };
        for (id, instance) in self.instances.iter().enumerate().filter(has_ring) {
            let ring = ring::ring(instance.ring_len as usize, open.rx.umem().clone(), queue_id);
            let (writer, reader) = ring.map_err(EngineError::no_rings)?;
            instance.extend(reader);
            writers.push((id, writer));
        }
        let handle = QueueHandle::new(queue_id, open.rx.umem().clone());
        // Other threads see only queues that have workers, in the order of the workers.
        let target = self.start_worker(handle.clone(), open, writers)?;
        self.queues.push(handle);
        let connected = self.start_delivery(self.queues.len() - 1, target);
        self.notify_consumers();
        connected
    }

    /// Returns the CPU for the worker of a new queue: the next one, or none if the list has no
    /// more.
    fn place_of(&self, queue: u32) -> QueueCpu {
        let count = self.queues.len() + 1;
        let cpus = cpus::choose(&self.config.workers.cpus, count).unwrap_or_default();
        (queue, cpus.get(count - 1).copied())
    }
}

/// Returns messages about the change of an interface.
fn describe(before: &Interface, now: &Interface, has_segments: bool) -> Vec<String> {
    let mut diagnostics = Vec::new();
    let name = &now.name;
    if before.name != *name {
        diagnostics.push(format!("{} was renamed to {name}", before.name));
    }
    match (before.is_up, now.is_up) {
        (true, false) => diagnostics.push(format!("{name} is down, nothing arrives")),
        (false, true) => diagnostics.push(format!("{name} is up again")),
        _ => {}
    }
    if before.mtu != now.mtu {
        let chunks = if has_segments {
            ""
        } else {
            "; frames that are longer than a chunk go to the kernel stack, counted as several_buffers"
        };
        diagnostics
            .push(format!("the MTU of {name} is {} (before: {}){chunks}", now.mtu, before.mtu));
    }
    diagnostics
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_said() {
        let before = Interface {
            name: "eth1".to_owned(),
            index: 2,
            mtu: 1500,
            is_up: true,
            xdp_program: None,
            has_ethernet_header: true,
            tunnel: None,
            stack: interface::Stack::default(),
        };
        let now = Interface { name: "mirror".to_owned(), mtu: 9001, is_up: false, ..before };
        let diagnostics = describe(&before, &now, false);
        assert_eq!(
            diagnostics[..2],
            ["eth1 was renamed to mirror", "mirror is down, nothing arrives"]
        );
        assert!(
            diagnostics[2].starts_with("the MTU of mirror is 9001 (before: 1500); frames"),
            "{}",
            diagnostics[2]
        );
        assert_eq!(describe(&now, &now, true), [""; 0]);
        let up = Interface { is_up: true, ..now.clone() };
        assert_eq!(describe(&now, &up, true), ["mirror is up again"]);
    }
}
