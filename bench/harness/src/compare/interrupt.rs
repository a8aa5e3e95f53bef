//! Ctrl-C, checked in every wait, so that the guards clean up.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Longest delay until a signal is noticed.
pub(crate) const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Set by SIGINT, SIGTERM and SIGHUP.
#[derive(Debug, Clone, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Makes the signals set the flag instead of ending this process.
    ///
    /// # Errors
    /// When a signal cannot be taken over.
    pub(crate) fn catch() -> Result<Self> {
        let interrupt = Self::default();
        for signal in [SIGINT, SIGTERM, SIGHUP] {
            signal_hook::flag::register(signal, Arc::clone(&interrupt.0))
                .with_context(|| format!("cannot take over signal {signal}"))?;
        }
        Ok(interrupt)
    }

    /// Returns whether a signal has come.
    pub(crate) fn has_come(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// # Errors
    /// When a signal has come.
    pub(crate) fn check(&self) -> Result<()> {
        ensure!(!self.has_come(), "interrupted; the namespaces and processes are removed");
        Ok(())
    }

    /// Lets `time` pass.
    ///
    /// # Errors
    /// When a signal comes meanwhile.
    pub(crate) fn pause(&self, time: Duration) -> Result<()> {
        let end = Instant::now() + time;
        loop {
            self.check()?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(POLL_INTERVAL));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_ends_with_the_signal() {
        let interrupt = Interrupt::default();
        interrupt.pause(Duration::from_millis(1)).expect("no signal");
        interrupt.0.store(true, Ordering::Relaxed);
        let start = Instant::now();
        let error = interrupt.pause(Duration::from_secs(60)).expect_err("a signal has come");
        assert_eq!(error.to_string(), "interrupted; the namespaces and processes are removed");
        assert!(start.elapsed() < Duration::from_secs(30));
    }
}
