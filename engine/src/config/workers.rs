//! Where the workers run and how they wait.

use std::fmt;

use super::capture::{Queues, check_list};
use super::error::{Problem, Violation};
use super::key::KeyPath;
use super::limit::Limit;
use super::words::{Word, word_of};

/// A `cpu_set_t` holds 1024 CPUs (`CPU_SETSIZE`, `CPU_SET(3)`).
pub(super) const CPU: Limit = Limit::Range(0, 1023);

/// Where the workers run and how they wait. Table `[workers]` of the file. Each RX queue has one
/// worker.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Workers {
    /// CPUs that the workers are pinned to. Default: [`Cpus::Auto`].
    pub cpus: Cpus,
    /// What a worker does while nothing arrives. Default: [`WaitMode::Adaptive`].
    pub wait: WaitMode,
}

/// CPUs that the workers are pinned to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Cpus {
    /// The engine chooses, leaving CPU 0 to the system when there are enough.
    #[default]
    Auto,
    /// The worker of the n-th queue runs on the n-th CPU of this list: 0 to 1023, each once, at
    /// least as many as queues; with several interfaces those of the first one come first. CPUs on
    /// another NUMA node than the NIC, or ones that serve its interrupts, cost speed.
    List(Vec<usize>),
}

/// What a worker does while nothing arrives.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum WaitMode {
    /// Looks again at once, lending the CPU to whoever else is ready to run on it: lowest latency,
    /// one CPU in full per worker.
    Busy,
    /// Naps for 100 µs at a time while traffic is dense, else sleeps until the kernel wakes it.
    #[default]
    Adaptive,
    /// Sleeps until the kernel wakes it: least CPU time, highest latency.
    Interrupt,
}

impl Word for WaitMode {
    const WORDS: &'static [(&'static str, Self)] =
        &[("busy", Self::Busy), ("adaptive", Self::Adaptive), ("interrupt", Self::Interrupt)];
}

impl fmt::Display for WaitMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(word_of(*self))
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
