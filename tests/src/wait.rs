//! Waiting for a condition instead of sleeping for a guess.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Time between two looks at the condition: far below anything a test waits for, far above what the
/// look costs.
const INTERVAL: Duration = Duration::from_millis(5);

/// Waits until `predicate` holds and returns how long that took.
///
/// The predicate is looked at once more after the deadline, so that a machine that stood still does
/// not fail the test.
///
/// # Errors
/// When `predicate` does not hold within `timeout`; the text names `what` was waited for.
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
        let waited = wait_until("three looks", Duration::from_secs(60), || {
            looks += 1;
            looks == 3
        });
        assert!(waited.expect("three looks are quick") < Duration::from_secs(60));
        assert_eq!(looks, 3);
    }

    #[test]
    fn waiting_in_vain_says_what_for() {
        let error =
            wait_until("the moon", Duration::from_millis(100), || false).expect_err("never holds");
        assert_eq!(error.to_string(), "waited 0.1 s in vain for the moon");
    }
}
