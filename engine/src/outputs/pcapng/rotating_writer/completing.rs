//! Completes files, and reports their errors.

use super::super::file::WriteEvent;
use super::super::finalizer::Closing;
use super::super::interface_key::TimeSpan;
use super::super::open_file::{NewFile, OpenFile};
use super::super::stats_source::StatsSource;
use super::RotatingWriter;
use crate::plural::counted;

impl RotatingWriter {
    /// Completes the files that have frames, so that new ones begin. A file with a fixed name has
    /// to be moved away first.
    pub(crate) fn rotate(&mut self, stats: &mut dyn StatsSource) {
        let now_ns = stats.now_ns().unwrap_or(self.factory.earliest_ns);
        if self.factory.names.has_fields() {
            self.factory.earliest_ns = self.factory.earliest_ns.max(now_ns);
            while let Some(index) = self.files.iter().position(|file| file.writer.frames() > 0) {
                self.complete(index, stats);
            }
            return;
        }
        if self.replace_removed() {
            return;
        }
        let is_there = self.files.iter().any(OpenFile::is_at_its_path);
        if is_there {
            (self.log)(format!(
                "{} still exists: move it away, then rotate again",
                self.factory.path.display()
            ));
            return;
        }
        while self.files.iter().next().is_some() {
            self.complete(0, stats);
        }
        self.open_file(NewFile::only(now_ns), stats);
    }

    /// Completes one file while others stay open.
    pub(super) fn complete(&mut self, index: usize, stats: &mut dyn StatsSource) -> Closing {
        let mut file = self.files.remove(index);
        self.replace_if_removed(&mut file);
        let _ = file.writer.flush();
        stats.refresh();
        file.add_delivered(stats);
        self.finish_file(file, stats, false)
    }

    /// Writes the statistics of a file, whose frames `stats` already has, and hands it to the
    /// finalizer.
    pub(super) fn finish_file(
        &mut self,
        mut file: OpenFile,
        stats: &mut dyn StatsSource,
        is_last: bool,
    ) -> Closing {
        let span = stats.now_ns().map(|end_ns| TimeSpan { start_ns: file.start_ns, end_ns });
        let _ = file.writer.finish(span, |key, frames| stats.totals(key, frames, is_last));
        self.report_events(&mut file);
        self.totals.frames_written += file.frames_written();
        self.totals.frames_lost += file.frames_lost();
        self.finalizer.finish(file.writer.into_file().into_storage(), file.path, file.has_part_name)
    }

    pub(super) fn report_events(&mut self, file: &mut OpenFile) {
        for event in file.writer.file_mut().take_events() {
            (self.log)(match &event {
                WriteEvent::Failed(error) => {
                    format!("{error}; frames are lost until writing succeeds")
                }
                WriteEvent::Truncated => format!(
                    "another program has truncated {}: a new section begins at its start",
                    file.present_path().display()
                ),
                WriteEvent::Resumed { frames_lost } => format!(
                    "writing to {} has resumed; missing from the file: {}",
                    file.present_path().display(),
                    counted(*frames_lost, "frame")
                ),
            });
            if let WriteEvent::Failed(error) = event {
                self.totals.error = Some(error);
            }
        }
    }
}
