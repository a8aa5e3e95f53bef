//! Encodes outer frames as pcapng, with the reason of a drop in the comment.

use super::encoder::Records;
use super::send_queue::SendQueue;
use crate::drop_reason::DropReason;
use crate::outputs::pcapng::{Blocks, InterfaceDescription, Statistics};
use crate::outputs::wall_clock::utc_ns;

/// Largest number of encoded bytes that wait for the reader.
const CAPACITY: usize = 4 << 20;

/// A frame that waits for earlier ones.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) timestamp_ns: u64,
    /// Index of its interface.
    pub(super) interface: usize,
    pub(super) dropped: Option<DropReason>,
    pub(super) bytes: Vec<u8>,
}

/// Encodes the frames of a reader.
#[derive(Debug)]
pub(super) struct OuterEncoder {
    blocks: Blocks,
    ends: Vec<usize>,
    since_ns: u64,
    /// By interface: frames in the stream, and frames for which there was no room.
    counts: Vec<(u64, u64)>,
}

impl OuterEncoder {
    pub(super) fn new(interfaces: &[String]) -> Self {
        let mut blocks = Blocks::default();
        blocks.section_header(concat!("vxtap ", env!("CARGO_PKG_VERSION")));
        for name in interfaces {
            let description = "outer frames as they arrived";
            blocks.interface(InterfaceDescription { name, description });
        }
        let counts = vec![(0, 0); interfaces.len()];
        Self { blocks, ends: Vec::new(), since_ns: utc_ns(), counts }
    }

    /// Appends a frame, unless too many bytes wait already, `queued` of them elsewhere.
    pub(super) fn frame(&mut self, frame: &Waiting, queued: usize) {
        let (sent, lost) = &mut self.counts[frame.interface];
        if queued + self.blocks.bytes().len() + frame.bytes.len() > CAPACITY {
            *lost += 1;
            return;
        }
        *sent += 1;
        let comment = frame.dropped.map(|reason| format!("dropped: {reason}"));
        self.blocks.packet_with_comment(
            number(frame.interface),
            frame.timestamp_ns,
            number(frame.bytes.len()),
            comment.as_deref(),
            std::iter::once(&frame.bytes[..]),
        );
        self.ends.push(self.blocks.bytes().len());
    }

    /// Appends the statistics; `lost` has the frames that did not come here, by interface.
    pub(super) fn finish(&mut self, lost: &[u64]) {
        let end_ns = utc_ns();
        for (interface, &(sent, not_sent)) in self.counts.iter().enumerate() {
            let dropped = not_sent + lost.get(interface).copied().unwrap_or(0);
            let received = sent + dropped;
            let (start_ns, accepted) = (self.since_ns, received);
            let statistics =
                Statistics { start_ns, end_ns, received, accepted, dropped, delivered: sent };
            self.blocks.statistics(number(interface), &statistics);
        }
    }

    /// Passes the encoded blocks to the thread that writes them.
    pub(super) fn flush(&mut self, queue: &SendQueue) {
        if !self.blocks.bytes().is_empty() {
            let ends = std::mem::take(&mut self.ends);
            queue.put(Records { bytes: self.blocks.bytes().to_vec(), ends });
            self.blocks.clear();
        }
    }
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn waiting(timestamp_ns: u64, interface: usize, dropped: Option<DropReason>) -> Waiting {
        Waiting { timestamp_ns, interface, dropped, bytes: vec![7; 60] }
    }

    #[test]
    fn a_dropped_frame_has_a_comment_and_what_finds_no_room_is_counted() {
        let mut encoder = OuterEncoder::new(&["eth1".to_owned()]);
        encoder.frame(&waiting(1, 0, None), 0);
        encoder.frame(&waiting(2, 0, Some(DropReason::NotUdp)), 0);
        encoder.frame(&waiting(3, 0, None), CAPACITY);
        encoder.finish(&[4]);
        let bytes = encoder.blocks.bytes().to_vec();
        let text = String::from_utf8_lossy(&bytes);
        assert_eq!(text.matches("dropped: not_udp").count(), 1);
        assert_eq!(encoder.ends.len(), 2);
        let mut file =
            crate::capture_file::CaptureFile::from_reader("a stream", std::io::Cursor::new(bytes))
                .unwrap();
        while file.next().unwrap().is_some() {}
        assert_eq!((file.frames(), &encoder.counts[..]), (2, &[(2, 1)][..]));
    }
}
