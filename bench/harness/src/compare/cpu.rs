//! CPU time of receiving, in the kernel and in the receiver.
//!
//! The counters differ by layout, so that nothing is missed and nothing counts twice on a kernel
//! without `CONFIG_IRQ_TIME_ACCOUNTING` (there softirq time is also part of the run time of the
//! interrupted task):
//!
//! - **Receiver**: the run time of its threads, in nanoseconds, from `/proc/PID/task/*/schedstat`,
//!   split into user and system in the ratio of utime and stime in `/proc/PID/stat`.
//! - **Softirq, layout A**: the column `softirq` of `/proc/stat` for both CPUs, in ticks. The
//!   veth's softirq runs on the generator's CPU. `ksoftirqd`'s work is in that column
//!   (`account_system_time()` of `kernel/sched/cputime.c` tests that a softirq is being served, not
//!   which task serves it), so its run time is not added. Interrupts on the receiver's own CPU,
//!   timers and RCU, are in both figures: about one per mille.
//! - **Softirq, layout B**: the run time of the NAPI thread and of the `ksoftirqd` of its CPU,
//!   which may take over the softirqs that the NAPI thread raises (those of the vxlan device's GRO
//!   cells). Threaded NAPI is no softirq to the kernel's accounting: it is not in the column. Run
//!   times of different threads do not overlap.

use std::fs;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::proc_stat::{TICK_NS, Ticks};

/// CPU time in nanoseconds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[expect(
    clippy::struct_field_names,
    reason = "every number of results.json has its unit in its name"
)]
pub(crate) struct CpuTime {
    /// The kernel's part of receiving before the receiver's socket.
    pub(crate) softirq_ns: u64,
    /// The receiver outside the kernel.
    pub(crate) user_ns: u64,
    /// The receiver in system calls.
    pub(crate) system_ns: u64,
}

impl CpuTime {
    /// Sum of the three.
    pub(crate) const fn total_ns(&self) -> u64 {
        self.softirq_ns + self.user_ns + self.system_ns
    }
}

/// Source of the softirq time.
#[derive(Debug, Clone)]
pub(crate) enum Softirq {
    /// The column of `/proc/stat`, for these CPUs.
    Column(Vec<usize>),
    /// The run time of these kernel threads, by process id.
    Threads(Vec<u32>),
}

/// Reads the counters of one run.
#[derive(Debug)]
pub(crate) struct CpuMeter {
    receiver: u32,
    softirq: Softirq,
}

/// The counters at one moment.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct CpuSample {
    softirq_ns: u64,
    receiver_ns: u64,
    user_ticks: u64,
    system_ticks: u64,
}

impl CpuMeter {
    /// A meter for the process `receiver`.
    pub(crate) const fn new(receiver: u32, softirq: Softirq) -> Self {
        Self { receiver, softirq }
    }

    /// Reads the counters.
    ///
    /// # Errors
    /// When the receiver or a kernel thread is gone.
    pub(crate) fn sample(&self) -> Result<CpuSample> {
        let softirq_ns = match &self.softirq {
            Softirq::Column(cpus) => Ticks::now(cpus)?.softirq * TICK_NS,
            Softirq::Threads(threads) => {
                threads.iter().map(|&pid| process_run_time(pid)).sum::<Result<_>>()?
            }
        };
        let path = format!("/proc/{}/stat", self.receiver);
        let stat = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
        let (user_ticks, system_ticks) =
            user_and_system(&stat).with_context(|| format!("{path} has no utime and stime"))?;
        let receiver_ns = process_run_time(self.receiver)?;
        Ok(CpuSample { softirq_ns, receiver_ns, user_ticks, system_ticks })
    }
}

impl CpuSample {
    /// The receiver's user time since `earlier`, in the ticks of `/proc/stat`.
    pub(crate) const fn user_ticks_since(self, earlier: Self) -> u64 {
        self.user_ticks.saturating_sub(earlier.user_ticks)
    }

    /// The time that has passed since `earlier`.
    #[expect(
        clippy::cast_possible_truncation,
        reason = "a share of a 64-bit number is not above it"
    )]
    pub(crate) fn since(self, earlier: Self) -> CpuTime {
        let total = self.receiver_ns.saturating_sub(earlier.receiver_ns);
        let user = u128::from(self.user_ticks_since(earlier));
        let system = u128::from(self.system_ticks.saturating_sub(earlier.system_ticks));
        // Less than a tick of both is too little to split.
        let user_ns =
            (u128::from(total) * user).checked_div(user + system).unwrap_or(total.into()) as u64;
        CpuTime {
            softirq_ns: self.softirq_ns.saturating_sub(earlier.softirq_ns),
            user_ns,
            system_ns: total - user_ns,
        }
    }
}

/// Run time of all threads of a process in nanoseconds; a thread that has ended is not in it any
/// more.
fn process_run_time(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/task");
    let threads = fs::read_dir(&path)
        .with_context(|| format!("cannot read {path}: the process has ended"))?;
    let texts = threads
        .flatten()
        .filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    Ok(texts.filter_map(|text| run_time(&text)).sum())
}

/// First number of a `schedstat` file: time on a CPU in nanoseconds
/// (Documentation/scheduler/sched-stats.rst).
fn run_time(text: &str) -> Option<u64> {
    text.split_whitespace().next()?.parse().ok()
}

/// utime and stime, fields 14 and 15 of `/proc/PID/stat` (`proc_pid_stat(5)`), in ticks.
fn user_and_system(stat: &str) -> Option<(u64, u64)> {
    // The name, field 2, is in parentheses and may hold anything, parentheses and spaces too.
    let (_, rest) = stat.rsplit_once(')')?;
    let mut fields = rest.split_whitespace().skip(11);
    Some((fields.next()?.parse().ok()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_and_system_time_are_found_behind_any_name() {
        let stat = "812 (a) (b c) S 1 812 812 0 -1 4194560 1 2 3 4 77 33 5 6 20 0 1 0 9 10 11";
        assert_eq!(user_and_system(stat), Some((77, 33)));
        assert_eq!(user_and_system("812 (short) S 1 2"), None);
    }

    #[test]
    fn the_run_time_is_the_first_number() {
        assert_eq!(run_time("245422312 25135296 621\n"), Some(245_422_312));
        assert_eq!(run_time(""), None);
    }

    #[test]
    fn the_run_time_is_split_as_the_ticks_stand_to_each_other() {
        let before =
            CpuSample { softirq_ns: 100, receiver_ns: 1000, user_ticks: 5, system_ticks: 5 };
        let after =
            CpuSample { softirq_ns: 700, receiver_ns: 5000, user_ticks: 35, system_ticks: 15 };
        let time = after.since(before);
        assert_eq!(time, CpuTime { softirq_ns: 600, user_ns: 3000, system_ns: 1000 });
        assert_eq!(time.total_ns(), 4600);
    }

    #[test]
    fn a_time_below_one_tick_is_all_user_time() {
        let after = CpuSample { receiver_ns: 4000, ..CpuSample::default() };
        let time = after.since(CpuSample::default());
        assert_eq!(time, CpuTime { softirq_ns: 0, user_ns: 4000, system_ns: 0 });
    }

    #[test]
    fn this_process_has_run() {
        let meter = CpuMeter::new(std::process::id(), Softirq::Column(vec![0]));
        let sample = meter.sample().expect("it runs");
        assert!(sample.receiver_ns > 0);
    }

    #[test]
    fn a_process_that_has_ended_is_an_error() {
        // The largest process id on Linux is 2^22.
        let error = process_run_time(1 << 23).expect_err("no such process");
        assert_eq!(error.to_string(), "cannot read /proc/8388608/task: the process has ended");
    }
}
