//! Writes frames to a capture file in the classic format with nanosecond times.
//!
//! Format: <https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html>, sections 4 and 5.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::time::Duration;

use super::OutgoingFrame;
use super::{FrameSink, Pushed, SinkError, Timing};

/// Magic number of files whose times are in nanoseconds.
const MAGIC_NANOSECONDS: u32 = 0xA1B2_3C4D;
/// No frame is cut; readers take this value as the largest buffer they need.
const SNAPLEN: u32 = 65_535;
const LINKTYPE_ETHERNET: u32 = 1;

/// A capture file being written.
#[derive(Debug)]
pub struct PcapFile<W: Write = BufWriter<File>> {
    path: String,
    writer: W,
    epoch: Duration,
}

impl PcapFile {
    /// Creates a file, or truncates one; the first frame's time is `epoch`, counted from 1970 in
    /// UTC.
    ///
    /// # Errors
    /// [`SinkError::File`].
    pub fn create(path: &Path, epoch: Duration) -> Result<Self, SinkError> {
        let name = path.display().to_string();
        let file =
            File::create(path).map_err(|source| SinkError::File { path: name.clone(), source })?;
        Self::new(name, BufWriter::with_capacity(1 << 18, file), epoch)
    }
}

impl<W: Write> PcapFile<W> {
    /// Starts a capture in any writer; `name` is for errors.
    ///
    /// # Errors
    /// [`SinkError::File`].
    pub fn new(name: String, mut writer: W, epoch: Duration) -> Result<Self, SinkError> {
        let mut header = Vec::with_capacity(24);
        header.extend_from_slice(&MAGIC_NANOSECONDS.to_le_bytes());
        // Version 2.4, then two reserved words.
        header.extend_from_slice(&[2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        header.extend_from_slice(&SNAPLEN.to_le_bytes());
        header.extend_from_slice(&LINKTYPE_ETHERNET.to_le_bytes());
        match writer.write_all(&header) {
            Ok(()) => Ok(Self { path: name, writer, epoch }),
            Err(source) => Err(SinkError::File { path: name, source }),
        }
    }

    fn write(&mut self, frame: &OutgoingFrame) -> io::Result<()> {
        let at = self.epoch + frame.due;
        let seconds = u32::try_from(at.as_secs()).map_err(io::Error::other)?;
        let len = u32::try_from(frame.bytes.len()).map_err(io::Error::other)?;
        for field in [seconds, at.subsec_nanos(), len, len] {
            self.writer.write_all(&field.to_le_bytes())?;
        }
        self.writer.write_all(&frame.bytes)
    }

    fn failed(&self, source: io::Error) -> SinkError {
        SinkError::File { path: self.path.clone(), source }
    }
}

impl<W: Write> FrameSink for PcapFile<W> {
    fn push(&mut self, frames: &[OutgoingFrame]) -> Result<Pushed, SinkError> {
        frames.iter().try_for_each(|frame| self.write(frame)).map_err(|e| self.failed(e))?;
        Ok(Pushed::Taken(frames.len()))
    }

    fn timing(&self) -> Timing {
        Timing::Written
    }

    fn finish(&mut self) -> Result<(), SinkError> {
        self.writer.flush().map_err(|e| self.failed(e))
    }
}
