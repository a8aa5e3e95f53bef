//! The environment of a run: two namespaces joined by a veth pair, created for the run and removed
//! after it.

use std::collections::BTreeSet;
use std::fs;
use std::process::{self, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use nix::sched::{CpuSet, sched_setaffinity};
use nix::unistd::Pid;
use vxtap_tests::{NetNs, Veth, VethOptions, capture, remove_stale, wait_until};

use super::cpu::Softirq;
use super::offered::CpuLayout;

/// Prefixes of the two namespaces; the id of this process and a number follow.
const SENDER: &str = "vxtap-bench-tx-";
const RECEIVER: &str = "vxtap-bench-rx-";

/// One queue: there is one receiving CPU. The MTU takes a 1500-byte inner packet with its tunnel
/// headers.
const VETH: VethOptions = VethOptions { queues: 1, mtu: 1600 };

/// Longest time until the kernel has started the NAPI thread; it takes milliseconds.
const NAPI_TIMEOUT: Duration = Duration::from_secs(5);

/// The CPUs of a measurement.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CpuPair {
    /// The generator's.
    pub(crate) generator: usize,
    /// The receiver's.
    pub(crate) receiver: usize,
}

impl CpuPair {
    /// Both.
    pub(crate) const fn all(self) -> [usize; 2] {
        [self.generator, self.receiver]
    }
}

/// Interfaces that the generator sends on and the receiver takes frames from. The commands are
/// pinned to their CPUs and run in the network namespace of their interface.
pub(crate) trait LinkUnderTest {
    /// Returns the command that runs `program` in the generator's place.
    fn generator(&self, program: &str) -> Command;
    /// Returns the command that runs `program` in the receiver's place.
    fn receiver(&self, program: &str) -> Command;
    /// The interface that the generator sends on.
    fn tx_interface(&self) -> &str;
    /// The interface that the receiver takes frames from.
    fn rx_interface(&self) -> &str;
    /// MAC addresses of the two interfaces, the sender's first.
    fn macs(&self) -> [String; 2];
}

/// A veth pair in two namespaces; removed when dropped.
#[derive(Debug)]
pub(crate) struct Testbed {
    veth: Veth,
    layout: CpuLayout,
    cpus: CpuPair,
    /// NAPI threads of other interfaces, which were there before.
    foreign_threads: BTreeSet<u32>,
}

impl Testbed {
    /// Makes the pair.
    ///
    /// # Errors
    /// When `ip`, `tc` or `ethtool` refuses.
    pub(crate) fn make(layout: CpuLayout, cpus: CpuPair) -> Result<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let foreign_threads = napi_threads();
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = |prefix| format!("{prefix}{}-{number}", process::id());
        let (sender, receiver) = (NetNs::named(&name(SENDER))?, NetNs::named(&name(RECEIVER))?);
        let veth = Veth::join(sender, receiver, VETH)?;
        Ok(Self { veth, layout, cpus, foreign_threads })
    }

    /// Removes the namespaces of killed instruments, and returns their names.
    ///
    /// # Errors
    /// When one cannot be removed.
    pub(crate) fn remove_stale() -> Result<Vec<String>> {
        Ok([remove_stale(SENDER)?, remove_stale(RECEIVER)?].concat())
    }

    /// The receiver's namespace.
    pub(crate) const fn netns(&self) -> &NetNs {
        &self.veth.receiver.netns
    }

    /// Makes NAPI threaded and pins its thread, in layout B, and returns the source of the softirq
    /// time.
    ///
    /// The receiver must be ready: a veth has NAPI only once it has an XDP program or GRO.
    ///
    /// # Errors
    /// When layout B gets no NAPI thread.
    pub(crate) fn pin_softirq(&self) -> Result<Softirq> {
        if self.layout == CpuLayout::A {
            return Ok(Softirq::Column(self.cpus.all().to_vec()));
        }
        let device = self.veth.receiver.interface;
        let switch = format!("echo 1 > /sys/class/net/{device}/threaded");
        capture(self.netns().command("sh").args(["-c", &switch]))
            .context("cannot make NAPI threaded")?;
        let mut own = Vec::new();
        wait_until(&format!("the NAPI thread of {device}"), NAPI_TIMEOUT, || {
            own = napi_threads().difference(&self.foreign_threads).copied().collect();
            !own.is_empty()
        })?;
        for &thread in &own {
            pin(thread, self.cpus.receiver).context("cannot pin the NAPI thread")?;
        }
        own.extend(threads_named(|name| name == format!("ksoftirqd/{}", self.cpus.receiver)));
        Ok(Softirq::Threads(own))
    }
}

impl LinkUnderTest for Testbed {
    fn generator(&self, program: &str) -> Command {
        let mut command = self.veth.sender.netns.command("taskset");
        command.args(["-c", &self.cpus.generator.to_string(), program]);
        command
    }

    fn receiver(&self, program: &str) -> Command {
        let mut command = self.netns().command("taskset");
        command.args(["-c", &self.cpus.receiver.to_string(), program]);
        command
    }

    fn tx_interface(&self) -> &str {
        self.veth.sender.interface
    }

    fn rx_interface(&self) -> &str {
        self.veth.receiver.interface
    }

    fn macs(&self) -> [String; 2] {
        [self.veth.sender.mac_text(), self.veth.receiver.mac_text()]
    }
}

/// Pins the calling thread and those that it starts from then on: the instrument itself.
///
/// # Errors
/// When the CPU is not online.
pub(crate) fn pin_this(cpu: usize) -> Result<()> {
    pin(0, cpu).with_context(|| format!("cannot use CPU {cpu}: choose CPUs that are online"))
}

/// Pins a thread; 0 is the calling one.
fn pin(thread: u32, cpu: usize) -> Result<()> {
    let mut cpus = CpuSet::new();
    cpus.set(cpu)?;
    Ok(sched_setaffinity(Pid::from_raw(thread.cast_signed()), &cpus)?)
}

/// NAPI threads of interfaces called `vxrx0`, by process id, in all namespaces: kernel threads
/// belong to none.
///
/// Their name is `napi/DEVICE-ID` (`napi_kthread_create()` of `net/core/dev.c`).
fn napi_threads() -> BTreeSet<u32> {
    threads_named(|name| name.starts_with("napi/vxrx0-")).into_iter().collect()
}

/// Process ids whose `/proc/PID/comm` satisfies `fits`.
fn threads_named(fits: impl Fn(&str) -> bool) -> Vec<u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_it = |pid: &u32| {
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| fits(name.trim_end()))
    };
    pids.filter(is_it).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_thread_is_found_by_its_name() {
        assert_eq!(threads_named(|name| name == "ksoftirqd/0").len(), 1);
        assert!(threads_named(|name| name == "no-such-thread").is_empty());
    }
}
