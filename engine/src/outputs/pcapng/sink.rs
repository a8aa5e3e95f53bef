//! A file that may fail for a time: frames that it cannot take are counted, and it goes on as soon
//! as it can.

use std::fs::File;
use std::time::{Duration, Instant};

use super::capture::{CaptureWriter, FrameKey, InterfaceKey, InterfaceTotals, Period};
use super::file::{PcapngError, Storage};

/// Time from a failed write to the next try. Shorter fills the file with section headers where
/// there is room for little; longer loses more.
const RETRY: Duration = Duration::from_secs(1);

/// Takes every frame, whether or not the file can, so that the rings go on being emptied and the
/// workers get their chunks back.
#[derive(Debug)]
pub(super) struct RetryingWriter<S = File> {
    writer: CaptureWriter<S>,
    frames: u64,
    frames_lost: u64,
    state: State,
    events: Vec<Event>,
}

/// How writing goes. What is said of it is said of a whole spell of trouble, not of each try.
#[derive(Clone, Copy, Debug)]
enum State {
    Good,
    /// Frames are lost.
    Failed {
        /// Set by the first tick.
        retry_at: Option<Instant>,
        /// Frames that were lost before.
        lost_before: u64,
    },
    /// A new section has begun, and whether frames get there too turns out when the file is longer
    /// than this.
    Trying {
        lost_before: u64,
        whole_bytes: u64,
    },
}

/// What is to be said.
#[derive(Debug)]
pub(super) enum Event {
    /// Frames are lost from now on.
    Failed(PcapngError),
    /// It goes on, after so many frames.
    Resumed(u64),
}

impl<S: Storage> RetryingWriter<S> {
    pub(super) const fn new(writer: CaptureWriter<S>) -> Self {
        Self { writer, frames: 0, frames_lost: 0, state: State::Good, events: Vec::new() }
    }

    /// Takes a frame; as [`CaptureWriter::packet`].
    pub(super) fn packet<'a>(
        &mut self,
        key: FrameKey,
        timestamp_ns: u64,
        original_len: u32,
        segments: impl Iterator<Item = &'a [u8]>,
    ) {
        self.frames += 1;
        if matches!(self.state, State::Failed { .. }) {
            self.frames_lost += 1;
            return;
        }
        let result = self.writer.packet(key, timestamp_ns, original_len, segments);
        self.note(result);
    }

    /// Writes what waits if the last time is long enough ago, or tries again what has failed; to be
    /// called every 250 ms or more often.
    pub(super) fn tick(&mut self, now: Instant) {
        let State::Failed { retry_at, .. } = &mut self.state else {
            let result = self.writer.tick(now);
            return self.note(result);
        };
        if now >= *retry_at.get_or_insert(now + RETRY) {
            *retry_at = None;
            self.resume();
        }
    }

    fn resume(&mut self) {
        let State::Failed { lost_before, .. } = self.state else { return };
        if self.writer.resume() && self.writer.begin_section().is_ok() {
            self.state = State::Trying { lost_before, whole_bytes: self.writer.whole_bytes() };
        }
    }

    /// Takes what is to be said, in its order.
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    /// Frames that it took.
    pub(super) const fn frames(&self) -> u64 {
        self.frames
    }

    /// Frames that it took and that are not in the file.
    pub(super) const fn frames_lost(&self) -> u64 {
        self.frames_lost
    }

    pub(super) const fn writer(&self) -> &CaptureWriter<S> {
        &self.writer
    }

    /// The file, when it has ended.
    pub(super) fn into_storage(self) -> S {
        self.writer.into_storage()
    }

    /// Writes everything that waits, and tries a last time what has failed: what
    /// [`CaptureWriter::deliveries`] says is final then.
    pub(super) fn flush(&mut self) {
        self.resume();
        if !matches!(self.state, State::Failed { .. }) {
            let result = self.writer.flush();
            self.note(result);
        }
    }

    /// Ends the capture as [`CaptureWriter::finish`] does.
    pub(super) fn finish(
        &mut self,
        period: Option<Period>,
        totals: impl FnMut(InterfaceKey, u64) -> InterfaceTotals,
    ) {
        if !matches!(self.state, State::Failed { .. }) {
            let result = self.writer.finish(period, totals);
            self.note(result);
        }
    }

    fn note(&mut self, result: Result<(), PcapngError>) {
        match (result, self.state) {
            (Ok(()), State::Trying { lost_before, whole_bytes })
                if self.writer.whole_bytes() > whole_bytes =>
            {
                self.events.push(Event::Resumed(self.frames_lost - lost_before));
                self.state = State::Good;
            }
            (Ok(()), _) => {}
            (Err(error), State::Trying { lost_before, .. }) => {
                self.frames_lost += error.frames_lost();
                self.state = State::Failed { retry_at: None, lost_before };
            }
            (Err(error), _) => {
                self.state = State::Failed { retry_at: None, lost_before: self.frames_lost };
                self.frames_lost += error.frames_lost();
                self.events.push(Event::Failed(error));
            }
        }
    }
}

#[cfg(test)]
mod tests;
