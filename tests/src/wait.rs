//! Waiting for an event instead of sleeping for a guessed time.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Longest wait for an event that takes milliseconds on an idle machine: the machine may do other
/// work at the same time.
pub const TIMEOUT: Duration = Duration::from_secs(60);

/// Time between two checks of the condition: far below anything a test waits for, far above the
/// cost of a check.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `predicate` returns true and returns how long that took.
///
/// The predicate is checked once more after the deadline, so that a machine that stood still does
/// not fail the test.
///
/// # Errors
/// When `predicate` does not return true within `timeout`; the text names the event, `what`.
pub fn wait_until(
    what: &str,
    timeout: Duration,
    mut predicate: impl FnMut() -> bool,
) -> Result<Duration> {
    let start = Instant::now();
    loop {
        let waited = start.elapsed();
        if predicate() {
            return Ok(waited);
        }
        if waited >= timeout {
            bail!("waited {:.1} s in vain for {what}", timeout.as_secs_f64());
        }
        thread::sleep(INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waiting_ends_as_soon_as_the_condition_holds() {
        let mut looks = 0;
        let waited = wait_until("three looks", TIMEOUT, || {
            looks += 1;
            looks == 3
        });
        assert!(waited.expect("three looks are quick") < TIMEOUT);
        assert_eq!(looks, 3);
    }

    #[test]
    fn waiting_in_vain_says_what_for() {
        let error =
            wait_until("the moon", Duration::from_millis(100), || false).expect_err("never holds");
        assert_eq!(error.to_string(), "waited 0.1 s in vain for the moon");
    }
}
