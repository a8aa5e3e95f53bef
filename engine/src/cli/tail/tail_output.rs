//! The output of a command that shows the frames of a stream.

use std::io::{self, Write};

use vxtap::plural::counted;

/// Bytes to be written, and the number of frames that they show.
#[derive(Debug)]
pub(in crate::cli) struct TailOutput {
    /// Bytes to be written.
    pub(in crate::cli) bytes: Vec<u8>,
    /// Remaining number of frames.
    left: u64,
    frames: u64,
    /// Frames that were lost on the way here, once the engine has reported them.
    lost: Option<u64>,
}

impl TailOutput {
    /// Returns an output of at most `count` frames.
    pub(in crate::cli) fn new(count: Option<u64>) -> Self {
        Self { bytes: Vec::new(), left: count.unwrap_or(u64::MAX), frames: 0, lost: None }
    }

    /// Returns `true` if no more frames are wanted.
    pub(in crate::cli) const fn is_over(&self) -> bool {
        self.left == 0
    }

    /// Counts a frame, and returns its number, from 1; `None` if no more are wanted.
    pub(in crate::cli) fn next_frame(&mut self) -> Option<u64> {
        self.left = self.left.checked_sub(1)?;
        self.frames += 1;
        Some(self.frames)
    }

    /// Adds frames that the engine reports as lost.
    pub(in crate::cli) fn add_lost(&mut self, lost: u64) {
        *self.lost.get_or_insert(0) += lost;
    }

    /// Writes the bytes.
    pub(in crate::cli) fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let written = out.write_all(&self.bytes).and_then(|()| out.flush());
        self.bytes.clear();
        written
    }

    /// Returns a sentence with the numbers of frames.
    pub(in crate::cli) fn summary(&self) -> String {
        let frames = counted(self.frames, "frame");
        match self.lost {
            Some(lost) => format!("{frames}, {lost} lost on the way here"),
            None => format!("{frames}; the engine did not report how many were lost"),
        }
    }
}
