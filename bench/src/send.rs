//! The loop from a source of frames to a sink, on schedule.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::pace::{Pace, PaceClock};
use crate::plural::counted;
use crate::sink::{FrameSink, Label, OutgoingFrame, Pushed, SinkError, Timing};
use crate::totals::Totals;

/// Most frames handed to a sink at once: enough to make a system call's cost small, and few against
/// the 256 frames that a veth's receive ring holds.
const BATCH: usize = 32;
/// Frames due within this time of the first leave with it. Longer makes bursts; shorter makes
/// batches small and the clock read per frame.
const HORIZON: Duration = Duration::from_micros(200);
/// Time between two calls of the progress function, and longest wait until the stop flag is
/// checked.
const PROGRESS_EVERY: Duration = Duration::from_millis(100);
/// Attempts at a full sink that only yield to other threads, before sleeping in between.
const YIELDS: u32 = 64;
/// Attempts in all before a frame is refused: with the sleeps at least 10 ms, in which a working
/// receiver empties any ring.
const ATTEMPTS: u32 = YIELDS + 100;
const PAUSE: Duration = Duration::from_micros(100);

/// A source of frames.
pub trait FrameSource {
    /// Replaces the buffer's content by the next frame; `None` at the end.
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label>;

    /// Recorded time of the next frame, counted from the first; zero if there is no record.
    fn next_at(&self) -> Duration;
}

/// Rate of sending, and limits that end it before the source does.
#[derive(Debug, Clone, Copy)]
pub struct SendLimits<'a> {
    /// Rate of sending.
    pub pace: Pace,
    /// Longest time to send for; a frame due at or after it is not sent.
    pub duration: Option<Duration>,
    /// Ends the sending as soon as it is true.
    pub stop: Option<&'a AtomicBool>,
}

/// Reason why sending ended early.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// The sink refused a frame for good, or could not be finished.
    #[error("sending stopped after {frames}: {cause}", frames = counted(.totals.frames, "frame"), cause = .source)]
    Sink {
        /// Totals before the error.
        totals: Box<Totals>,
        /// The sink's error.
        source: SinkError,
    },
}

/// Sends the source's frames until the source or one of the limits ends, and returns the totals of
/// the frames that the sink took.
///
/// `progress` is called about every 100 ms with the totals so far.
///
/// # Errors
/// An error of the sink that persists when the frame is pushed again.
pub fn send<S: FrameSource, K: FrameSink>(
    source: &mut S,
    sink: &mut K,
    limits: SendLimits<'_>,
    progress: impl FnMut(&Totals),
) -> Result<Totals, SendError> {
    let clock = match sink.timing() {
        Timing::Live => PaceClock::Real(Instant::now()),
        Timing::Written => PaceClock::Virtual(Duration::ZERO),
    };
    let mut run =
        SendLoop { source, sink, limits, progress, clock, totals: Totals::default(), number: 0 };
    let result = run.send_all().and_then(|()| run.sink.finish());
    let mut totals = run.totals;
    totals.elapsed = run.clock.now();
    match result {
        Ok(()) => Ok(totals),
        Err(source) => Err(SendError::Sink { totals: Box::new(totals), source }),
    }
}

struct SendLoop<'a, S, K, P> {
    source: &'a mut S,
    sink: &'a mut K,
    limits: SendLimits<'a>,
    progress: P,
    clock: PaceClock,
    totals: Totals,
    /// Frames taken from the source.
    number: u64,
}

impl<S: FrameSource, K: FrameSink, P: FnMut(&Totals)> SendLoop<'_, S, K, P> {
    fn send_all(&mut self) -> Result<(), SinkError> {
        let mut batch: Vec<OutgoingFrame> = (0..BATCH).map(|_| OutgoingFrame::default()).collect();
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
    fn fill(&mut self, batch: &mut [OutgoingFrame], until: Duration) -> usize {
        for (len, frame) in batch.iter_mut().enumerate() {
            frame.due = self.next_due();
            if frame.due >= until
                || self.limits.duration.is_some_and(|duration| frame.due >= duration)
            {
                return len;
            }
            frame.label = self.source.next_frame(&mut frame.bytes);
            if frame.label.is_none() {
                return len;
            }
            self.number += 1;
        }
        batch.len()
    }

    fn deliver(&mut self, mut frames: &[OutgoingFrame]) -> Result<(), SinkError> {
        let mut attempts = 0;
        while let [first, rest @ ..] = frames {
            match self.sink.push(frames)? {
                Pushed::Taken(count) => {
                    let (taken, left) = frames.split_at(count);
                    for frame in taken {
                        self.count(frame);
                    }
                    frames = left;
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
                    frames = rest;
                    attempts = 0;
                }
            }
        }
        Ok(())
    }

    fn count(&mut self, frame: &OutgoingFrame) {
        let Some(Label { session, inner_len }) = frame.label else { return };
        self.totals.add(session, frame.bytes.len(), inner_len);
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
