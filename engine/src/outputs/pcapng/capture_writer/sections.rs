//! Sections of a file after the first one.

use super::super::blocks::Blocks;
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
    /// As [`PcapngFile::flush`](crate::outputs::pcapng::PcapngFile::flush); the file has no new
    /// section then.
    fn begin_section(&mut self) -> Result<(), PcapngError> {
        let described = self.interfaces.sessions();
        for (key, frames) in self.interfaces.counts() {
            *self.earlier.entry(key).or_default() += frames;
        }
        self.interfaces.clear();
        // The blocks of this section are not in the file before they are written.
        self.described = 0;
        if self.file.was_truncated() {
            self.file.start_over(&[])?;
        }
        self.file.blocks().section_header(APPLICATION);
        self.describe_sessions(&described);
        self.write_waiting()
    }

    /// Returns the blocks at the start of the present section that are in the file, for the start
    /// of another one, and counts its frames for an earlier section. The waiting blocks keep their
    /// interfaces.
    pub(super) fn repeat_header(&mut self) -> Vec<u8> {
        let waiting = self.file.blocks().packet_interfaces();
        for &interface in &waiting {
            self.interfaces.entry_mut(interface).frames -= 1;
        }
        for (key, frames) in self.interfaces.counts() {
            *self.earlier.entry(key).or_default() += frames;
        }
        self.interfaces.reset_frames();
        for &interface in &waiting {
            self.interfaces.entry_mut(interface).frames += 1;
        }
        let mut header = Blocks::default();
        header.section_header(APPLICATION);
        self.interfaces.describe_again(self.described, &mut header);
        header.bytes().to_vec()
    }

    /// Goes on in another, empty file, since the present one was removed. `lost` frames of those
    /// written to it are in no file.
    pub(in super::super) fn replace_file(&mut self, storage: S, lost: u64) {
        let header = self.repeat_header();
        self.file.replace_storage(storage, &header);
        self.file.count_lost(lost);
    }

    /// Returns the number of frames that were written to the file, or to files in its place.
    pub(in super::super) fn frames_in_file(&mut self) -> u64 {
        let waiting = self.file.blocks().packet_interfaces().len() as u64;
        self.frames - self.frames_lost() - waiting
    }

    pub(super) fn describe_sessions(&mut self, ids: &[SessionId]) {
        for id in ids {
            self.interfaces.describe_session(*id, self.file.blocks());
        }
    }
}
