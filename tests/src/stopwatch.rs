//! Time limits that hold on a machine that does other work.

use std::collections::HashMap;
use std::fs;
use std::time::{Duration, Instant};

/// Measures time without the time for which the threads of this process waited for a CPU.
///
/// For the few claims that are about time. On an idle machine it shows the time that has passed; on
/// a busy one it shows less, because the waits of all threads are subtracted.
#[derive(Debug)]
pub struct Stopwatch {
    start: Instant,
    waited: HashMap<String, Duration>,
}

impl Stopwatch {
    /// Starts at zero.
    pub fn start() -> Self {
        Self { start: Instant::now(), waited: waits_for_a_cpu().collect() }
    }

    /// Time since the start, without the waits for a CPU.
    pub fn elapsed(&self) -> Duration {
        let elapsed = self.start.elapsed();
        let waited = |(thread, waited): (String, Duration)| {
            waited.saturating_sub(self.waited.get(&thread).copied().unwrap_or_default())
        };
        elapsed.saturating_sub(waits_for_a_cpu().map(waited).sum())
    }
}

/// Returns for each thread of this process how long it has waited for a CPU: the second field of
/// `schedstat` (kernel: `Documentation/scheduler/sched-stats.rst`). A kernel without it has none.
fn waits_for_a_cpu() -> impl Iterator<Item = (String, Duration)> {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    threads.filter_map(|thread| {
        let text = fs::read_to_string(thread.path().join("schedstat")).ok()?;
        let waited_ns = text.split_whitespace().nth(1)?.parse().ok()?;
        Some((thread.file_name().into_string().ok()?, Duration::from_nanos(waited_ns)))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{TIMEOUT, wait_until};

    #[test]
    fn a_stopwatch_goes_on_while_there_is_a_cpu_and_never_ahead_of_the_clock() {
        let (watch, start) = (Stopwatch::start(), Instant::now());
        wait_until("the stopwatch to move", TIMEOUT, || !watch.elapsed().is_zero())
            .expect("this thread gets a CPU now and then");
        assert!(watch.elapsed() <= start.elapsed() + Duration::from_secs(1));
    }
}
