//! Frames that a mirror would send.

use std::thread;
use std::time::Duration;

use etherparse::PacketBuilder;
use vxtap_bench::sink::{OutgoingFrame, Pushed};
use vxtap_bench::{FrameSink, PacketSocket};
use vxtap_tests::Veth;

/// An address and a port.
type End = ([u8; 4], u16);

/// A frame with a UDP datagram from one end to another.
pub(crate) fn udp(destination_mac: [u8; 6], source: End, destination: End) -> Vec<u8> {
    let mut frame = Vec::new();
    PacketBuilder::ethernet2([4; 6], destination_mac)
        .ipv4(source.0, destination.0, 64)
        .udp(source.1, destination.1)
        .write(&mut frame, b"a question or an answer")
        .unwrap();
    frame
}

/// Sends frames in VXLAN with VNI 7, each from a UDP port, some 20 000 a second.
pub(crate) fn mirror(veth: &Veth, frames: impl Iterator<Item = (u16, Vec<u8>)> + Send) {
    let interface = veth.sender.interface;
    veth.sender.netns.run(|| {
        let mut socket = PacketSocket::open(interface).unwrap();
        for (place, (port, frame)) in frames.enumerate() {
            let payload = [&[8, 0, 0, 0, 0, 0, 7, 0][..], &frame].concat();
            let mut slot = OutgoingFrame::default();
            PacketBuilder::ethernet2([2; 6], [0xff; 6])
                .ipv4([10, 0, 0, 1], [10, 0, 0, 2], 64)
                .udp(port, 4789)
                .write(&mut slot.bytes, &payload)
                .unwrap();
            while matches!(socket.push(std::slice::from_ref(&slot)).unwrap(), Pushed::Full) {
                thread::sleep(Duration::from_micros(50));
            }
            if place % 64 == 0 {
                thread::sleep(Duration::from_millis(3));
            }
        }
    });
}
