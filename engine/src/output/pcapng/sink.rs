//! The end of the way: frames out of a consumer into a capture, which may fail without stopping the engine.

use std::fs::File;
use std::time::{Duration, Instant};

use super::capture::{CaptureWriter, FrameKey, InterfaceKey, InterfaceTotals, Period};
use super::file::{PcapngError, Storage};
use crate::output::{Consumer, Next};

/// Longest wait for frames between two ticks of the file.
const WAIT: Duration = Duration::from_millis(250);

/// What became of the frames that a [`Sink`] took: `frames_written + frames_lost` is their number.
#[derive(Debug)]
pub struct Report {
    /// In the file.
    pub frames_written: u64,
    /// Length of the whole blocks in the file, in bytes.
    pub bytes_written: u64,
    /// Taken and not in the file, because writing failed.
    pub frames_lost: u64,
    /// In the file behind a later one, as it came longer after it than the frames of several queues are kept apart.
    pub out_of_order: u64,
    /// Why, if writing failed.
    pub error: Option<PcapngError>,
}

/// Takes every frame, whether or not the file can.
///
/// After the first error the frames are counted as lost, so that the rings go on being emptied and the workers get
/// their chunks back.
#[derive(Debug)]
pub struct Sink<S = File> {
    writer: CaptureWriter<S>,
    frames: u64,
    frames_lost: u64,
    error: Option<PcapngError>,
}

#[expect(private_bounds, reason = "another storage than a file exists in tests only")]
impl<S: Storage> Sink<S> {
    /// Makes a sink that writes through `writer`.
    pub const fn new(writer: CaptureWriter<S>) -> Self {
        Self { writer, frames: 0, frames_lost: 0, error: None }
    }

    /// Takes a frame; as [`CaptureWriter::packet`].
    pub fn packet<'a>(
        &mut self,
        key: FrameKey,
        timestamp_ns: u64,
        original_len: u32,
        segments: impl Iterator<Item = &'a [u8]>,
    ) {
        self.frames += 1;
        if self.error.is_some() {
            self.frames_lost += 1;
            return;
        }
        let result = self.writer.packet(key, timestamp_ns, original_len, segments);
        self.note(result);
    }

    /// Writes what waits if the last time is long enough ago; to be called every 250 ms or more often.
    pub fn tick(&mut self, now: Instant) {
        if self.error.is_none() {
            let result = self.writer.tick(now);
            self.note(result);
        }
    }

    /// Returns why writing failed, if it has.
    pub const fn error(&self) -> Option<&PcapngError> {
        self.error.as_ref()
    }

    /// Ends the capture as [`CaptureWriter::finish`] does and tells what became of the frames.
    pub fn finish(
        mut self,
        period: Option<Period>,
        totals: impl Fn(InterfaceKey, u64) -> InterfaceTotals,
    ) -> Report {
        if self.error.is_none() {
            let result = self.writer.finish(period, totals);
            self.note(result);
        }
        let Self { writer, frames, frames_lost, error } = self;
        Report {
            frames_written: frames - frames_lost,
            bytes_written: writer.whole_bytes(),
            frames_lost,
            out_of_order: 0,
            error,
        }
    }

    fn note(&mut self, result: Result<(), PcapngError>) {
        if let Err(error) = result {
            self.frames_lost += error.frames_lost();
            self.error = Some(error);
        }
    }
}

/// Moves frames from `consumer` to `sink` until the engine has stopped and everything has been read: the body of an
/// output's thread. [`Sink::finish`] comes after it.
///
/// `failed` is called once, when writing fails.
#[expect(private_bounds, reason = "another storage than a file exists in tests only")]
pub fn drain<S: Storage>(consumer: &mut Consumer, sink: &mut Sink<S>, failed: impl FnOnce(&PcapngError)) {
    let mut failed = Some(failed);
    loop {
        match consumer.next(WAIT) {
            Next::Batch(batch) => {
                for frame in &batch {
                    sink.packet(
                        FrameKey::from(&frame),
                        frame.timestamp_ns(),
                        frame.original_len(),
                        frame.segments(),
                    );
                }
            }
            Next::Idle => {}
            Next::Closed => return,
        }
        sink.tick(Instant::now());
        if let Some(error) = sink.error()
            && let Some(failed) = failed.take()
        {
            failed(error);
        }
    }
}

#[cfg(test)]
mod tests;
