//! What a worker does while there is nothing to receive.

use std::io;
use std::thread;
use std::time::Duration;

use super::SLEEP_MAX;
use crate::config::WaitMode;
use crate::xsk::KernelSide;

/// Frames since the last wait from which on traffic is dense: so many come within a nap that the kernel need not wake the
/// worker for them. At fewer a wake-up by the kernel costs less, and comes sooner.
const DENSE: u32 = 8;

/// Nap of an adaptive worker while traffic is dense. 5 million frames per second are 500 in a nap: batches are full, and the
/// CPU has time for others, a consumer or the NIC's softirq where they run on the same one. Measured at 30, 100 and 200 µs: shorter costs up to a third of the rate where the CPU is shared, longer
/// gains nothing and delays frames.
const NAP: Duration = Duration::from_micros(100);

/// Decides how to wait, from what came since the last time.
#[derive(Debug)]
pub(super) struct Idle {
    mode: WaitMode,
    received: u32,
}

impl Idle {
    pub(super) const fn new(mode: WaitMode) -> Self {
        Self { mode, received: 0 }
    }

    /// There were so many frames.
    #[inline]
    pub(super) const fn note(&mut self, frames: u32) {
        self.received = self.received.saturating_add(frames);
    }

    /// Whether the next [`Self::wait`] leaves the CPU for a while.
    pub(super) const fn is_about_to_sleep(&self) -> bool {
        !matches!(self.mode, WaitMode::Busy)
    }

    /// Looks again, naps or sleeps, as the mode and the traffic say.
    pub(super) fn wait<K: KernelSide>(&mut self, kernel: &mut K) -> io::Result<()> {
        let received = std::mem::take(&mut self.received);
        match self.mode {
            // Nobody runs the driver's receive loop but these calls.
            WaitMode::Busy if kernel.is_polled() => return kernel.drive(),
            WaitMode::Adaptive if kernel.is_polled() && received >= DENSE => return kernel.drive(),
            // Whoever shares this CPU has work while the worker has none. Where nobody does, this returns at once.
            WaitMode::Busy => thread::yield_now(),
            WaitMode::Adaptive if received >= DENSE => thread::sleep(NAP),
            WaitMode::Adaptive | WaitMode::Interrupt => return kernel.wait(SLEEP_MAX),
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::xsk::KernelCounters;

    /// Counts what is asked of it.
    #[derive(Default)]
    struct Far {
        sleeps: Vec<Duration>,
        drives: u32,
        is_polled: bool,
    }

    impl KernelSide for Far {
        fn wait(&mut self, timeout: Duration) -> io::Result<()> {
            self.sleeps.push(timeout);
            Ok(())
        }

        fn drive(&mut self) -> io::Result<()> {
            self.drives += 1;
            Ok(())
        }

        fn check(&mut self) -> io::Result<()> {
            Ok(())
        }

        fn is_polled(&self) -> bool {
            self.is_polled
        }

        fn is_finished(&self) -> bool {
            false
        }

        fn counters(&self) -> io::Result<KernelCounters> {
            Ok(KernelCounters::default())
        }

        fn arrival_minus_utc_ns(&self) -> i64 {
            0
        }
    }

    #[test]
    fn a_busy_worker_never_sleeps() {
        let mut far = Far::default();
        let mut idle = Idle::new(WaitMode::Busy);
        (0..3000).for_each(|_| idle.wait(&mut far).unwrap());
        assert_eq!(far.sleeps, []);
    }

    #[test]
    fn an_adaptive_worker_naps_while_traffic_is_dense_and_sleeps_when_it_is_not() {
        let mut far = Far::default();
        let mut idle = Idle::new(WaitMode::Adaptive);
        for frames in [64, DENSE] {
            idle.note(frames);
            let start = std::time::Instant::now();
            idle.wait(&mut far).unwrap();
            assert!(start.elapsed() >= NAP);
        }
        assert_eq!(far.sleeps, []);
        idle.note(DENSE - 1);
        idle.wait(&mut far).unwrap();
        idle.wait(&mut far).unwrap();
        assert_eq!(far.sleeps, [SLEEP_MAX; 2]);
    }

    #[test]
    fn a_worker_in_interrupt_mode_sleeps_at_once() {
        let mut far = Far::default();
        let mut idle = Idle::new(WaitMode::Interrupt);
        idle.note(64);
        idle.wait(&mut far).unwrap();
        assert_eq!(far.sleeps, [SLEEP_MAX]);
    }

    #[test]
    fn a_polled_driver_is_driven_instead_of_spinning() {
        let mut far = Far { is_polled: true, ..Far::default() };
        let mut idle = Idle::new(WaitMode::Busy);
        (0..5).for_each(|_| idle.wait(&mut far).unwrap());
        assert_eq!((far.drives, far.sleeps.len()), (5, 0));
        let mut idle = Idle::new(WaitMode::Adaptive);
        idle.note(DENSE);
        idle.wait(&mut far).unwrap();
        assert_eq!((far.drives, far.sleeps.len()), (6, 0));
    }
}
