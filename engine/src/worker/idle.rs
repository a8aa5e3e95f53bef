//! Waiting while there is nothing to receive.

use std::io;
use std::thread;
use std::time::Duration;

use super::SLEEP_MAX;
use crate::config::WaitMode;
use crate::xsk::RxBackend;

/// Number of frames since the last wait from which on traffic is dense: so many arrive within a nap
/// that the kernel need not wake the worker for them. With fewer frames a wake-up by the kernel
/// costs less and is sooner.
const DENSE: u32 = 8;

/// Nap of an adaptive worker while traffic is dense. At 5 million frames per second 500 frames
/// arrive in a nap: batches are full, and the CPU has time for other threads, such as a consumer or
/// the NIC's softirq on the same CPU. Measured at 30, 100 and 200 µs: a shorter nap costs up to a
/// third of the rate where the CPU is shared, a longer one gains nothing and delays frames.
const NAP: Duration = Duration::from_micros(100);

/// Number of fruitless polls, about half a millisecond, after which a busy worker sleeps once
/// instead of yielding. A thread that only yields can keep the CPU from threads of other scheduling
/// groups indefinitely: on Linux 6.18 the NAPI thread of the interface, which is in the root group,
/// did not run at all while worker and consumer yielded to each other in a session's group. No
/// frame arrived, and detaching the XDP program waited for that thread without end.
const YIELDS_MAX: u32 = 1024;

/// Duration of that sleep: long enough for one or two batches of the NAPI thread.
const YIELD_PAUSE: Duration = Duration::from_micros(50);

/// Decides how to wait, by the number of frames since the last wait.
#[derive(Debug)]
pub(super) struct Idle {
    mode: WaitMode,
    received: u32,
    /// Number of yields of a busy worker since it last had frames or slept.
    yields: u32,
}

impl Idle {
    pub(super) const fn new(mode: WaitMode) -> Self {
        Self { mode, received: 0, yields: 0 }
    }

    /// Adds the number of frames of a turn.
    #[inline]
    pub(super) const fn add_received(&mut self, frames: u32) {
        self.received = self.received.saturating_add(frames);
    }

    /// Returns whether the next [`Self::wait`] leaves the CPU for a while.
    pub(super) const fn is_about_to_sleep(&self) -> bool {
        !matches!(self.mode, WaitMode::Busy)
    }

    /// Polls again, naps or sleeps, depending on mode and traffic.
    pub(super) fn wait<K: RxBackend>(&mut self, kernel: &mut K) -> io::Result<()> {
        let received = std::mem::take(&mut self.received);
        match self.mode {
            // Only these calls run the driver's receive loop.
            WaitMode::Busy if kernel.is_polled() => return kernel.wake(),
            WaitMode::Adaptive if kernel.is_polled() && received >= DENSE => return kernel.wake(),
            WaitMode::Busy => self.yield_cpu(received > 0),
            WaitMode::Adaptive if received >= DENSE => thread::sleep(NAP),
            WaitMode::Adaptive | WaitMode::Interrupt => return kernel.wait(SLEEP_MAX),
        }
        Ok(())
    }

    /// Lets other threads of this CPU run while the worker has nothing to do. Without such threads
    /// it usually returns at once.
    fn yield_cpu(&mut self, had_frames: bool) {
        self.yields = if had_frames { 0 } else { self.yields + 1 };
        if self.yields < YIELDS_MAX {
            thread::yield_now();
        } else {
            self.yields = 0;
            thread::sleep(YIELD_PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xsk::KernelCounters;

    /// Counts the calls.
    #[derive(Default)]
    struct CountingBackend {
        sleeps: Vec<Duration>,
        drives: u32,
        is_polled: bool,
    }

    impl RxBackend for CountingBackend {
        fn wait(&mut self, timeout: Duration) -> io::Result<()> {
            self.sleeps.push(timeout);
            Ok(())
        }

        fn wake(&mut self) -> io::Result<()> {
            self.drives += 1;
            Ok(())
        }

        fn is_polled(&self) -> bool {
            self.is_polled
        }

        fn is_finished(&self) -> bool {
            false
        }

        fn counters(&mut self) -> io::Result<KernelCounters> {
            Ok(KernelCounters::default())
        }
    }

    #[test]
    fn a_busy_worker_sleeps_only_after_many_looks_in_vain() {
        let mut backend = CountingBackend::default();
        let mut idle = Idle::new(WaitMode::Busy);
        let mut look =
            |idle: &mut Idle, times| (0..times).for_each(|_| idle.wait(&mut backend).unwrap());
        look(&mut idle, 10);
        assert_eq!(idle.yields, 10);
        idle.add_received(1);
        look(&mut idle, 1);
        assert_eq!(idle.yields, 0, "not in vain");
        look(&mut idle, YIELDS_MAX - 1);
        assert_eq!(idle.yields, YIELDS_MAX - 1);
        let start = std::time::Instant::now();
        look(&mut idle, 1);
        assert!(idle.yields == 0 && start.elapsed() >= YIELD_PAUSE);
        assert_eq!(backend.sleeps, [], "never in the kernel's wait");
    }

    #[test]
    fn an_adaptive_worker_naps_while_traffic_is_dense_and_sleeps_when_it_is_not() {
        let mut backend = CountingBackend::default();
        let mut idle = Idle::new(WaitMode::Adaptive);
        for frames in [64, DENSE] {
            idle.add_received(frames);
            let start = std::time::Instant::now();
            idle.wait(&mut backend).unwrap();
            assert!(start.elapsed() >= NAP);
        }
        assert_eq!(backend.sleeps, []);
        idle.add_received(DENSE - 1);
        idle.wait(&mut backend).unwrap();
        idle.wait(&mut backend).unwrap();
        assert_eq!(backend.sleeps, [SLEEP_MAX; 2]);
    }

    #[test]
    fn a_worker_in_interrupt_mode_sleeps_at_once() {
        let mut backend = CountingBackend::default();
        let mut idle = Idle::new(WaitMode::Interrupt);
        idle.add_received(64);
        idle.wait(&mut backend).unwrap();
        assert_eq!(backend.sleeps, [SLEEP_MAX]);
    }

    #[test]
    fn a_polled_driver_is_driven_instead_of_spinning() {
        let mut backend = CountingBackend { is_polled: true, ..CountingBackend::default() };
        let mut idle = Idle::new(WaitMode::Busy);
        (0..5).for_each(|_| idle.wait(&mut backend).unwrap());
        assert_eq!((backend.drives, backend.sleeps.len()), (5, 0));
        let mut idle = Idle::new(WaitMode::Adaptive);
        idle.add_received(DENSE);
        idle.wait(&mut backend).unwrap();
        assert_eq!((backend.drives, backend.sleeps.len()), (6, 0));
    }
}
