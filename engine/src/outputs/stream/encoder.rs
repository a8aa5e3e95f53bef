//! Encodes frames as a stream of capture records that a program reads as it grows.

use std::path::PathBuf;
use std::time::Instant;

use crate::config::StreamFormat;
use crate::decap::Link;
use crate::outputs::ethernet::EthernetPrefix;
use crate::outputs::pcap;
use crate::outputs::pcapng::{
    CaptureWriter, FrameKey, InterfaceTotals, MAX_CAPTURED_BYTES, PcapngFile, TimeSpan,
};
use crate::ring::Frame;
use crate::session::{Directory, SessionId};

/// Largest number of bytes that a frame takes in addition to its own, including the description of
/// its session: a name of 255 bytes and its text. The description of a pair is shorter.
const OVERHEAD_MAX: usize = 1024;

/// Encodes the frames of one reader into memory until they are [taken](Self::take).
#[derive(Debug)]
pub(crate) struct Encoder {
    format: Format,
    /// End offsets of the encoded frames.
    ends: Vec<usize>,
}

#[derive(Debug)]
enum Format {
    Pcapng(Box<CaptureWriter<Vec<u8>>>),
    Pcap(Vec<u8>),
}

/// A part of a stream that ends with a record.
#[derive(Debug, Default)]
pub(crate) struct Records {
    pub(crate) bytes: Vec<u8>,
    /// Number of bytes up to the end of each frame.
    pub(crate) ends: Vec<usize>,
}

impl Records {
    /// Appends other records.
    pub(crate) fn append(&mut self, others: &Self) {
        let len = self.bytes.len();
        self.bytes.extend_from_slice(&others.bytes);
        self.ends.extend(others.ends.iter().map(|end| len + end));
    }
}

impl Encoder {
    /// Begins a stream. pcapng describes `sessions` at once, and other sessions of the directory
    /// with their first frames.
    pub(crate) fn new(format: StreamFormat, directory: &Directory, sessions: &[SessionId]) -> Self {
        let format = match format {
            StreamFormat::Pcapng => {
                let file = PcapngFile::with_storage(Vec::new(), PathBuf::new(), Instant::now());
                let writer = CaptureWriter::with_directory(file, directory, sessions);
                Format::Pcapng(Box::new(writer.unwrap_or_else(|error| unreachable!("{error}"))))
            }
            StreamFormat::Pcap => {
                let mut bytes = Vec::new();
                pcap::header(&mut bytes);
                Format::Pcap(bytes)
            }
        };
        Self { format, ends: Vec::new() }
    }

    /// Returns the largest number of bytes that a frame takes in the stream.
    pub(crate) fn len_max(frame: &Frame<'_>) -> usize {
        MAX_CAPTURED_BYTES.min(frame.captured_len() as usize) + OVERHEAD_MAX
    }

    /// Appends a frame, with an Ethernet header if it has none.
    pub(crate) fn packet(&mut self, frame: &Frame<'_>) {
        let prefix = EthernetPrefix::of(frame, None);
        let original_len = frame.original_len() + prefix.added_len();
        let (time_ns, segments) = (frame.timestamp_ns(), prefix.segments(frame));
        match &mut self.format {
            // Writing to memory does not fail.
            Format::Pcapng(writer) => {
                drop(writer.packet(key_of(frame), time_ns, original_len, segments));
            }
            Format::Pcap(bytes) => pcap::record(bytes, time_ns, original_len, segments),
        }
        self.ends.push(self.waiting());
    }

    /// Counts a missing frame for the statistics at the end of the stream.
    pub(crate) fn count_missing(&mut self, frame: &Frame<'_>) {
        if let Format::Pcapng(writer) = &mut self.format {
            writer.count_missing(key_of(frame));
        }
    }

    /// Counts missing frames of a session that never reached the encoder.
    pub(crate) fn count_missing_of(&mut self, session: SessionId, frames: u64) {
        if let (Format::Pcapng(writer), 1..) = (&mut self.format, frames) {
            writer.count_missing_of(session, frames);
        }
    }

    /// Ends the stream, with statistics if its format has them. `span` is the time from the first
    /// to the last moment of the capture.
    pub(crate) fn finish(&mut self, span: TimeSpan) {
        let totals = |_, frames| InterfaceTotals { received: frames, accepted: frames, dropped: 0 };
        if let Format::Pcapng(writer) = &mut self.format {
            // Writing to memory does not fail.
            drop(writer.finish(Some(span), totals));
        }
    }

    /// Returns the number of encoded bytes.
    pub(crate) fn waiting(&self) -> usize {
        match &self.format {
            Format::Pcapng(writer) => writer.memory_len(),
            Format::Pcap(bytes) => bytes.len(),
        }
    }

    /// Takes the encoded records.
    pub(crate) fn take(&mut self) -> Records {
        let bytes = match &mut self.format {
            Format::Pcapng(writer) => writer.take_bytes(),
            Format::Pcap(bytes) => std::mem::take(bytes),
        };
        Records { bytes, ends: std::mem::take(&mut self.ends) }
    }
}

fn key_of(frame: &Frame<'_>) -> FrameKey {
    FrameKey { link: Link::Ethernet, ..FrameKey::from(frame) }
}
