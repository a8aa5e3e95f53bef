//! A consumer on a thread of its own, with an application and, for the first one, a record of how long frames took.

use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use anyhow::Result;
use vxtap::output::{Consumer, Next};

use super::super::app::Application;
use super::super::background::WAIT_MS;
use super::super::board::Board;
use super::super::latency::Recorder;
use super::ConsumerWait;

/// Starts the thread; it ends when the engine has stopped and everything has been read. `recorder` gets the time that
/// every `every`-th frame took.
pub(super) fn start(
    mut consumer: Consumer,
    wait: ConsumerWait,
    recorder: Option<Recorder>,
    every: u32,
) -> Result<(Arc<Board>, JoinHandle<()>)> {
    let board = Arc::new(Board::default());
    let theirs = board.clone();
    let thread = thread::Builder::new().name("consumer".to_owned()).spawn(move || {
        let mut app = Application::default();
        let mut sampler = recorder.map(|recorder| Sampler { recorder, every, skip: 0 });
        while read(&mut consumer, wait, &mut app, sampler.as_mut()) {
            app.publish(&theirs);
        }
    })?;
    Ok((board, thread))
}

/// Reads a batch; false when there will be no more.
fn read(
    consumer: &mut Consumer,
    wait: ConsumerWait,
    app: &mut Application,
    sampler: Option<&mut Sampler>,
) -> bool {
    let timeout = match wait {
        ConsumerWait::Nap => Duration::from_millis(WAIT_MS.into()),
        ConsumerWait::Spin => Duration::ZERO,
    };
    match consumer.next(timeout) {
        Next::Batch(batch) => {
            if let Some(sampler) = sampler {
                sampler.batch(batch.iter().map(|frame| frame.timestamp_ns()));
            }
            for frame in &batch {
                app.frame(&frame.bytes());
            }
            true
        }
        Next::Idle => {
            if wait == ConsumerWait::Spin {
                thread::yield_now();
            }
            true
        }
        Next::Closed => false,
    }
}

/// Records the latency of every n-th frame, whichever batches they come in.
#[derive(Debug)]
struct Sampler {
    recorder: Recorder,
    every: u32,
    /// Frames to leave out before the next sample.
    skip: u32,
}

impl Sampler {
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
        let mut sampler = Sampler { recorder: recorder.clone(), every: 4, skip: 0 };
        for len in [1, 2, 5, 8] {
            sampler.batch((0..len).map(|_| 0));
        }
        assert_eq!(recorder.take().count, 4);
    }
}
