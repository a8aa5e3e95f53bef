//! Signals of a thread.

use nix::sys::signal::{SigSet, SigmaskHow};

/// Runs `body` while signals wait: those to this thread until it ends, those to the process unless
/// another thread takes them. For system calls that give up when a signal is pending, and for which
/// a second attempt among many signals fares no better.
pub(crate) fn without_signals<T>(body: impl FnOnce() -> T) -> T {
    /// Signals that waited before.
    struct Restore(Option<SigSet>);
    impl Drop for Restore {
        fn drop(&mut self) {
            if let Some(before) = &self.0 {
                // The mask is one that the kernel has given.
                let _ = before.thread_set_mask();
            }
        }
    }
    let _restore = Restore(SigSet::all().thread_swap_mask(SigmaskHow::SIG_BLOCK).ok());
    body()
}

#[cfg(test)]
mod tests {
    use nix::sys::signal::Signal;

    use super::*;

    #[test]
    fn signals_wait_while_the_body_runs_and_not_behind_it() {
        let waits = || SigSet::thread_get_mask().unwrap().contains(Signal::SIGUSR1);
        assert!(!waits());
        assert!(without_signals(waits));
        assert!(!waits());
    }
}
