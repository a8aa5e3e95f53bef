//! Builds and sends the frames of a traffic mirror.

use std::time::Duration;

use etherparse::PacketBuilder;
use vxtap_bench::send::FrameSource;
use vxtap_bench::sink::Label;
use vxtap_tests::Veth;

use super::support::send_until;

/// Frames per second.
const RATE: u64 = 20_000;

/// An address and a port.
type End = ([u8; 4], u16);

/// Builds a frame with a UDP datagram from one end to another.
pub(crate) fn udp(destination_mac: [u8; 6], source: End, destination: End) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([4; 6], destination_mac)
        .ipv4(source.0, destination.0, 64)
        .udp(source.1, destination.1)
        .write(&mut frame, b"a question or an answer")
        .unwrap();
    frame
}

/// Sends frames in VXLAN with VNI 7, each with its own UDP source port.
pub(crate) fn mirror(veth: &Veth, frames: impl Iterator<Item = (u16, Vec<u8>)> + Send) {
    send_until(&veth.sender, &mut Mirror(frames), RATE, None);
}

/// Encapsulates inner frames.
struct Mirror<I>(I);

impl<I: Iterator<Item = (u16, Vec<u8>)>> FrameSource for Mirror<I> {
    fn next_frame(&mut self, outer: &mut Vec<u8>) -> Option<Label> {
        let (port, inner) = self.0.next()?;
        outer.clear();
        PacketBuilder::ethernet2([2; 6], [0xff; 6])
            .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
            .udp(port, 4789)
            .write(outer, &[&[8, 0, 0, 0, 0, 0, 7, 0], &inner[..]].concat())
            .unwrap();
        Some(Label { session: None, inner_len: inner.len() })
    }

    fn next_at(&self) -> Duration {
        Duration::ZERO
    }
}
