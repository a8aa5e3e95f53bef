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
    failure: Option<OpenFailure>,
    /// Limits that are reached: for declared sessions, for undeclared sources.
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
        Self { log, failure: None, limits: [None, None] }
    }

    /// Returns whether opening a file is worth an attempt.
    pub(super) fn may_open(&self, is_undeclared: bool) -> bool {
        let is_full =
            self.limits[usize::from(is_undeclared)].as_ref().is_some_and(|limit| limit.is_full);
        !is_full && self.failure.as_ref().is_none_or(|failure| failure.retry_at.is_none())
    }

    /// Counts a lost frame, for the reason reported last.
    pub(super) fn count_lost(&mut self, is_undeclared: bool) {
        let limit = self.limits[usize::from(is_undeclared)].as_mut().filter(|limit| limit.is_full);
        if let Some(limit) = limit {
            limit.lost += 1;
        } else if let Some(failure) = &mut self.failure {
            failure.lost += 1;
        }
    }

    /// Notes that a file could not be created.
    pub(super) fn open_failed(&mut self, error: &PcapngError, now: Instant) {
        if self.failure.is_none() {
            (self.log)(format!("{error}; frames are lost until the file can be created"));
        }
        let lost = self.failure.take().map_or(0, |failure| failure.lost);
        self.failure = Some(OpenFailure { lost, retry_at: Some(now + RETRY) });
    }

    /// Notes that a file was created.
    pub(super) fn opened(&mut self) {
        if let Some(OpenFailure { lost, .. }) = self.failure.take() {
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
            let scope = if is_undeclared { " for undeclared sessions and sources" } else { "" };
            (self.log)(format!(
                "{max} files are open, which is the limit{scope}: frames that need another file are lost until an open file has had no frames for 10 s"
            ));
        }
        limit.get_or_insert_default().is_full = true;
    }

    /// Allows the next attempt and reports the end of a limit; to be called every 250 ms or more
    /// often.
    pub(super) fn tick(&mut self, now: Instant) {
        if let Some(failure) = &mut self.failure {
            failure.retry_at = failure.retry_at.filter(|at| now < *at);
        }
        for entry in &mut self.limits {
            let Some(limit) = entry else { continue };
            if std::mem::take(&mut limit.is_full) {
                limit.quiet_since = None;
            } else if now.saturating_duration_since(*limit.quiet_since.get_or_insert(now)) >= QUIET
            {
                (self.log)(format!(
                    "further files can be opened again; lost meanwhile: {}",
                    counted(limit.lost, "frame")
                ));
                *entry = None;
            }
        }
    }
}
