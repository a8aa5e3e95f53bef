//! A receiving loop on a thread of its own.

use std::sync::Arc;
use std::sync::mpsc;
use std::thread::{self, JoinHandle};

use anyhow::{Context, Result, anyhow};

use super::app::Application;
use super::shared_counts::SharedCounts;
use crate::mark_protocol::Mark;

/// Longest time that a receiver waits for frames before it checks the stop flag, in milliseconds.
pub(super) const WAIT_MS: u16 = 100;

/// A receiver that takes its frames in a loop.
pub(super) trait Receive {
    /// Describes the set-up.
    fn about(&self) -> String;

    /// Gives the application the frames that are available. If there are none, waits in the
    /// receiver's way, up to [`WAIT_MS`].
    fn batch(&mut self, app: &mut Application) -> Result<()>;

    /// Frames that the kernel interface reports as lost since the start; `None` if it reports none.
    fn lost(&mut self) -> Result<Option<u64>>;
}

/// A [`Receive`] at work.
#[derive(Debug)]
pub(super) struct Background {
    counts: Arc<SharedCounts>,
    thread: JoinHandle<Result<()>>,
}

impl Background {
    /// Opens a receiver on a new thread and starts its loop; also returns the receiver's
    /// description of its set-up.
    pub(super) fn start<R: Receive>(
        open: impl FnOnce() -> Result<R> + Send + 'static,
    ) -> Result<(Self, String)> {
        let counts = Arc::new(SharedCounts::default());
        let (stop, stopped) = mpsc::channel();
        let theirs = counts.clone();
        let thread = thread::Builder::new().name("receive".to_owned()).spawn(move || {
            let mut receiver = open()?;
            // The channel is closed only if the process is ending.
            let _ = stop.send(receiver.about());
            run(&mut receiver, &theirs)
        })?;
        match stopped.recv() {
            Ok(about) => Ok((Self { counts, thread }, about)),
            // The thread ended before it sent its description.
            Err(mpsc::RecvError) => {
                Err(join(thread).err().unwrap_or_else(|| anyhow!("no receiver")))
            }
        }
    }

    /// Returns the counts so far.
    pub(super) fn mark(&self) -> Result<Mark> {
        let counts = self.counts.counts();
        if self.thread.is_finished() {
            // The reason is returned by `end`.
            return Err(anyhow!("the receiving thread has ended"));
        }
        Ok(Mark { kernel_lost: self.counts.ask_lost()?, ..Mark::from(counts) })
    }

    /// Ends the loop and closes the receiver.
    pub(super) fn end(self) -> Result<()> {
        self.counts.stop();
        join(self.thread).context("receiving failed")
    }
}

fn run<R: Receive>(receiver: &mut R, counts: &SharedCounts) -> Result<()> {
    let mut app = Application::default();
    while !counts.is_stopped() {
        receiver.batch(&mut app)?;
        app.publish(counts);
        if counts.is_asked() {
            counts.tell_lost(receiver.lost()?);
        }
    }
    Ok(())
}

fn join(thread: JoinHandle<Result<()>>) -> Result<()> {
    thread.join().map_err(|_panic| anyhow!("the receiving thread panicked"))?
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vxtap_tests::wait_until;

    use super::*;

    /// Counts a frame of 60 bytes in each batch, up to `frames`, and then fails if it is to.
    struct Fake {
        frames: u64,
        fails: bool,
    }

    impl Receive for Fake {
        fn about(&self) -> String {
            format!("{} frames", self.frames)
        }

        fn batch(&mut self, app: &mut Application) -> Result<()> {
            if app.counts().frames < self.frames {
                app.unread(60);
            } else if self.fails {
                return Err(anyhow!("the ring is gone"));
            }
            Ok(())
        }

        fn lost(&mut self) -> Result<Option<u64>> {
            Ok(Some(2 * self.frames))
        }
    }

    #[test]
    fn a_mark_has_what_the_thread_counted_and_what_the_kernel_lost() {
        let (background, about) =
            Background::start(|| Ok(Fake { frames: 3, fails: false })).expect("opens");
        assert_eq!(about, "3 frames");
        let mut mark = Mark::default();
        wait_until("three frames", Duration::from_secs(10), || {
            mark = background.mark().expect("it runs");
            mark.frames == 3
        })
        .expect("it counts them");
        assert_eq!(mark, Mark { frames: 3, bytes: 180, kernel_lost: Some(6), ..Mark::default() });
        background.end().expect("nothing went wrong");
    }

    #[test]
    fn a_receiver_that_fails_answers_no_mark_and_says_why_at_the_end() {
        let (background, _) =
            Background::start(|| Ok(Fake { frames: 1, fails: true })).expect("opens");
        let fails = || background.mark().is_err();
        wait_until("the failure", Duration::from_secs(10), fails).expect("it fails");
        let error = background.end().expect_err("it failed");
        assert_eq!(format!("{error:#}"), "receiving failed: the ring is gone");
    }

    #[test]
    fn a_receiver_that_does_not_open_is_never_ready() {
        let result = Background::start(|| Err::<Fake, _>(anyhow!("no such interface")));
        let error = result.expect_err("it does not open");
        assert_eq!(format!("{error:#}"), "no such interface");
    }
}
