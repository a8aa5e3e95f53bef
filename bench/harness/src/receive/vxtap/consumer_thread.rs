//! A consumer on a thread of its own, with an application and, for the first one, a latency
//! histogram.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use vxtap::ring::{Consumer, Next};

use super::super::app::Application;
use super::super::background::WAIT_MS;
use super::super::latency::Recorder;
use super::super::shared_counts::SharedCounts;
use super::ConsumerWait;
use super::unlinked_capture::UnlinkedCapture;

/// A consumer, and the users of its frames.
#[derive(Debug)]
pub(super) struct ConsumerThread {
    pub(super) consumer: Consumer,
    pub(super) wait: ConsumerWait,
    pub(super) sampler: Option<Sampler>,
    pub(super) capture: Option<UnlinkedCapture>,
}

impl ConsumerThread {
    /// Starts the thread; it ends when the engine has stopped and everything has been read, or when
    /// the capture can no longer be written.
    pub(super) fn start(mut self) -> Result<(Arc<SharedCounts>, JoinHandle<Result<()>>)> {
        let counts = Arc::new(SharedCounts::default());
        let theirs = counts.clone();
        let thread = thread::Builder::new().name("consumer".to_owned()).spawn(move || {
            let mut app = Application::default();
            while self.read(&mut app)? {
                app.publish(&theirs);
            }
            Ok(())
        })?;
        Ok((counts, thread))
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

/// Records the latency of every n-th frame, across batches.
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
