//! Outages: writes that fail, and files that other programs truncate or remove.

use std::time::{Duration, Instant};

use super::{PcapngError, PcapngFile, Storage};

/// Time from a failed write to the next attempt. A shorter time fills the file with section headers
/// if the disk has little space; a longer one loses more frames.
pub(super) const RETRY: Duration = Duration::from_secs(1);

/// State of the last write. The file ends with a complete block in all states but `Torn`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Writing,
    /// The last write failed.
    Failed {
        /// Time of the next attempt; set by the first tick.
        retry_at: Option<Instant>,
    },
    /// The outage goes on until the file grows beyond the header of its new section.
    Retrying {
        /// End of the new section header in bytes; `None` until it is written.
        header_end: Option<u64>,
    },
    /// The file ends in the middle of a block: nothing can be appended any more.
    Torn,
}

/// Beginning or end of an outage.
#[derive(Debug, PartialEq, Eq)]
pub(in super::super) enum WriteEvent {
    /// A write failed, for this reason. Frames are lost from here on.
    Failed(String),
    /// Another program has truncated the file; a new section has begun at its start.
    Truncated,
    /// Frames get into the file again.
    Resumed {
        /// Frames lost in the outage.
        frames_lost: u64,
    },
}

#[expect(private_bounds, reason = "streams and tests alone have another storage than a file")]
impl<S: Storage> PcapngFile<S> {
    /// Ends the outage if the file has grown beyond the header of its new section.
    pub(super) fn note_success(&mut self) {
        let State::Retrying { header_end } = self.state else { return };
        match header_end {
            None => self.state = State::Retrying { header_end: Some(self.complete_bytes) },
            Some(header_end) if self.complete_bytes > header_end => {
                self.state = State::Writing;
                self.events
                    .push(WriteEvent::Resumed { frames_lost: self.frames_lost - self.lost_before });
            }
            Some(_) => {}
        }
    }

    /// Counts the lost frames, and begins an outage unless one is in progress.
    pub(super) fn note_failure(&mut self, error: &PcapngError) {
        if self.state == State::Writing {
            self.lost_before = self.frames_lost;
            self.events.push(WriteEvent::Failed(error.to_string()));
        }
        self.frames_lost += error.frames_lost();
        self.state = match (error, self.state) {
            (PcapngError::WriteTorn { .. }, _) => State::Torn,
            (_, State::Failed { retry_at }) => State::Failed { retry_at },
            _ => State::Failed { retry_at: None },
        };
    }

    /// Lets flushes try again after a failed one. Returns whether they may: not if the file ends in
    /// the middle of a block. The descriptions of interfaces may be among the lost blocks: the next
    /// block has to be a section header.
    pub fn resume(&mut self) -> bool {
        if matches!(self.state, State::Failed { .. }) {
            self.state = State::Retrying { header_end: None };
        }
        self.state != State::Torn
    }

    /// Returns whether the last write failed and [`Self::resume`] has not been called since.
    pub(in super::super) const fn has_failed(&self) -> bool {
        matches!(self.state, State::Failed { .. } | State::Torn)
    }

    /// Returns whether a failed write is to be tried again: [`RETRY`] after the first call that
    /// follows it.
    pub(in super::super) fn is_retry_due(&mut self, now: Instant) -> bool {
        let State::Failed { retry_at } = &mut self.state else { return false };
        let is_due = now >= *retry_at.get_or_insert(now + RETRY);
        if is_due {
            *retry_at = None;
        }
        is_due
    }

    /// Returns whether another program has removed blocks from the file.
    pub(in super::super) fn was_truncated(&self) -> bool {
        self.storage.stored_len().is_some_and(|len| len < self.complete_bytes)
    }

    /// Lets a truncated file begin anew, with `header` in front of the waiting blocks. The
    /// rest that the other program has left is removed, as it does not end with a block.
    pub(in super::super) fn start_over(&mut self, header: &[u8]) -> Result<(), PcapngError> {
        self.complete_bytes = 0;
        self.blocks.prepend(header);
        self.events.push(WriteEvent::Truncated);
        let Err(source) = self.storage.truncate(0) else { return Ok(()) };
        let path = self.path.clone();
        let error = PcapngError::Write { path, complete_bytes: 0, frames_lost: 0, source };
        self.note_failure(&error);
        Err(error)
    }

    /// Goes on in another, empty storage, with `header` in front of the waiting blocks.
    pub(in super::super) fn replace_storage(&mut self, storage: S, header: &[u8]) {
        self.storage = storage;
        self.complete_bytes = 0;
        if self.has_failed() {
            self.state = State::Failed { retry_at: None };
        } else {
            self.blocks.prepend(header);
        }
    }
}
