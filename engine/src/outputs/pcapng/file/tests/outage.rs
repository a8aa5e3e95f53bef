//! Outages: writes fail for a time, and every frame is accounted for.

use std::net::{IpAddr, Ipv4Addr};

use super::super::outage::RETRY;
use super::*;
use crate::outputs::pcapng::{CaptureWriter, FrameKey, InterfaceKey, InterfaceTotals};

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

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn stored_len(&self) -> Option<u64> {
        None
    }
}

fn writer(room: usize) -> (CaptureWriter<Full>, std::rc::Rc<std::cell::Cell<usize>>) {
    let room = std::rc::Rc::new(std::cell::Cell::new(room));
    let storage = Full { bytes: Vec::new(), room: room.clone() };
    let file = PcapngFile::with_storage(storage, PathBuf::from("out.pcapng"), Instant::now());
    (CaptureWriter::new(file, &[]).unwrap(), room)
}

fn push(writer: &mut CaptureWriter<Full>, count: u64) {
    for number in 0..count {
        // The error is reported as an event.
        drop(writer.packet(KEY, number, 1500, std::iter::once(&FRAME[..])));
    }
}

const fn all_received(_: InterfaceKey, written: u64) -> InterfaceTotals {
    InterfaceTotals { received: written, accepted: written, dropped: 0 }
}

#[test]
fn a_full_disk_loses_frames_and_accounts_for_each() {
    const PACKET_BLOCK_LEN: u64 = 32 + 1500;
    for room in [100, 2_000, 1_048_000, 2_000_000, 2_200_000] {
        let (mut writer, _) = writer(room);
        push(&mut writer, 1500);
        drop(writer.tick(Instant::now() + Duration::from_secs(1)));
        assert!(matches!(writer.file_mut().take_events()[..], [WriteEvent::Failed(_)]));
        push(&mut writer, 1);
        drop(writer.tick(Instant::now()));
        drop(writer.tick(Instant::now() + RETRY));
        push(&mut writer, 1);
        drop(writer.flush());
        assert!(writer.file_mut().take_events().is_empty(), "it is reported once");
        let written = writer.frames() - writer.file().frames_lost();
        let delivered: u64 = writer.frames_by_interface().values().sum();
        assert_eq!((writer.frames(), delivered), (1502, written), "room for {room}");
        drop(writer.finish(None, all_received));
        let left = room as u64 - writer.file().complete_bytes();
        assert!(left < PACKET_BLOCK_LEN, "room for {room} holds one more");
        assert_eq!(
            frames_of_complete_file(&writer.into_file().into_storage().bytes),
            written,
            "room for {room}"
        );
    }
}

#[test]
fn a_disk_that_has_room_again_gets_frames_again() {
    let (mut writer, room) = writer(200_000);
    let start = Instant::now();
    push(&mut writer, 1000);
    let lost = writer.file().frames_lost();
    assert!(lost > 0);
    room.set(usize::try_from(writer.file().complete_bytes()).unwrap());
    drop(writer.tick(start));
    drop(writer.tick(start + RETRY));
    push(&mut writer, 10);
    assert_eq!(writer.file().frames_lost(), lost + 10, "there is no room yet");
    room.set(usize::MAX);
    drop(writer.tick(start + RETRY + RETRY / 2));
    push(&mut writer, 1);
    drop(writer.tick(start + RETRY * 3));
    push(&mut writer, 500);
    drop(writer.tick(start + RETRY * 4));
    drop(writer.flush());
    assert_eq!(writer.file().frames_lost(), lost + 11);
    let events = writer.file_mut().take_events();
    assert!(
        matches!(events[..], [WriteEvent::Failed(_), WriteEvent::Resumed { frames_lost }] if frames_lost == lost + 11),
        "{events:?}"
    );
    let written = writer.frames() - writer.file().frames_lost();
    assert_eq!(writer.frames_by_interface().values().sum::<u64>(), written);
    let mut stated = 0;
    writer
        .finish(None, |key, frames| {
            stated += frames;
            all_received(key, frames)
        })
        .unwrap();
    assert_eq!(stated, 500, "the statistics are those of the last section");
    assert_eq!(frames_of_complete_file(&writer.into_file().into_storage().bytes), written);
}

#[test]
fn a_file_that_is_replaced_after_a_failed_section_has_the_interfaces_of_its_frames() {
    let (mut writer, room) = writer(usize::MAX);
    push(&mut writer, 10);
    writer.flush().unwrap();
    room.set(usize::try_from(writer.file().complete_bytes()).unwrap());
    push(&mut writer, 10);
    assert!(writer.flush().is_err());
    assert!(writer.flush().is_err(), "there is no room for the header of a section");
    let storage =
        Full { bytes: Vec::new(), room: std::rc::Rc::new(std::cell::Cell::new(usize::MAX)) };
    writer.replace_file(storage, 10);
    writer.flush().unwrap();
    push(&mut writer, 5);
    writer.finish(None, all_received).unwrap();
    assert_eq!(frames_of_complete_file(&writer.into_file().into_storage().bytes), 5);
}
