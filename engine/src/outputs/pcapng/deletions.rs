//! Counts the files that retention deletes, and reports them: the first at once, then sums.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use super::loss_report::LogFn;
use crate::plural::counted;

/// Shortest time between two reports.
const REPORT_INTERVAL: Duration = Duration::from_secs(3600);

/// Deleted files of an output. Clones share the counts.
#[derive(Clone, Debug, Default)]
pub(super) struct DeletedFiles(Arc<[AtomicU64; 2]>);

impl DeletedFiles {
    fn count(&self, is_undeclared: bool) {
        self.0[usize::from(is_undeclared)].fetch_add(1, Ordering::Relaxed);
    }

    /// Returns all of them, and those that undeclared senders had caused.
    pub(super) fn totals(&self) -> (u64, u64) {
        let [declared, undeclared] =
            [0, 1].map(|sender: usize| self.0[sender].load(Ordering::Relaxed));
        (declared + undeclared, undeclared)
    }
}

/// Reports deleted files.
pub(super) struct DeletionReport {
    pub(super) files: DeletedFiles,
    log: LogFn,
    /// Time of the last report, and the counts at that time.
    reported: Option<(Instant, (u64, u64))>,
}

impl DeletionReport {
    pub(super) fn new(files: DeletedFiles, log: LogFn) -> Self {
        Self { files, log, reported: None }
    }

    /// Counts a deleted file.
    pub(super) fn deleted(&mut self, path: &Path, is_undeclared: bool, now: Instant) {
        self.files.count(is_undeclared);
        if self.reported.is_none() {
            let whose = if is_undeclared { ", which undeclared senders had caused," } else { "" };
            (self.log)(format!(
                "{}{whose} was deleted to keep within `keep_files`, `keep_mib` and `keep_s`; further files are counted and summed every hour",
                path.display()
            ));
            self.reported = Some((now, self.files.totals()));
        }
    }

    /// Reports the files of the last hour.
    pub(super) fn tick(&mut self, now: Instant) {
        let Some((at, (all_before, undeclared_before))) = self.reported else { return };
        let (all, undeclared) = self.files.totals();
        if all == all_before || now.saturating_duration_since(at) < REPORT_INTERVAL {
            return;
        }
        (self.log)(format!(
            "deleted since the last message: {}, of them caused by undeclared senders: {}",
            counted(all - all_before, "file"),
            undeclared - undeclared_before
        ));
        self.reported = Some((now, (all, undeclared)));
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn the_first_deletion_is_reported_and_then_the_sum_of_every_hour() {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let sink = messages.clone();
        let log: LogFn = Arc::new(move |message| sink.lock().unwrap().push(message));
        let mut report = DeletionReport::new(DeletedFiles::default(), log);
        let start = Instant::now();
        report.tick(start);
        report.deleted(Path::new("d/a"), true, start);
        report.deleted(Path::new("d/b"), false, start);
        report.deleted(Path::new("d/c"), true, start);
        report.tick(start + REPORT_INTERVAL / 2);
        report.tick(start + REPORT_INTERVAL);
        report.tick(start + 3 * REPORT_INTERVAL);
        assert_eq!(report.files.totals(), (3, 2));
        let messages = messages.lock().unwrap();
        let [first, sum] = &messages[..] else { panic!("{messages:?}") };
        assert!(
            first.starts_with("d/a, which undeclared senders had caused, was deleted"),
            "{first}"
        );
        assert_eq!(
            sum,
            "deleted since the last message: 2 files, of them caused by undeclared senders: 1"
        );
    }
}
