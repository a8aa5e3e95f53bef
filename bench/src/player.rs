//! Plays a capture file.

use std::num::NonZeroU32;
use std::ops::Range;
use std::path::Path;
use std::time::Duration;

use crate::capture_file::{self, CaptureError};
use crate::send::FrameSource;
use crate::sink::Label;

/// The frames of a capture file, as a source. They are held in memory: the file's size at most.
#[derive(Debug)]
pub struct Player {
    bytes: Vec<u8>,
    frames: Vec<Recorded>,
    /// Duration of a loop: from the first frame to the last, and one mean gap.
    span: Duration,
    loops: u32,
    /// Loops that have ended, and frames of this one that were sent.
    done: u32,
    next: usize,
    cut: u64,
}

#[derive(Debug)]
struct Recorded {
    range: Range<usize>,
    /// Time after the first frame; a frame dated before the first counts as simultaneous.
    at: Duration,
}

impl Player {
    /// Reads a file, to be played this many times.
    ///
    /// # Errors
    /// Those of [`capture_file::read`]; a damaged file is not played in part.
    pub fn open(path: &Path, loops: NonZeroU32) -> Result<Self, CaptureError> {
        let mut player = Self {
            bytes: Vec::new(),
            frames: Vec::new(),
            span: Duration::ZERO,
            loops: loops.get(),
            done: 0,
            next: 0,
            cut: 0,
        };
        let mut first = None;
        capture_file::read(path, |packet| {
            let at = packet.at.saturating_sub(*first.get_or_insert(packet.at));
            let start = player.bytes.len();
            player.bytes.extend_from_slice(packet.bytes);
            player.frames.push(Recorded { range: start..player.bytes.len(), at });
            player.cut += u64::from(packet.original_len as usize > packet.bytes.len());
        })?;
        player.span = player.span();
        Ok(player)
    }

    /// Frames in the file.
    pub const fn frame_count(&self) -> usize {
        self.frames.len()
    }

    /// Frames of the file that were cut when captured; they are sent as short as they are.
    pub const fn cut_count(&self) -> u64 {
        self.cut
    }

    fn span(&self) -> Duration {
        let last = self.frames.iter().map(|frame| frame.at).max().unwrap_or_default();
        let gaps = u32::try_from(self.frames.len().saturating_sub(1)).unwrap_or(u32::MAX);
        last + last.checked_div(gaps).unwrap_or_default()
    }
}

impl FrameSource for Player {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        if self.done == self.loops {
            return None;
        }
        let recorded = self.frames.get(self.next)?;
        frame.clear();
        frame.extend_from_slice(&self.bytes[recorded.range.clone()]);
        self.next += 1;
        if self.next == self.frames.len() {
            self.next = 0;
            self.done += 1;
        }
        Some(Label { session: None, inner_len: 0 })
    }

    fn next_at(&self) -> Duration {
        if self.done == self.loops {
            return Duration::ZERO;
        }
        let within = self.frames.get(self.next).map_or(Duration::ZERO, |frame| frame.at);
        self.span.saturating_mul(self.done).saturating_add(within)
    }
}
