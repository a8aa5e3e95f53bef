//! The lines `cpuN` of `/proc/stat` (`proc_stat(5)`).

use std::fs;

use anyhow::{Context, Result};

/// `/proc/stat` counts in ticks of a hundredth of a second: `USER_HZ` is 100 on every architecture
/// that vxtap builds for (`include/asm-generic/param.h`), independent of the kernel's own
/// `CONFIG_HZ`.
pub(crate) const TICK_NS: u64 = 10_000_000;

/// The used columns, in ticks.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// In user mode, with and without nice.
    pub(crate) user: u64,
    /// In softirqs, `ksoftirqd`'s work among them.
    pub(crate) softirq: u64,
    /// Nothing to do, or waiting for a disk.
    pub(crate) idle: u64,
    /// The hypervisor ran something else although this CPU had work.
    pub(crate) steal: u64,
    /// All of user, nice, system, idle, iowait, irq, softirq and steal.
    pub(crate) total: u64,
}

impl Ticks {
    /// Reads the sum over `cpus` of this moment.
    ///
    /// # Errors
    /// When the file cannot be read or one of the CPUs is not in it.
    pub(crate) fn now(cpus: &[usize]) -> Result<Self> {
        let text = fs::read_to_string("/proc/stat").context("cannot read /proc/stat")?;
        Self::sum(&text, cpus)
    }

    /// The sum over `cpus`, each counted once.
    fn sum(text: &str, cpus: &[usize]) -> Result<Self> {
        let mut sum = Self::default();
        for (index, &cpu) in cpus.iter().enumerate() {
            if cpus[..index].contains(&cpu) {
                continue;
            }
            let one = Self::of_cpu(text, cpu).with_context(|| {
                format!("/proc/stat has no CPU {cpu}: choose CPUs that are online")
            })?;
            sum.user += one.user;
            sum.softirq += one.softirq;
            sum.idle += one.idle;
            sum.steal += one.steal;
            sum.total += one.total;
        }
        Ok(sum)
    }

    fn of_cpu(text: &str, cpu: usize) -> Option<Self> {
        let name = format!("cpu{cpu} ");
        let rest = text.lines().find_map(|line| line.strip_prefix(&name))?;
        let columns: Vec<u64> =
            rest.split_whitespace().map_while(|column| column.parse().ok()).collect();
        // Guest time, after the eighth column, is in `user` already.
        let columns = columns.get(..8)?;
        Some(Self {
            user: columns[0] + columns[1],
            softirq: columns[6],
            idle: columns[3] + columns[4],
            steal: columns[7],
            total: columns.iter().sum(),
        })
    }

    /// Share of the time that the CPUs did something, in percent.
    #[expect(clippy::cast_precision_loss, reason = "ticks, far below 2^52")]
    pub(crate) fn busy_percent(self) -> f64 {
        let busy = self.total.saturating_sub(self.idle);
        if self.total == 0 { 0.0 } else { busy as f64 * 100.0 / self.total as f64 }
    }

    /// Ticks that have passed since `earlier`. A counter that went back, as idle may on some
    /// kernels, counts as unchanged.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self {
            user: self.user.saturating_sub(earlier.user),
            softirq: self.softirq.saturating_sub(earlier.softirq),
            idle: self.idle.saturating_sub(earlier.idle),
            steal: self.steal.saturating_sub(earlier.steal),
            total: self.total.saturating_sub(earlier.total),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // Not in the kernel's order: the name must fit as a whole.
    const TEXT: &str = "cpu  1121005 235787 223288 722485 8979 0 9899 1994 0 0\n\
                        cpu10 1 2 3 4 5 6 7 8 9 0\n\
                        cpu0 550379 119432 105471 378272 1809 1 5419 971 0 0\n\
                        cpu1 570626 116355 117817 344212 7170 0 4480 1023 7 0\n\
                        intr 13762941 0 0\n";

    #[test]
    fn the_columns_of_one_cpu_are_read() {
        let ticks = Ticks::sum(TEXT, &[0]).expect("it is there");
        assert_eq!((ticks.softirq, ticks.steal), (5419, 971));
        assert_eq!(ticks.user, 550_379 + 119_432);
        assert_eq!(ticks.total, 550_379 + 119_432 + 105_471 + 378_272 + 1809 + 1 + 5419 + 971);
    }

    #[test]
    fn cpu_1_is_not_cpu_10_and_counts_once() {
        let ticks = Ticks::sum(TEXT, &[1, 10, 1]).expect("both are there");
        assert_eq!((ticks.softirq, ticks.steal), (4480 + 7, 1023 + 8));
    }

    #[test]
    fn guest_time_is_not_counted_twice() {
        assert_eq!(Ticks::sum(TEXT, &[10]).expect("it is there").total, 36);
    }

    #[test]
    fn a_cpu_that_is_offline_is_named() {
        let error = Ticks::sum(TEXT, &[0, 7]).expect_err("there is no CPU 7");
        assert_eq!(error.to_string(), "/proc/stat has no CPU 7: choose CPUs that are online");
    }

    #[test]
    fn a_counter_that_went_back_counts_as_unchanged() {
        let earlier = Ticks { user: 7, softirq: 5, idle: 50, steal: 5, total: 100 };
        let later = Ticks { user: 10, softirq: 4, idle: 60, steal: 9, total: 150 };
        assert_eq!(
            later.since(earlier),
            Ticks { user: 3, softirq: 0, idle: 10, steal: 4, total: 50 }
        );
    }

    #[test]
    fn waiting_for_a_disk_is_idle() {
        let ticks = Ticks::sum(TEXT, &[10]).expect("it is there");
        assert_eq!(ticks.idle, 4 + 5);
        assert!((ticks.busy_percent() - 75.0).abs() < 1e-9);
        assert!(Ticks::default().busy_percent().abs() < 1e-9);
    }
}
