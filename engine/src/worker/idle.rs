//! What a worker does while there is nothing to receive.

use std::hint;
use std::io;

use super::SLEEP_MAX;
use crate::config::WaitMode;
use crate::xsk::KernelSide;

/// Empty turns before an adaptive worker sleeps. At some 60 ns a turn (measured in a virtual machine) that is 60 µs, a
/// few times what the sleep and wake-up cost that it may save. Lower: more wake-ups at middling rates; higher: more CPU
/// time burnt, which hurts where the NIC's softirq runs on the same core.
const SPINS_MAX: u32 = 1000;

/// Counts how long there has been nothing.
#[derive(Debug)]
pub(super) struct Idle {
    mode: WaitMode,
    spins: u32,
}

impl Idle {
    pub(super) const fn new(mode: WaitMode) -> Self {
        Self { mode, spins: 0 }
    }

    /// There was something.
    #[inline]
    pub(super) const fn reset(&mut self) {
        self.spins = 0;
    }

    /// Whether the next [`Self::wait`] sleeps.
    pub(super) const fn is_about_to_sleep(&self) -> bool {
        let spins_max = match self.mode {
            WaitMode::Busy => u32::MAX,
            WaitMode::Adaptive => SPINS_MAX,
            WaitMode::Interrupt => 0,
        };
        self.spins >= spins_max
    }

    /// Spins once or sleeps, as the mode and the time since the last frame say.
    pub(super) fn wait<K: KernelSide>(&mut self, kernel: &mut K) -> io::Result<()> {
        if self.is_about_to_sleep() {
            return kernel.wait(SLEEP_MAX);
        }
        self.spins = self.spins.saturating_add(1).min(SPINS_MAX);
        if kernel.is_polled() {
            return kernel.drive();
        }
        hint::spin_loop();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

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

    fn waits(mode: WaitMode, far: &mut Far, times: u32) {
        let mut idle = Idle::new(mode);
        (0..times).for_each(|_| idle.wait(far).unwrap());
    }

    #[test]
    fn a_busy_worker_never_sleeps() {
        let mut far = Far::default();
        waits(WaitMode::Busy, &mut far, 3 * SPINS_MAX);
        assert_eq!(far.sleeps, []);
    }

    #[test]
    fn an_adaptive_worker_spins_before_it_sleeps_and_again_after_a_frame() {
        let mut far = Far::default();
        waits(WaitMode::Adaptive, &mut far, SPINS_MAX);
        assert_eq!(far.sleeps, []);
        waits(WaitMode::Adaptive, &mut far, SPINS_MAX + 2);
        assert_eq!(far.sleeps, [SLEEP_MAX; 2]);
        let mut idle = Idle { mode: WaitMode::Adaptive, spins: SPINS_MAX };
        idle.reset();
        idle.wait(&mut far).unwrap();
        assert_eq!(far.sleeps.len(), 2);
    }

    #[test]
    fn a_worker_in_interrupt_mode_sleeps_at_once() {
        let mut far = Far::default();
        waits(WaitMode::Interrupt, &mut far, 1);
        assert_eq!(far.sleeps, [SLEEP_MAX]);
    }

    #[test]
    fn a_polled_driver_is_driven_instead_of_spinning() {
        let mut far = Far { is_polled: true, ..Far::default() };
        waits(WaitMode::Busy, &mut far, 5);
        assert_eq!((far.drives, far.sleeps.len()), (5, 0));
    }
}
