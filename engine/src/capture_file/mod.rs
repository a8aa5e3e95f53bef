//! Reads the frames of a capture file, and reports the byte at which it stops being readable.
//!
//! Reads classic pcap (microseconds or nanoseconds, either byte order, versions 2.0 to 2.4, and the
//! "modified" variant with its longer record header) and pcapng (any number of sections and
//! interfaces) as a stream, also if it is compressed with gzip or zstd: memory stays bounded for
//! any content. The fields of pcapng blocks are decoded by `pcap-parser`; the length of a record is
//! checked here before its bytes are read, so that a damaged length is reported at its own offset.
//! Reading does not resume after damage.
//!
//! [`CaptureFile`] returns frames as they are in the file. [`OuterFrames`] returns them as outer
//! Ethernet frames, as if they came from an interface.
//!
//! Formats: draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng.

mod classic;
mod decompress;
mod error;
mod fragment_order;
mod link_type;
mod ng;
mod ng_timestamps;
mod offload;
mod outer_frames;
#[cfg(test)]
mod samples;
#[cfg(test)]
mod tests;
mod window;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use self::classic::Classic;
use self::decompress::Content;
pub use self::error::{CaptureFileError, Damage, Place};
use self::error::{Stop, refuse_foreign_magic};
pub use self::link_type::LinkType;
use self::ng::Ng;
pub use self::outer_frames::{OuterFrame, OuterFrameCounts, OuterFrames};
use self::window::Window;

/// The largest captured length of one record, in bytes, that is accepted.
///
/// libpcap's `MAXIMUM_SNAPLEN` (pcap-int.h): no capture tool writes more for Ethernet, and readers
/// refuse more. Lower would refuse valid files; higher would take longer to notice a damaged length
/// and hold that much memory.
pub const MAX_CAPTURED_BYTES: u32 = 262_144;

/// One captured frame, borrowed from the reader's buffer until the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Record<'a> {
    /// Arrival, nanoseconds since 1970-01-01 UTC; 0 where the file has none (simple packet blocks),
    /// clamped to the range of the type.
    pub timestamp_ns: u64,
    /// The bytes that were captured.
    pub captured: &'a [u8],
    /// Length of the frame on the wire, in bytes, as the file states it.
    pub original_len: u32,
    /// Link-layer type of `captured`. Frames of every type are returned; the caller decides which
    /// ones it supports.
    pub link_type: LinkType,
}

/// A record whose bytes lie at `captured` in the window's buffer.
#[derive(Debug)]
struct Located {
    timestamp_ns: u64,
    captured: std::ops::Range<usize>,
    original_len: u32,
    link_type: LinkType,
}

#[derive(Debug)]
enum FileFormat {
    Classic(Classic),
    Ng(Ng),
}

/// A capture file being read from front to back.
#[derive(Debug)]
pub struct CaptureFile {
    path: PathBuf,
    window: Window,
    format: FileFormat,
    is_compressed: bool,
    frames: u64,
    finished: bool,
}

impl CaptureFile {
    /// Opens the capture file at `path` and recognises its format.
    ///
    /// # Errors
    ///
    /// The file cannot be opened or read, is empty, is compressed with something else than gzip and
    /// zstd, is no capture file, ends within its header or has a version that is not known.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureFileError> {
        let path = path.as_ref();
        let file = File::open(path)
            .map_err(|source| CaptureFileError::Open { path: path.to_owned(), source })?;
        Self::from_reader(path, file)
    }

    /// Reads a capture file out of `source`; `name` stands for it in errors.
    ///
    /// # Errors
    ///
    /// As [`CaptureFile::open`].
    pub fn from_reader(
        name: impl AsRef<Path>,
        source: impl Read + Send + 'static,
    ) -> Result<Self, CaptureFileError> {
        let path = name.as_ref().to_owned();
        let start = Place { offset: 0, frames: 0, is_compressed: false };
        let Content { reader, is_compressed } =
            Content::of(source).map_err(|error| Stop::Read(error).at(&path, start))?;
        let mut window = Window::new(reader);
        match recognise(&path, &mut window) {
            Ok(format) => {
                Ok(Self { path, window, format, is_compressed, frames: 0, finished: false })
            }
            Err(Opening::Refused(error)) => Err(error),
            Err(Opening::Stopped(stop)) => Err(stop.at(&path, Place { is_compressed, ..start })),
        }
    }

    /// Reads the next frame; `None` after the last one.
    ///
    /// # Errors
    ///
    /// The file is damaged, ends in the middle of a record or cannot be read. The error is returned
    /// once; later calls return `None`. Every frame before it has been returned.
    #[expect(
        clippy::should_implement_trait,
        reason = "lends from the buffer, which an Iterator cannot do"
    )]
    pub fn next(&mut self) -> Result<Option<Record<'_>>, CaptureFileError> {
        if self.finished {
            return Ok(None);
        }
        let located = match &mut self.format {
            FileFormat::Classic(classic) => classic.next(&mut self.window),
            FileFormat::Ng(ng) => ng.next(&mut self.window),
        };
        match located {
            Ok(Some(Located { timestamp_ns, captured, original_len, link_type })) => {
                self.frames += 1;
                let captured = self.window.at(captured);
                Ok(Some(Record { timestamp_ns, captured, original_len, link_type }))
            }
            Ok(None) => {
                self.finished = true;
                Ok(None)
            }
            Err(stop) => {
                self.finished = true;
                let Self { frames, is_compressed, .. } = *self;
                let place = Place { offset: self.window.mark(), frames, is_compressed };
                Err(stop.at(&self.path, place))
            }
        }
    }

    /// Returns the number of frames read so far.
    pub const fn frames(&self) -> u64 {
        self.frames
    }

    /// Returns the link type of all frames, if the file has one for all of them.
    const fn link_type(&self) -> Option<LinkType> {
        match &self.format {
            FileFormat::Classic(classic) => Some(classic.link_type),
            FileFormat::Ng(_) => None,
        }
    }
}

/// Reason why a file could not be opened: refused as a whole, or stopped at a byte of its header.
enum Opening {
    Refused(CaptureFileError),
    Stopped(Stop),
}

impl From<Stop> for Opening {
    fn from(stop: Stop) -> Self {
        Self::Stopped(stop)
    }
}

fn recognise(path: &Path, window: &mut Window) -> Result<FileFormat, Opening> {
    const MAGIC_LEN: usize = 4;
    let available = window.fill(MAGIC_LEN).map_err(Stop::Read)?;
    if available == 0 {
        return Err(Opening::Refused(CaptureFileError::Empty { path: path.to_owned() }));
    }
    let start = window.peek(MAGIC_LEN.min(available));
    if Ng::recognises(start) {
        return Ok(FileFormat::Ng(Ng::new(window)?));
    }
    if Classic::recognises(start) {
        return Ok(FileFormat::Classic(Classic::new(window)?));
    }
    Err(Opening::Refused(refuse_foreign_magic(path, start)))
}
