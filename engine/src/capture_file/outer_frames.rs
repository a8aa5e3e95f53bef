//! The frames of a capture file as outer Ethernet frames, as if they came from an interface.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use vxtap_ebpf::wire::ethernet;

use super::fragment_order::FragmentOrder;
use super::offload::{self, Lengths};
use super::{CaptureFile, CaptureFileError, LinkType, Record};

/// An outer Ethernet frame, borrowed from the reader's buffer until the next read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OuterFrame<'a> {
    /// Number of the frame in the file, from 1.
    pub number: u64,
    /// Arrival, nanoseconds since 1970-01-01 UTC, as in [`Record`]. A fragment that waited for the
    /// first one of its datagram arrives with that.
    pub timestamp_ns: u64,
    /// The bytes that were captured, from the Ethernet header on.
    pub bytes: &'a [u8],
}

/// Counts of frames that are not handed on as they are in the file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OuterFrameCounts {
    /// Frames that were passed over because of their link types.
    pub passed_over: Vec<(LinkType, u64)>,
    /// Frames whose IP or UDP length was zero and has been filled in.
    pub lengths_filled_in: u64,
    /// Frames whose IP length is zero because they are longer than 65 535 bytes: segmentation
    /// offload. They are handed on as they are, and do not have valid headers.
    pub too_long: u64,
}

/// Reads a capture file of mirrored frames.
///
/// - A packet of raw IP, Linux cooked capture or BSD loopback gets an Ethernet header with
///   addresses of zeros. Frames of other link types are passed over and counted.
/// - Fragments that stand before the first one of their datagram come after it: for 2 s, up to 4096
///   of them at a time.
/// - IP and UDP lengths of zero, as hosts capture them in front of a NIC that divides packets, are
///   filled in.
#[derive(Debug)]
pub struct OuterFrames {
    path: PathBuf,
    file: CaptureFile,
    order: FragmentOrder,
    /// The frame that was read last.
    bytes: Vec<u8>,
    /// Set at the end of the file; the error is returned once.
    end: Option<Result<(), CaptureFileError>>,
    passed_over: BTreeMap<LinkType, u64>,
    lengths_filled_in: u64,
    too_long: u64,
}

/// Step of reading.
enum Step {
    /// The frame in the buffer, with number and time.
    Frame(u64, u64),
    /// The record gives no frame now.
    None,
    End,
}

impl OuterFrames {
    /// Opens the capture file at `path`.
    ///
    /// # Errors
    ///
    /// As [`CaptureFile::open`], and [`CaptureFileError::LinkType`].
    pub fn open(path: impl AsRef<Path>) -> Result<Self, CaptureFileError> {
        Self::of(path.as_ref(), CaptureFile::open(path.as_ref())?)
    }

    /// Reads a capture file out of `source`; `name` stands for it in errors.
    ///
    /// # Errors
    ///
    /// As [`Self::open`].
    pub fn from_reader(
        name: impl AsRef<Path>,
        source: impl Read + Send + 'static,
    ) -> Result<Self, CaptureFileError> {
        Self::of(name.as_ref(), CaptureFile::from_reader(name.as_ref(), source)?)
    }

    fn of(path: &Path, file: CaptureFile) -> Result<Self, CaptureFileError> {
        let path = path.to_owned();
        if let Some(link_type) = file.link_type().filter(|link_type| !link_type.has_packets()) {
            return Err(CaptureFileError::LinkType { path, link_type });
        }
        Ok(Self {
            path,
            file,
            order: FragmentOrder::default(),
            bytes: Vec::new(),
            end: None,
            passed_over: BTreeMap::new(),
            lengths_filled_in: 0,
            too_long: 0,
        })
    }

    /// Reads the next frame; `None` after the last one.
    ///
    /// # Errors
    ///
    /// As [`CaptureFile::next`], after all frames before the damage; [`CaptureFileError::LinkType`]
    /// at the end of a file whose frames were all passed over.
    #[expect(
        clippy::should_implement_trait,
        reason = "lends from the buffer, which an Iterator cannot do"
    )]
    pub fn next(&mut self) -> Result<Option<OuterFrame<'_>>, CaptureFileError> {
        loop {
            let (number, timestamp_ns) = match self.step()? {
                Step::Frame(number, timestamp_ns) => (number, timestamp_ns),
                Step::None => continue,
                Step::End => return Ok(None),
            };
            return Ok(Some(OuterFrame { number, timestamp_ns, bytes: &self.bytes }));
        }
    }

    fn step(&mut self) -> Result<Step, CaptureFileError> {
        if let Some(frame) = self.order.released() {
            self.bytes = frame.bytes;
            return Ok(Step::Frame(frame.number, frame.timestamp_ns));
        }
        if let Some(end) = &mut self.end {
            return std::mem::replace(end, Ok(())).map(|()| Step::End);
        }
        let number = self.file.frames() + 1;
        let record = match self.file.next() {
            Ok(Some(record)) => record,
            Ok(None) => return Ok(self.finish(Ok(()))),
            Err(error) => return Ok(self.finish(Err(error))),
        };
        let (link_type, timestamp_ns) = (record.link_type, record.timestamp_ns);
        let Some(original_len) = ethernet_frame(&record, &mut self.bytes) else {
            *self.passed_over.entry(link_type).or_default() += 1;
            return Ok(Step::None);
        };
        match offload::fill_in(&mut self.bytes, original_len) {
            Lengths::Stated => {}
            Lengths::FilledIn => self.lengths_filled_in += 1,
            Lengths::TooLong => self.too_long += 1,
        }
        let is_next = self.order.take(&self.bytes, number, timestamp_ns);
        Ok(if is_next { Step::Frame(number, timestamp_ns) } else { Step::None })
    }

    /// Notes the end of the file.
    fn finish(&mut self, end: Result<(), CaptureFileError>) -> Step {
        self.order.release_all();
        self.end = Some(end.and_then(|()| self.check_link_types()));
        Step::None
    }

    /// Returns an error if every frame was passed over.
    fn check_link_types(&self) -> Result<(), CaptureFileError> {
        let passed_over: u64 = self.passed_over.values().sum();
        let most = self.passed_over.iter().max_by_key(|(_, frames)| **frames);
        match most {
            Some((&link_type, _)) if passed_over == self.file.frames() => {
                Err(CaptureFileError::LinkType { path: self.path.clone(), link_type })
            }
            _ => Ok(()),
        }
    }

    /// Returns the counts so far.
    pub fn counts(&self) -> OuterFrameCounts {
        let Self { passed_over, lengths_filled_in, too_long, .. } = self;
        let passed_over = passed_over.iter().map(|(link_type, frames)| (*link_type, *frames));
        OuterFrameCounts {
            passed_over: passed_over.collect(),
            lengths_filled_in: *lengths_filled_in,
            too_long: *too_long,
        }
    }
}

/// Copies a frame into `bytes`, with an Ethernet header in the place of another link header.
/// Returns its length on the wire with that header; `None` if its link type is not known.
fn ethernet_frame(record: &Record<'_>, bytes: &mut Vec<u8>) -> Option<usize> {
    let Record { captured, original_len, link_type, .. } = *record;
    bytes.clear();
    if link_type == LinkType::ETHERNET {
        bytes.extend_from_slice(captured);
    } else if let Some(packet) = link_type.packet(captured) {
        bytes.extend_from_slice(&[0; ethernet::ADDRESSES_LEN]);
        bytes.extend_from_slice(&packet.ether_type.to_be_bytes());
        bytes.extend_from_slice(&captured[packet.offset..]);
    } else if !link_type.has_packets() {
        return None;
    }
    let cut = (original_len as usize).saturating_sub(captured.len());
    Some(bytes.len() + cut)
}
