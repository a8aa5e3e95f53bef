//! Reports once that frames are lost because no file can be opened for them, and the end of it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::file::PcapngError;
use crate::plural::counted;

/// Time from a failure to create a file to the next attempt.
const RETRY: Duration = Duration::from_secs(1);
/// Time without a lost frame after which the limit of open files counts as no longer reached.
const QUIET: Duration = Duration::from_secs(10);

/// Takes messages for the operator, one sentence each.
pub(crate) type LogFn = Arc<dyn Fn(String) + Send + Sync>;

/// Frames that are lost because no file can be opened, by reason.
pub(super) struct LossReport {
    log: LogFn,
    /// By sender: of declared sessions, of undeclared ones. A failure of one of them does not hold
    /// up the other.
    failures: [Option<OpenFailure>; 2],
    /// Limits that are reached, by sender.
    limits: [Option<OpenFileLimit>; 2],
}

/// A file could not be created.
struct OpenFailure {
    lost: u64,
    /// Time of the next attempt; `None`: now.
    retry_at: Option<Instant>,
}

/// The limit of open files is reached.
#[derive(Default)]
struct OpenFileLimit {
    lost: u64,
    /// `true` if no file could be opened since the last tick.
    is_full: bool,
    quiet_since: Option<Instant>,
}

impl LossReport {
    pub(super) const fn new(log: LogFn) -> Self {
        Self { log, failures: [None, None], limits: [None, None] }
    }

    /// Returns whether opening a file is worth an attempt. The file that undeclared senders share
    /// has no limit.
    pub(super) fn may_open(&self, is_undeclared: bool, is_shared: bool) -> bool {
        let sender = usize::from(is_undeclared);
        let is_full = self.limits[sender].as_ref().is_some_and(|limit| limit.is_full);
        let failure = self.failures[sender].as_ref();
        (is_shared || !is_full) && failure.is_none_or(|failure| failure.retry_at.is_none())
    }

    /// Counts a lost frame, for the reason reported last.
    pub(super) fn count_lost(&mut self, is_undeclared: bool) {
        let sender = usize::from(is_undeclared);
        let limit = self.limits[sender].as_mut().filter(|limit| limit.is_full && !is_undeclared);
        if let Some(limit) = limit {
            limit.lost += 1;
        } else if let Some(failure) = &mut self.failures[sender] {
            failure.lost += 1;
        }
    }

    /// Notes that a file could not be created.
    pub(super) fn open_failed(&mut self, is_undeclared: bool, error: &PcapngError, now: Instant) {
        let failure = &mut self.failures[usize::from(is_undeclared)];
        if failure.is_none() {
            (self.log)(format!("{error}; frames are lost until the file can be created"));
        }
        let lost = failure.take().map_or(0, |failure| failure.lost);
        *failure = Some(OpenFailure { lost, retry_at: Some(now + RETRY) });
    }

    /// Notes that a file was created.
    pub(super) fn opened(&mut self, is_undeclared: bool) {
        if let Some(OpenFailure { lost, .. }) = self.failures[usize::from(is_undeclared)].take() {
            (self.log)(format!(
                "files can be created again; lost meanwhile: {}",
                counted(lost, "frame")
            ));
        }
    }

    /// Notes that no further file may be open.
    pub(super) fn limit_reached(&mut self, is_undeclared: bool, max: usize) {
        let limit = &mut self.limits[usize::from(is_undeclared)];
        if limit.is_none() {
            let end = "until an open file has had no frames for 10 s";
            (self.log)(if is_undeclared {
                format!(
                    "undeclared senders have reached their limit of open files ({max}): frames that need another one share a file {end}"
                )
            } else {
                format!(
                    "{max} files are open, which is the limit: frames that need another file are lost {end}"
                )
            });
        }
        limit.get_or_insert_default().is_full = true;
    }

    /// Allows the next attempt and reports the end of a limit; to be called every 250 ms or more
    /// often.
    pub(super) fn tick(&mut self, now: Instant) {
        for failure in self.failures.iter_mut().flatten() {
            failure.retry_at = failure.retry_at.filter(|at| now < *at);
        }
        for (entry, is_undeclared) in self.limits.iter_mut().zip([false, true]) {
            let Some(limit) = entry else { continue };
            if std::mem::take(&mut limit.is_full) {
                limit.quiet_since = None;
            } else if now.saturating_duration_since(*limit.quiet_since.get_or_insert(now)) >= QUIET
            {
                let sender = if is_undeclared { "of undeclared senders " } else { "" };
                let lost = match limit.lost {
                    0 => String::new(),
                    lost => format!("; lost meanwhile: {}", counted(lost, "frame")),
                };
                (self.log)(format!("further files {sender}can be opened again{lost}"));
                *entry = None;
            }
        }
    }
}
