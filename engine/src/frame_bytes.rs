//! Frames and bytes, counted together.

/// Number of frames, and of their bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct FrameBytes {
    /// Number of frames.
    pub frames: u64,
    /// Sum of their lengths in bytes.
    pub bytes: u64,
}

impl FrameBytes {
    /// Counts a frame of `bytes` bytes.
    #[inline]
    pub(crate) const fn add(&mut self, bytes: u64) {
        self.frames += 1;
        self.bytes += bytes;
    }

    /// Adds another count.
    pub(crate) const fn merge(&mut self, other: Self) {
        self.frames += other.frames;
        self.bytes += other.bytes;
    }
}
