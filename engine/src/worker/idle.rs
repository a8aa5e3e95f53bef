//! What a worker does while there is nothing to receive.

use std::io;
use std::thread;
use std::time::Duration;

use super::SLEEP_MAX;
use crate::config::WaitMode;
use crate::xsk::RxBackend;

/// Frames since the last wait from which on traffic is dense: so many come within a nap that the
/// kernel need not wake the worker for them. At fewer a wake-up by the kernel costs less, and comes
/// sooner.
const DENSE: u32 = 8;

/// Nap of an adaptive worker while traffic is dense. 5 million frames per second are 500 in a nap:
/// batches are full, and the CPU has time for others, a consumer or the NIC's softirq where they
/// run on the same one. Measured at 30, 100 and 200 µs: shorter costs up to a third of the rate
/// where the CPU is shared, longer gains nothing and delays frames.
const NAP: Duration = Duration::from_micros(100);

/// After so many looks in vain, some half a millisecond, a busy worker sleeps once instead of
/// yielding. Who only ever yields may keep the CPU from threads of other scheduling groups for
/// good: on Linux 6.18 the NAPI thread of the interface, which is in the root group, did not run at
/// all while worker and consumer yielded to each other in a session's group, no frame came, and
/// taking the XDP program off waited for that thread without end.
const YIELDS_MAX: u32 = 1024;

/// That sleep: long enough for a batch or two of the NAPI thread.
const BREATH: Duration = Duration::from_micros(50);

/// Decides how to wait, from what came since the last time.
#[derive(Debug)]
pub(super) struct Idle {
    mode: WaitMode,
    received: u32,
    /// How often a busy worker has yielded since it last had frames or slept.
    yields: u32,
}

impl Idle {
    pub(super) const fn new(mode: WaitMode) -> Self {
        Self { mode, received: 0, yields: 0 }
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
    pub(super) fn wait<K: RxBackend>(&mut self, kernel: &mut K) -> io::Result<()> {
        let received = std::mem::take(&mut self.received);
        match self.mode {
            // Nobody runs the driver's receive loop but these calls.
            WaitMode::Busy if kernel.is_polled() => return kernel.wake(),
            WaitMode::Adaptive if kernel.is_polled() && received >= DENSE => return kernel.wake(),
            WaitMode::Busy => self.give_way(received > 0),
            WaitMode::Adaptive if received >= DENSE => thread::sleep(NAP),
            WaitMode::Adaptive | WaitMode::Interrupt => return kernel.wait(SLEEP_MAX),
        }
        Ok(())
    }

    /// Lets whoever shares this CPU work while the worker has none to do. Where nobody does, this
    /// mostly returns at once.
    fn give_way(&mut self, had_frames: bool) {
        self.yields = if had_frames { 0 } else { self.yields + 1 };
        if self.yields < YIELDS_MAX {
            thread::yield_now();
        } else {
            self.yields = 0;
            thread::sleep(BREATH);
        }
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

    impl RxBackend for Far {
        fn wait(&mut self, timeout: Duration) -> io::Result<()> {
            self.sleeps.push(timeout);
            Ok(())
        }

        fn wake(&mut self) -> io::Result<()> {
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

        fn counters(&mut self) -> io::Result<KernelCounters> {
            Ok(KernelCounters::default())
        }

        fn arrival_minus_utc_ns(&self) -> i64 {
            0
        }
    }

    #[test]
    fn a_busy_worker_sleeps_only_after_many_looks_in_vain() {
        let mut far = Far::default();
        let mut idle = Idle::new(WaitMode::Busy);
        let mut look =
            |idle: &mut Idle, times| (0..times).for_each(|_| idle.wait(&mut far).unwrap());
        look(&mut idle, 10);
        assert_eq!(idle.yields, 10);
        idle.note(1);
        look(&mut idle, 1);
        assert_eq!(idle.yields, 0, "not in vain");
        look(&mut idle, YIELDS_MAX - 1);
        assert_eq!(idle.yields, YIELDS_MAX - 1);
        let start = std::time::Instant::now();
        look(&mut idle, 1);
        assert!(idle.yields == 0 && start.elapsed() >= BREATH);
        assert_eq!(far.sleeps, [], "never in the kernel's wait");
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
