//! Totals of the frames that were sent.

use std::fmt;
use std::time::Duration;

use crate::plural::counted;

/// Frames and bytes that a sink took, with retries and refused frames.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Totals {
    /// Frames taken.
    pub frames: u64,
    /// Bytes of these frames as they are on the wire, outer Ethernet header included.
    pub outer_bytes: u64,
    /// Bytes of the inner frames; 0 for a capture file that is played.
    pub inner_bytes: u64,
    /// Times that the sink was full and asked again.
    pub retries: u64,
    /// Frames given up because the sink stayed full; not in `frames`.
    pub refused: u64,
    /// Time from the first frame to the end; of a capture file that is written, the time in the
    /// file.
    pub elapsed: Duration,
    /// By the session's index in the profile; empty for a capture file that is played.
    pub sessions: Vec<SessionTotals>,
}

/// Totals of one session.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct SessionTotals {
    /// Frames taken.
    pub frames: u64,
    /// Bytes of their inner frames.
    pub inner_bytes: u64,
}

impl Totals {
    /// Counts a frame that was taken.
    pub fn add(&mut self, session: Option<usize>, outer_len: usize, inner_len: usize) {
        self.frames += 1;
        self.outer_bytes += outer_len as u64;
        self.inner_bytes += inner_len as u64;
        let Some(session) = session else { return };
        if self.sessions.len() <= session {
            self.sessions.resize(session + 1, SessionTotals::default());
        }
        self.sessions[session].frames += 1;
        self.sessions[session].inner_bytes += inner_len as u64;
    }

    /// Frames per second over the time elapsed; 0 when none has.
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    pub fn rate(&self) -> f64 {
        let seconds = self.elapsed.as_secs_f64();
        if seconds > 0.0 { self.frames as f64 / seconds } else { 0.0 }
    }
}

impl fmt::Display for Totals {
    #[expect(clippy::cast_precision_loss, reason = "for display")]
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.elapsed.as_secs_f64();
        let gbits = if seconds > 0.0 { self.outer_bytes as f64 * 8e-9 / seconds } else { 0.0 };
        write!(f, "sent {}, {} bytes outer", counted(self.frames, "frame"), self.outer_bytes)?;
        if self.inner_bytes > 0 {
            write!(f, ", {} bytes inner", self.inner_bytes)?;
        }
        write!(f, "\nin {seconds:.3} s: {:.0} frames/s, {gbits:.3} Gbit/s", self.rate())?;
        if self.retries > 0 || self.refused > 0 {
            let (times, frames) = (counted(self.retries, "time"), counted(self.refused, "frame"));
            write!(f, "\nfull {times}, {frames} refused")?;
        }
        Ok(())
    }
}
