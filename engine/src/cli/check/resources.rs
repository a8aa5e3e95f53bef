//! The use of the machine: workers, CPUs, memory.

use std::fmt::{self, Display};

use vxtap::config::{Capture, ConfigError, Cpus, Memory, Queues, WaitMode, Workers};
use vxtap::engine::StartNeeds;
use vxtap::plural::{counted, listed};

/// Number of RX queues of the example, if the configuration does not list the queues.
const EXAMPLE_QUEUES: u64 = 4;

/// Describes the workers and their CPUs.
pub(super) fn workers(workers: &Workers, capture: &Capture) -> String {
    let Workers { cpus, wait } = workers;
    let cpus = match (cpus, &capture.queues) {
        (Cpus::Auto, _) => "on CPUs that the engine chooses".to_owned(),
        (Cpus::List(cpus), Queues::All) => format!("in turn on {}", listed("CPU", cpus)),
        (Cpus::List(cpus), Queues::List(queues)) => {
            let count = queues.len() * capture.interfaces.len().max(1);
            format!("on {}", listed("CPU", &cpus[..count.min(cpus.len())]))
        }
    };
    let idle = match wait {
        WaitMode::Busy => "keeps polling, and uses its CPU in full",
        WaitMode::Adaptive => {
            "sleeps for 100 \u{b5}s at a time under load, else until the kernel wakes it"
        }
        WaitMode::Interrupt => "sleeps until the kernel wakes it",
    };
    format!(
        "Runs one worker per RX queue, {cpus}. While nothing arrives, a worker {idle} (wait = \"{wait}\").\n"
    )
}

/// Describes the memory; `here` is that of the interfaces, if they are here now.
pub(super) fn memory(
    memory: &Memory,
    rings: usize,
    capture: &Capture,
    here: Option<StartNeeds>,
) -> Result<String, ConfigError> {
    let plan = memory.plan(rings)?;
    let Memory { per_queue_mib, chunk_size, fill_ring, rx_ring, hugepages, .. } = memory;
    let bytes = u64::from(plan.chunk_count) * u64::from(memory.chunk_size_max());
    let chunk_size = chunk_size.map_or_else(
        || "4096 bytes, or half of it where the MTU allows".to_owned(),
        |size| format!("{size} bytes"),
    );
    let total = match (&capture.queues, here) {
        (_, Some(StartNeeds { queues, bytes })) => {
            let has = if capture.interfaces.len() > 1 {
                "of these interfaces"
            } else {
                "of this interface"
            };
            format!("{} in total for the {} {has}", Mib(bytes), counted(queues, "RX queue"))
        }
        (Queues::All, None) => format!(
            "that times the number of RX queues in total, for example {} for {EXAMPLE_QUEUES}",
            Mib(bytes * EXAMPLE_QUEUES)
        ),
        (Queues::List(queues), None) => {
            let count = queues.len() * capture.interfaces.len().max(1);
            format!("{} in total for {}", Mib(bytes * count as u64), counted(count, "RX queue"))
        }
    };
    let tail = match plan.tail_ring_len {
        0 => "none for `vxtap tail`".to_owned(),
        len => format!("{len} for `vxtap tail`"),
    };
    let pages = if *hugepages { " In huge pages, if the system has enough." } else { "" };
    Ok(format!(
        "Locks {} of memory per RX queue (at most {per_queue_mib} MiB); {total}.{pages}\n  \
         {} chunks of {chunk_size}: fill ring {fill_ring}, RX ring {rx_ring}, {} of {}, {}, {tail}, the rest one batch.\n",
        Mib(bytes),
        plan.chunk_count,
        counted(memory.outputs_planned(rings), "output ring"),
        plan.output_ring_len,
        room(memory, rings, plan.spare_ring_len),
    ))
}

/// Describes the memory for outputs that a reload adds or changes.
fn room(memory: &Memory, rings: usize, spare_ring_len: u32) -> String {
    match (memory.outputs_planned(rings) - rings, spare_ring_len) {
        (0, 0) => "none for an output that a reload adds".to_owned(),
        (0, len) => format!("{len} for an output that a reload adds"),
        (planned, 0) => format!("{planned} of them for outputs that a reload adds"),
        (planned, len) => format!("{planned} of them and {len} for outputs that a reload adds"),
    }
}

/// Displays a number of bytes in MiB with one decimal place.
struct Mib(u64);

impl Display for Mib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tenths = (u128::from(self.0) * 10).div_ceil(1 << 20);
        write!(f, "{}.{} MiB", tenths / 10, tenths % 10)
    }
}
