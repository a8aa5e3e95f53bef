//! The loop from a source of frames to a sink, on schedule.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::pace::{Clock, Pace};
use crate::sink::{Label, Pushed, Sink, SinkError, Slot, Timing};
use crate::totals::Totals;

/// Most frames handed to a sink at once: enough to make a system call's cost small, and few against
/// the 256 frames that a veth's receive ring holds.
const BATCH: usize = 32;
/// Frames due within this time of the first leave with it. Longer makes bursts; shorter makes
/// batches small and the clock read per frame.
const HORIZON: Duration = Duration::from_micros(200);
/// Time between two calls of the progress function, and longest wait without a look at the stop
/// flag.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Attempts at a full sink that only give way to other threads, before sleeping in between.
const YIELDS: u32 = 64;
/// Attempts in all before a frame is refused: with the sleeps at least 10 ms, in which a living
/// receiver empties any ring.
const ATTEMPTS: u32 = YIELDS + 100;
const PAUSE: Duration = Duration::from_micros(100);

/// Where frames come from.
pub trait Source {
    /// Replaces the buffer's content by the next frame; `None` at the end.
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label>;

    /// When the frame that comes next was recorded, counted from the first; zero where there is no
    /// record.
    fn next_at(&self) -> Duration;
}

/// When to send, and when to stop before the source ends.
#[derive(Debug, Clone, Copy)]
pub struct Limits<'a> {
    /// How fast to send.
    pub pace: Pace,
    /// Longest time to send for; a frame due at or after it is not sent.
    pub duration: Option<Duration>,
    /// Ends the sending as soon as it is true.
    pub stop: Option<&'a AtomicBool>,
}

/// Why sending ended before its time.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The sink refused a frame for good, or could not be finished.
    #[error("sending stopped after {frames} frames: {cause}", frames = .totals.frames, cause = .source)]
    Sink {
        /// What was sent before.
        totals: Box<Totals>,
        /// The sink's error.
        source: SinkError,
    },
}

/// Sends what the source has until it or one of the limits ends it, and says what the sink took.
///
/// `progress` is called about every 100 ms with the totals so far.
///
/// # Errors
/// An error of the sink that trying again does not help against.
pub fn send<S: Source, K: Sink>(
    source: &mut S,
    sink: &mut K,
    limits: Limits<'_>,
    progress: impl FnMut(&Totals),
) -> Result<Totals, SendError> {
    let clock = match sink.timing() {
        Timing::Live => Clock::Real(Instant::now()),
        Timing::Written => Clock::Virtual(Duration::ZERO),
    };
    let mut run =
        Run { source, sink, limits, progress, clock, totals: Totals::default(), number: 0 };
    let result = run.send_all().and_then(|()| run.sink.finish());
    let mut totals = run.totals;
    totals.elapsed = run.clock.now();
    match result {
        Ok(()) => Ok(totals),
        Err(source) => Err(SendError::Sink { totals: Box::new(totals), source }),
    }
}

struct Run<'a, S, K, P> {
    source: &'a mut S,
    sink: &'a mut K,
    limits: Limits<'a>,
    progress: P,
    clock: Clock,
    totals: Totals,
    /// Frames taken from the source.
    number: u64,
}

impl<S: Source, K: Sink, P: FnMut(&Totals)> Run<'_, S, K, P> {
    fn send_all(&mut self) -> Result<(), SinkError> {
        let mut batch: Vec<Slot> = (0..BATCH).map(|_| Slot::default()).collect();
        let mut report_at = PROGRESS_EVERY;
        loop {
            let due = self.next_due();
            let mut now = self.clock.wait_until(due.min(report_at));
            while now < due && !self.is_over(now) {
                self.report(now, &mut report_at);
                now = self.clock.wait_until(due.min(report_at));
            }
            if self.is_over(now) {
                return Ok(());
            }
            let len = self.fill(&mut batch, due + HORIZON);
            if len == 0 {
                return Ok(());
            }
            self.deliver(&batch[..len])?;
            self.report(now, &mut report_at);
        }
    }

    fn next_due(&self) -> Duration {
        self.limits.pace.due(self.number, self.source.next_at())
    }

    fn is_over(&self, now: Duration) -> bool {
        let is_late = self.limits.duration.is_some_and(|duration| now >= duration);
        is_late || self.limits.stop.is_some_and(|stop| stop.load(Ordering::Relaxed))
    }

    /// Fills the batch with the frames due before `until`, and returns how many there are.
    fn fill(&mut self, batch: &mut [Slot], until: Duration) -> usize {
        for (len, slot) in batch.iter_mut().enumerate() {
            slot.due = self.next_due();
            if slot.due >= until
                || self.limits.duration.is_some_and(|duration| slot.due >= duration)
            {
                return len;
            }
            slot.label = self.source.next_frame(&mut slot.bytes);
            if slot.label.is_none() {
                return len;
            }
            self.number += 1;
        }
        batch.len()
    }

    fn deliver(&mut self, mut slots: &[Slot]) -> Result<(), SinkError> {
        let mut attempts = 0;
        while let [first, rest @ ..] = slots {
            match self.sink.push(slots)? {
                Pushed::Taken(count) => {
                    let (taken, left) = slots.split_at(count);
                    for slot in taken {
                        self.count(slot);
                    }
                    slots = left;
                    attempts = 0;
                }
                Pushed::Full if attempts < ATTEMPTS => {
                    attempts += 1;
                    self.totals.retries += 1;
                    back_off(attempts);
                }
                Pushed::Full => {
                    debug_assert!(first.label.is_some());
                    self.totals.refused += 1;
                    slots = rest;
                    attempts = 0;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, slot: &Slot) {
        let Some(Label { session, inner_len }) = slot.label else { return };
        self.totals.add(session, slot.bytes.len(), inner_len);
    }

    fn report(&mut self, now: Duration, report_at: &mut Duration) {
        if now >= *report_at {
            self.totals.elapsed = now;
            (self.progress)(&self.totals);
            *report_at = now + PROGRESS_EVERY;
        }
    }
}

fn back_off(attempts: u32) {
    if attempts <= YIELDS {
        thread::yield_now();
    } else {
        thread::sleep(PAUSE);
    }
}
