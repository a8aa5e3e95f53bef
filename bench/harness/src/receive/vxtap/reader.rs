//! A consumer on a thread of its own, with an application and, for the first one, a record of how
//! long frames took.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use vxtap::ring::{Consumer, Next};

use super::super::app::Application;
use super::super::background::WAIT_MS;
use super::super::board::Board;
use super::super::latency::Recorder;
use super::ConsumerWait;
use super::capture::Capture;

/// A consumer, and what is done with what it gets.
#[derive(Debug)]
pub(super) struct Reader {
    pub(super) consumer: Consumer,
    pub(super) wait: ConsumerWait,
    pub(super) sampler: Option<Sampler>,
    pub(super) capture: Option<Capture>,
}

impl Reader {
    /// Starts the thread; it ends when the engine has stopped and everything has been read, or when
    /// the capture cannot be written any more.
    pub(super) fn start(mut self) -> Result<(Arc<Board>, JoinHandle<Result<()>>)> {
        let board = Arc::new(Board::default());
        let theirs = board.clone();
        let thread = thread::Builder::new().name("consumer".to_owned()).spawn(move || {
            let mut app = Application::default();
            while self.read(&mut app)? {
                app.publish(&theirs);
            }
            Ok(())
        })?;
        Ok((board, thread))
    }

    /// Reads a batch; false when there will be no more.
    fn read(&mut self, app: &mut Application) -> Result<bool> {
        let timeout = match self.wait {
            ConsumerWait::Nap => Duration::from_millis(WAIT_MS.into()),
            ConsumerWait::Spin => Duration::ZERO,
        };
        match self.consumer.next(timeout) {
            Next::Batch(batch) => {
                if let Some(sampler) = &mut self.sampler {
                    sampler.batch(batch.iter().map(|frame| frame.timestamp_ns()));
                }
                for frame in &batch {
                    if let Some(capture) = &mut self.capture {
                        capture.frame(&frame)?;
                    }
                    app.frame(&frame.bytes());
                }
                Ok(true)
            }
            Next::Idle => {
                if self.wait == ConsumerWait::Spin {
                    thread::yield_now();
                }
                Ok(true)
            }
            Next::Closed => Ok(false),
        }
    }
}

/// Records the latency of every n-th frame, whichever batches they come in.
#[derive(Debug)]
pub(super) struct Sampler {
    recorder: Recorder,
    every: u32,
    /// Frames to leave out before the next sample.
    skip: u32,
}

impl Sampler {
    /// Records the first frame and every `every`-th from there on.
    pub(super) const fn new(recorder: Recorder, every: u32) -> Self {
        Self { recorder, every, skip: 0 }
    }

    /// Takes the arrival times of a batch, which is read now.
    fn batch(&mut self, arrivals_ns: impl Iterator<Item = u64>) {
        let Self { recorder, every, skip } = self;
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut samples = recorder.batch();
        for arrival_ns in arrivals_ns {
            if *skip == 0 {
                samples.add(arrival_ns, now_ns);
                *skip = *every;
            }
            *skip -= 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_nth_frame_is_a_sample_across_batches() {
        let recorder = Recorder::new();
        let mut sampler = Sampler::new(recorder.clone(), 4);
        for len in [1, 2, 5, 8] {
            sampler.batch((0..len).map(|_| 0));
        }
        assert_eq!(recorder.take().count, 4);
    }
}
