//! Sections of a file after the first one.

use super::super::file::{PcapngError, Storage};
use super::{APPLICATION, CaptureWriter};
use crate::session::SessionId;

#[expect(private_bounds, reason = "streams and tests alone have another storage than a file")]
impl<S: Storage> CaptureWriter<S> {
    /// Begins a new section if the last write failed and the file can be continued.
    pub(super) fn retry(&mut self) -> Result<(), PcapngError> {
        if self.file.has_failed() && self.file.resume() { self.begin_section() } else { Ok(()) }
    }

    /// Begins a new section after a failed write, since interface blocks may be among the lost
    /// blocks.
    ///
    /// # Errors
    ///
    /// As [`PcapngFile::flush`]; the file has no new section then.
    fn begin_section(&mut self) -> Result<(), PcapngError> {
        let described = self.interfaces.sessions();
        for (key, frames) in self.interfaces.counts() {
            *self.earlier.entry(key).or_default() += frames;
        }
        self.interfaces.clear();
        self.file.blocks().section_header(APPLICATION);
        self.describe_sessions(&described);
        self.file.flush()
    }

    pub(super) fn describe_sessions(&mut self, ids: &[SessionId]) {
        for id in ids {
            self.interfaces.describe_session(*id, self.file.blocks());
        }
    }
}
