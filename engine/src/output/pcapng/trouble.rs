//! Says once that frames find no file, and when they do again.

use std::time::{Duration, Instant};

use super::file::PcapngError;
use super::finish::Tell;

/// Time from a file that could not be begun to the next try.
const RETRY: Duration = Duration::from_secs(1);
/// Time without a frame that found no file, after which that is over.
const QUIET: Duration = Duration::from_secs(10);

/// Why frames find no file.
pub(super) struct Trouble {
    tell: Tell,
    failure: Option<Failure>,
    crowd: Option<Crowd>,
}

/// A file could not be begun.
struct Failure {
    lost: u64,
    /// `None`: now.
    retry_at: Option<Instant>,
}

/// More files would have to be open than may be.
struct Crowd {
    lost: u64,
    /// Since the last tick there was no room for sessions that nobody has declared, for any.
    no_room: [bool; 2],
    quiet_since: Option<Instant>,
}

impl Trouble {
    pub(super) fn new(tell: Tell) -> Self {
        Self { tell, failure: None, crowd: None }
    }

    /// Whether it is worth trying to begin a file for a frame; if not, the frame is lost.
    pub(super) fn may_begin(&mut self, for_stranger: bool) -> bool {
        if let Some(Failure { lost, retry_at: Some(_) }) = &mut self.failure {
            *lost += 1;
            return false;
        }
        if let Some(Crowd { lost, no_room, .. }) = &mut self.crowd
            && no_room[usize::from(!for_stranger)]
        {
            *lost += 1;
            return false;
        }
        true
    }

    /// A frame is lost because a file could not be begun.
    pub(super) fn fail(&mut self, error: &PcapngError, now: Instant) {
        if self.failure.is_none() {
            (self.tell)(format!("{error}; frames are lost until it can be"));
        }
        let lost = self.failure.take().map_or(0, |failure| failure.lost);
        self.failure = Some(Failure { lost: lost + 1, retry_at: Some(now + RETRY) });
    }

    /// A file was begun.
    pub(super) fn begun(&mut self) {
        if let Some(Failure { lost, .. }) = self.failure.take() {
            (self.tell)(format!("files can be begun again; {lost} frames are in none"));
        }
    }

    /// A frame is lost because so many files are open.
    pub(super) fn crowd(&mut self, for_stranger: bool, most: usize) {
        if self.crowd.is_none() {
            let whose = if for_stranger { " of sessions that nobody has declared" } else { "" };
            (self.tell)(format!(
                "{most} files{whose} are open, and no more may be: frames of others are lost until one of them has been without frames for 10 s"
            ));
        }
        let crowd = self.crowd.get_or_insert(Crowd { lost: 0, no_room: [false; 2], quiet_since: None });
        crowd.lost += 1;
        crowd.no_room[usize::from(!for_stranger)] = true;
    }

    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = failure.retry_at.filter(|at| now < *at);
        }
        let Some(crowd) = &mut self.crowd else { return };
        if std::mem::take(&mut crowd.no_room).contains(&true) {
            crowd.quiet_since = None;
        } else if now.saturating_duration_since(*crowd.quiet_since.get_or_insert(now)) >= QUIET {
            (self.tell)(format!("there is room for files again; {} frames are in none", crowd.lost));
            self.crowd = None;
        }
    }
}
