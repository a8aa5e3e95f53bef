//! Writes the frames of a stream as text, pcap or pcapng.

use std::io::{self, Write};

use jiff::Timestamp;
use vxtap::explain::flow_of;
use vxtap::outputs::pcap;
use vxtap::plural::counted;

use super::BlockSink;
use super::block_reader::{TailBlock, TailFrame};
use crate::cli::args::TailFormat;

/// Writes frames in one of the formats.
#[derive(Debug)]
pub(super) struct FrameWriter {
    format: TailFormat,
    /// Session names by interface.
    names: Vec<String>,
    /// Remaining number of frames.
    left: u64,
    /// Bytes to be written.
    bytes: Vec<u8>,
    frames: u64,
    lost: u64,
    has_statistics: bool,
}

impl FrameWriter {
    /// Writes at most `count` frames.
    pub(super) fn new(format: TailFormat, count: u64) -> Self {
        let mut bytes = Vec::new();
        if format == TailFormat::Pcap {
            pcap::header(&mut bytes);
        }
        Self {
            format,
            names: Vec::new(),
            left: count,
            bytes,
            frames: 0,
            lost: 0,
            has_statistics: false,
        }
    }

    /// Adds a line for a frame: time in UTC, session, direction, flow, length.
    fn line(&mut self, packet: &TailFrame<'_>) {
        let TailFrame { interface, time_ns, original_len, direction, ref comment, bytes } = *packet;
        let time = Timestamp::from_nanosecond(time_ns.into()).unwrap_or_default();
        let name = self.names.get(interface as usize).map_or("?", String::as_str);
        let direction = match direction {
            1 => "ingress",
            2 => "egress",
            _ => "-",
        };
        let flow = flow_of(bytes).unwrap_or_else(|| other(bytes));
        let cut = match bytes.len() {
            len if len < original_len as usize => format!(" ({len} here)"),
            _ => String::new(),
        };
        let comment = comment.as_ref().map(|comment| format!(", {comment}")).unwrap_or_default();
        // Writing to memory cannot fail.
        let _ = writeln!(
            self.bytes,
            "{time:.6} {name} {direction} {flow}, {original_len} bytes{cut}{comment}"
        );
    }

    /// Returns a sentence with the numbers of frames.
    pub(super) fn summary(&self) -> String {
        summary(self.frames, self.has_statistics.then_some(self.lost))
    }
}

impl BlockSink for FrameWriter {
    fn block(&mut self, raw: &[u8], content: TailBlock<'_>) {
        let is_over = self.is_over();
        match content {
            TailBlock::Interface(name) => self.names.push(name),
            TailBlock::Frame(packet) if !is_over => {
                self.left -= 1;
                self.frames += 1;
                match self.format {
                    TailFormat::Text => self.line(&packet),
                    TailFormat::Pcap => {
                        let pieces = std::iter::once(packet.bytes);
                        pcap::record(&mut self.bytes, packet.time_ns, packet.original_len, pieces);
                    }
                    TailFormat::Pcapng => {}
                }
            }
            TailBlock::Lost(lost) => {
                self.lost += lost;
                self.has_statistics = true;
            }
            TailBlock::Frame(_) | TailBlock::Other => {}
        }
        if self.format == TailFormat::Pcapng && !is_over {
            self.bytes.extend_from_slice(raw);
        }
    }

    fn is_over(&self) -> bool {
        self.left == 0
    }

    fn flush(&mut self, out: &mut dyn Write) -> io::Result<()> {
        let written = out.write_all(&self.bytes).and_then(|()| out.flush());
        self.bytes.clear();
        written
    }
}

/// Returns a sentence with the numbers of frames; `lost` is `None` if the engine did not report it.
pub(in crate::cli) fn summary(frames: u64, lost: Option<u64>) -> String {
    let frames = counted(frames, "frame");
    match lost {
        Some(lost) => format!("{frames}, {lost} lost on the way here"),
        None => format!("{frames}; the engine did not report how many were lost"),
    }
}

/// Describes a frame that is not IP.
fn other(bytes: &[u8]) -> String {
    match bytes.get(12..14) {
        Some(&[0x08, 0x06]) => "ARP".to_owned(),
        Some(&[high, low]) => format!("ethertype 0x{high:02x}{low:02x}"),
        _ => "no whole Ethernet header".to_owned(),
    }
}
