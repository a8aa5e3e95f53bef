//! Says once that frames find no file, and when they do again.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::PcapngError;

/// Time from a file that could not be begun to the next try.
const RETRY: Duration = Duration::from_secs(1);
/// Time without a frame that found no file, after which that is over.
const QUIET: Duration = Duration::from_secs(10);

/// What goes wrong is told there, a sentence each.
pub(crate) type Tell = Arc<dyn Fn(String) + Send + Sync>;

/// Why frames find no file.
pub(super) struct LossReport {
    tell: Tell,
    failure: Option<Failure>,
    /// For files of sessions that are declared, and of others.
    crowds: [Option<OpenFileLimit>; 2],
}

/// A file could not be begun.
struct Failure {
    lost: u64,
    /// `None`: now.
    retry_at: Option<Instant>,
}

/// More files would have to be open than may be.
#[derive(Default)]
struct OpenFileLimit {
    lost: u64,
    /// Since the last tick there was no room.
    is_full: bool,
    quiet_since: Option<Instant>,
}

impl LossReport {
    pub(super) const fn new(tell: Tell) -> Self {
        Self { tell, failure: None, crowds: [None, None] }
    }

    /// Whether it is worth trying to begin a file for a frame.
    pub(super) fn may_begin(&self, for_stranger: bool) -> bool {
        let is_full =
            self.crowds[usize::from(for_stranger)].as_ref().is_some_and(|crowd| crowd.is_full);
        !is_full && self.failure.as_ref().is_none_or(|failure| failure.retry_at.is_none())
    }

    /// A frame is lost, for the reason that was told last.
    pub(super) fn lose(&mut self, of_stranger: bool) {
        let crowd = self.crowds[usize::from(of_stranger)].as_mut().filter(|crowd| crowd.is_full);
        if let Some(crowd) = crowd {
            crowd.lost += 1;
        } else if let Some(failure) = &mut self.failure {
            failure.lost += 1;
        }
    }

    /// A file could not be begun.
    pub(super) fn fail(&mut self, error: &PcapngError, now: Instant) {
        if self.failure.is_none() {
            (self.tell)(format!("{error}; frames are lost until it can be"));
        }
        let lost = self.failure.take().map_or(0, |failure| failure.lost);
        self.failure = Some(Failure { lost, retry_at: Some(now + RETRY) });
    }

    /// A file was begun.
    pub(super) fn begun(&mut self) {
        if let Some(Failure { lost, .. }) = self.failure.take() {
            (self.tell)(format!("files can be begun again; {lost} frames are in none"));
        }
    }

    /// So many files are open that there is no room for another.
    pub(super) fn crowd(&mut self, for_stranger: bool, most: usize) {
        let crowd = &mut self.crowds[usize::from(for_stranger)];
        if crowd.is_none() {
            let whose = if for_stranger { " for those that nobody has declared" } else { "" };
            (self.tell)(format!(
                "{most} files are open, and no more may be{whose}: frames of others are lost until one of them has been without frames for 10 s"
            ));
        }
        crowd.get_or_insert_default().is_full = true;
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = failure.retry_at.filter(|at| now < *at);
        }
        for place in &mut self.crowds {
            let Some(crowd) = place else { continue };
            if std::mem::take(&mut crowd.is_full) {
                crowd.quiet_since = None;
            } else if now.saturating_duration_since(*crowd.quiet_since.get_or_insert(now)) >= QUIET
            {
                (self.tell)(format!(
                    "there is room for files again; {} frames are in none",
                    crowd.lost
                ));
                *place = None;
            }
        }
    }
}
