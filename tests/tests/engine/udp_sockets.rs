//! Capture mode `socket`: a datagram comes whole or is counted as lost.

use std::net::UdpSocket;
use std::thread;

use vxtap::config::CaptureMode;
use vxtap::ring::Next;
use vxtap_tests::{TIMEOUT, Veth, privileged};

use super::support::{OUTPUT, assert_adds_up, config, open, stop_after};

/// Datagrams that are sent.
const COUNT: u64 = 50;
/// Bytes of an inner frame.
const INNER_LEN: usize = 60_000;

#[test]
#[ignore = "requires CAP_NET_ADMIN and network namespaces"]
fn a_datagram_longer_than_the_rings_have_room_for_is_lost_as_a_whole_and_counted() {
    privileged();
    let veth = Veth::pair(1).unwrap();
    for (ring_len, some_are_lost) in [(64, true), (4096, false)] {
        let mut config = config(&veth.receiver);
        config.capture.mode = CaptureMode::Socket;
        (config.memory.fill_ring, config.memory.rx_ring) = (ring_len, ring_len);
        config.memory.per_queue_mib = 100;
        let mut engine = open(&veth.receiver, config);
        let mut consumer = engine.take_consumer(OUTPUT).unwrap();
        let reader = thread::spawn(move || {
            let mut lens = Vec::new();
            loop {
                match consumer.next(TIMEOUT) {
                    Next::Batch(batch) => {
                        lens.extend(batch.iter().map(|it| (it.captured_len(), it.original_len())));
                    }
                    Next::Idle => {}
                    Next::Closed => return lens,
                }
            }
        });
        // They wait in the sockets, so that the first batch has as many as fit.
        send(&veth);
        engine.start().unwrap();
        let report = stop_after(engine, COUNT);
        assert_adds_up(&report);
        let lens = reader.join().unwrap();
        let whole = u32::try_from(INNER_LEN).unwrap();
        assert!(lens.iter().all(|lens| *lens == (whole, whole)), "{lens:?}\n{report}");
        let lost: u64 = report.workers.iter().map(|it| it.counters.kernel.rx_ring_full).sum();
        assert_eq!(lens.len() as u64 + lost, COUNT, "{report}");
        assert_eq!(lost > 0, some_are_lost, "rings of {ring_len}: {report}");
    }
}

/// Sends mirrored frames of [`INNER_LEN`] bytes, which the kernel divides and puts together.
fn send(veth: &Veth) {
    let from = veth.sender.address;
    let socket = veth.sender.netns.run(|| UdpSocket::bind((from, 0))).unwrap();
    let mut datagram = vec![0x08, 0, 0, 0, 0, 0, 1, 0];
    datagram.extend([2; 12]);
    datagram.extend([0x88, 0xb5]);
    datagram.resize(8 + INNER_LEN, 0x5a);
    for _ in 0..COUNT {
        socket.send_to(&datagram, (veth.receiver.address, 4789)).unwrap();
        thread::sleep(std::time::Duration::from_millis(1));
    }
}
