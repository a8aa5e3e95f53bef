//! Endless traffic.

use std::num::NonZeroU64;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use vxtap_bench::{Pace, PacketSocket, Profile, SendLimits, Totals, Traffic, send};
use vxtap_tests::Side;

/// Endless traffic from a thread of its own.
pub(crate) struct Load {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Totals>,
}

impl Load {
    /// Sends frames from the sending end, so many per second.
    pub(crate) fn start(sender: &Side, frames_per_second: u64) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let (until, interface) = (stop.clone(), sender.interface);
        let pace = NonZeroU64::new(frames_per_second).map_or(Pace::Full, Pace::PerSecond);
        let run = move || {
            let mut socket = PacketSocket::open(interface).unwrap();
            let mut traffic = Traffic::new(&Profile::default()).unwrap();
            let limits = SendLimits { pace, duration: None, stop: Some(&until) };
            send(&mut traffic, &mut socket, limits, |_| {}).unwrap()
        };
        // A thread stays in the namespace in which it was started.
        Self { stop, thread: sender.netns.run(|| thread::spawn(run)) }
    }

    /// Ends it; returns the counts of what was sent.
    pub(crate) fn stop(self) -> Totals {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}
