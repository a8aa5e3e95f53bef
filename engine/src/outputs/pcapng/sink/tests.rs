use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;

use super::*;
use crate::capture_file::CaptureFile;
use crate::decap::Link;
use crate::outputs::pcapng::PcapngFile;

const KEY: FrameKey = FrameKey {
    session: 0,
    source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    vni: 1,
    direction: None,
    link: Link::Ethernet,
};
const FRAME: [u8; 1500] = [0x5A; 1500];

/// Storage that is full after `room` bytes.
#[derive(Debug)]
struct Full {
    bytes: Vec<u8>,
    room: std::rc::Rc<std::cell::Cell<usize>>,
}

impl Storage for Full {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room.get().saturating_sub(self.bytes.len()));
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

fn sink(room: usize) -> (RetryingWriter<Full>, std::rc::Rc<std::cell::Cell<usize>>) {
    let room = std::rc::Rc::new(std::cell::Cell::new(room));
    let storage = Full { bytes: Vec::new(), room: room.clone() };
    let file = PcapngFile::over(storage, PathBuf::from("out.pcapng"), Instant::now());
    (RetryingWriter::new(CaptureWriter::new(file, &[]).unwrap()), room)
}

fn push(sink: &mut RetryingWriter<Full>, count: u64) {
    for number in 0..count {
        sink.packet(KEY, number, 1500, std::iter::once(&FRAME[..]));
    }
}

const fn all_received(_: InterfaceKey, written: u64) -> InterfaceTotals {
    InterfaceTotals { received: written, accepted: written, dropped: 0 }
}

fn frames_in(bytes: Vec<u8>) -> u64 {
    let mut file = CaptureFile::from_reader("out.pcapng", io::Cursor::new(bytes)).unwrap();
    while file.next().unwrap().is_some() {}
    file.frames()
}

#[test]
fn a_full_disk_loses_frames_and_accounts_for_each() {
    const PACKET_BLOCK_LEN: u64 = 32 + 1500;
    for room in [100, 2_000, 1_048_000, 2_000_000, 2_200_000] {
        let (mut sink, _) = sink(room);
        push(&mut sink, 1500);
        sink.tick(Instant::now() + Duration::from_secs(1));
        assert!(matches!(sink.take_events()[..], [Event::Failed(_)]));
        push(&mut sink, 1);
        sink.tick(Instant::now());
        sink.tick(Instant::now() + RETRY);
        push(&mut sink, 1);
        sink.flush();
        assert!(sink.take_events().is_empty(), "it is said once");
        let written = sink.frames() - sink.frames_lost();
        let delivered: u64 = sink.writer().deliveries().values().sum();
        assert_eq!((sink.frames(), delivered), (1502, written), "room for {room}");
        sink.finish(None, all_received);
        let left = room as u64 - sink.writer().whole_bytes();
        assert!(left < PACKET_BLOCK_LEN, "room for {room} holds one more");
        assert_eq!(frames_in(sink.into_storage().bytes), written, "room for {room}");
    }
}

#[test]
fn a_disk_that_has_room_again_gets_frames_again() {
    let (mut sink, room) = sink(200_000);
    let start = Instant::now();
    push(&mut sink, 1000);
    let lost = sink.frames_lost();
    assert!(lost > 0);
    room.set(usize::try_from(sink.writer().whole_bytes()).unwrap());
    sink.tick(start);
    sink.tick(start + RETRY);
    push(&mut sink, 10);
    assert_eq!(sink.frames_lost(), lost + 10, "there is no room yet");
    room.set(usize::MAX);
    sink.tick(start + RETRY + RETRY / 2);
    push(&mut sink, 1);
    sink.tick(start + RETRY * 3);
    push(&mut sink, 500);
    sink.tick(start + RETRY * 4);
    sink.flush();
    assert_eq!(sink.frames_lost(), lost + 11);
    let events = sink.take_events();
    assert!(
        matches!(events[..], [Event::Failed(_), Event::Resumed(frames)] if frames == lost + 11),
        "{events:?}"
    );
    let written = sink.frames() - sink.frames_lost();
    assert_eq!(sink.writer().deliveries().values().sum::<u64>(), written);
    let mut stated = 0;
    sink.finish(None, |key, frames| {
        stated += frames;
        all_received(key, frames)
    });
    assert_eq!(stated, 500, "the statistics are those of the last section");
    assert_eq!(frames_in(sink.into_storage().bytes), written);
}
