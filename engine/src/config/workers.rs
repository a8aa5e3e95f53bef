//! CPUs of the workers, and how they wait.

use std::fmt;

use super::capture::Queues;
use super::capture_checks::check_list;
use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::keyword::{Keyword, keyword_of};
use super::limit::Limit;

/// A `cpu_set_t` holds 1024 CPUs (`CPU_SETSIZE`, `CPU_SET(3)`).
pub(super) const CPU: Limit = Limit::Range(0, 1023);

/// CPUs of the workers, and how they wait. Table `[workers]` of the file. Each RX queue has one
/// worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    /// CPUs that the workers are pinned to. Default: [`Cpus::Auto`].
    pub cpus: Cpus,
    /// Behaviour of an idle worker. Default: [`WaitMode::Adaptive`].
    pub wait: WaitMode,
}

/// CPUs that the workers are pinned to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cpus {
    /// The engine chooses, leaving CPU 0 to the system when there are enough.
    #[default]
    Auto,
    /// The worker of the n-th queue runs on the n-th CPU of this list: 0 to 1023, each once, at
    /// least as many as queues; with several interfaces the queues of the first one come first.
    /// CPUs on another NUMA node than the NIC's, or CPUs that serve its interrupts, cost speed.
    List(Vec<usize>),
}

/// Behaviour of an idle worker.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    /// Polls again at once and yields the CPU to other runnable threads: lowest latency, one full
    /// CPU per worker.
    Busy,
    /// Sleeps for 100 µs at a time while traffic is dense, else until the kernel wakes it.
    #[default]
    Adaptive,
    /// Sleeps until the kernel wakes it: least CPU time, highest latency.
    Interrupt,
}

impl Keyword for WaitMode {
    const KEYWORDS: &'static [(&'static str, Self)] =
        &[("busy", Self::Busy), ("adaptive", Self::Adaptive), ("interrupt", Self::Interrupt)];
}

impl fmt::Display for WaitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(keyword_of(*self))
    }
}

impl Workers {
    pub(super) fn check(&self, queues: &Queues, interface_count: usize) -> Result<(), Violation> {
        let Self { cpus, wait: _ } = self;
        let Cpus::List(cpus) = cpus else { return Ok(()) };
        let key = KeyPath::top("workers").key("cpus");
        let numbers: Vec<u64> = cpus.iter().map(|&cpu| cpu as u64).collect();
        check_list(&numbers, CPU, "CPUs", &key)?;
        match queues {
            Queues::List(queues) if cpus.len() < queues.len() * interface_count.max(1) => {
                let queues = queues.len() * interface_count.max(1);
                let problem = Problem::TooFewCpus { cpus: cpus.len(), queues };
                Err(problem.between(vec![key, KeyPath::top("capture").key("queues")]))
            }
            _ => Ok(()),
        }
    }
}
