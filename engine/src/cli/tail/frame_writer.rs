//! Writes the frames of a stream as text, pcap or pcapng.

use std::io::Write;

use jiff::Timestamp;
use vxtap::explain::flow_of;
use vxtap::outputs::pcap;

use super::BlockSink;
use super::block_reader::{TailBlock, TailFrame};
use super::tail_output::TailOutput;
use crate::cli::args::TailFormat;

/// Writes frames in one of the formats.
#[derive(Debug)]
pub(super) struct FrameWriter {
    format: TailFormat,
    /// Session names by interface.
    names: Vec<String>,
    output: TailOutput,
}

impl FrameWriter {
    /// Writes at most `count` frames.
    pub(super) fn new(format: TailFormat, count: Option<u64>) -> Self {
        let mut output = TailOutput::new(count);
        if format == TailFormat::Pcap {
            pcap::header(&mut output.bytes);
        }
        Self { format, names: Vec::new(), output }
    }

    /// Adds a frame, unless its block is added as it is.
    fn frame(&mut self, packet: &TailFrame<'_>) {
        match self.format {
            TailFormat::Text => self.line(packet),
            TailFormat::Pcap => {
                let (bytes, pieces) = (&mut self.output.bytes, std::iter::once(packet.bytes));
                pcap::record(bytes, packet.time_ns, packet.original_len, pieces);
            }
            TailFormat::Pcapng => {}
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
            self.output.bytes,
            "{time:.6} {name} {direction} {flow}, {original_len} bytes{cut}{comment}"
        );
    }
}

impl BlockSink for FrameWriter {
    fn block(&mut self, raw: &[u8], content: TailBlock<'_>) {
        let is_over = self.output.is_over();
        match content {
            TailBlock::Interface(name) => self.names.push(name),
            TailBlock::Frame(packet) => {
                if self.output.next_frame().is_some() {
                    self.frame(&packet);
                }
            }
            TailBlock::Lost(lost) => self.output.add_lost(lost),
            TailBlock::Other => {}
        }
        if self.format == TailFormat::Pcapng && !is_over {
            self.output.bytes.extend_from_slice(raw);
        }
    }

    fn output(&mut self) -> &mut TailOutput {
        &mut self.output
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
