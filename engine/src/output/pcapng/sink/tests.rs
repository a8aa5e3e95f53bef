use std::fs;
use std::io;
use std::net::{IpAddr, Ipv4Addr};
use std::path::PathBuf;
use std::sync::Arc;

use super::*;
use crate::capture_file::CaptureFile;
use crate::config::Session;
use crate::decap::Link;
use crate::output::pcapng::PcapngFile;
use crate::output::{Descriptor, Origin, ring};
use crate::xsk::{Geometry, Holders, Pages, Umem};

const KEY: FrameKey = FrameKey {
    session: 0,
    source: IpAddr::V4(Ipv4Addr::LOCALHOST),
    vni: 1,
    direction: None,
    link: Link::Ethernet,
};

/// Storage that is full after `room` bytes.
#[derive(Debug)]
struct Full {
    bytes: Vec<u8>,
    room: usize,
}

impl Storage for Full {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.room - self.bytes.len());
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn cut(&mut self, len: u64) -> io::Result<()> {
        self.bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }
}

fn sink(room: usize) -> Sink<Full> {
    let storage = Full { bytes: Vec::new(), room };
    let file = PcapngFile::over(storage, PathBuf::from("out.pcapng"), Instant::now());
    Sink::new(CaptureWriter::new(file, &[]).unwrap())
}

const fn all_received(_: InterfaceKey, written: u64) -> InterfaceTotals {
    InterfaceTotals { received: written, accepted: written, dropped: 0 }
}

#[test]
fn a_full_disk_loses_frames_and_accounts_for_each() {
    const PACKET_BLOCK_LEN: u64 = 32 + 1500;
    let frame = [0x5A; 1500];
    for room in [100, 2_000, 1_048_000, 2_000_000, 2_200_000] {
        let mut sink = sink(room);
        for _ in 0..1500 {
            sink.packet(KEY, 1, 1500, std::iter::once(&frame[..]));
        }
        sink.tick(Instant::now() + Duration::from_secs(1));
        let error = sink.error().expect("full").to_string();
        sink.packet(KEY, 1, 1500, std::iter::once(&frame[..]));
        let report = sink.finish(None, all_received);
        assert_eq!(report.frames_written + report.frames_lost, 1501, "room for {room}");
        let left = room as u64 - report.bytes_written;
        assert!(left < PACKET_BLOCK_LEN, "room for {room} holds one more");
        let headers = report.bytes_written - PACKET_BLOCK_LEN * report.frames_written;
        assert!(headers < 200, "room for {room}: frames and bytes agree");
        assert_eq!(report.error.expect("the first error is kept").to_string(), error);
    }
}

#[test]
fn a_good_disk_loses_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let file = PcapngFile::create(&path, Instant::now()).unwrap();
    let mut sink = Sink::new(CaptureWriter::new(file, &[]).unwrap());
    for number in 0..3000 {
        sink.packet(KEY, number, 1500, std::iter::once(&[0x5A; 1400][..]));
    }
    let report = sink.finish(None, all_received);
    assert_eq!((report.frames_written, report.frames_lost), (3000, 0));
    assert!(report.error.is_none());
    assert_eq!(report.bytes_written, fs::metadata(&path).unwrap().len());
    let mut file = CaptureFile::open(&path).unwrap();
    for number in 0..3000 {
        let record = file.next().unwrap().unwrap();
        assert_eq!((record.timestamp_ns, record.captured.len(), record.original_len), (number, 1400, 1500));
    }
    assert!(file.next().unwrap().is_none());
}

/// Outer IPv4, UDP and tunnel header.
const OUTER_LEN: u16 = 36;

/// A frame behind the outer headers of 10.0.1.5 and VNI 100.
fn mirrored(frame: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; usize::from(OUTER_LEN)];
    bytes[0] = 0x45;
    bytes[12..16].copy_from_slice(&[10, 0, 1, 5]);
    bytes[28] = 0x08;
    bytes[34] = 100;
    [&bytes, frame].concat()
}

/// A consumer of `frames`, all of the first session, whose engine has stopped.
fn consumer_of(frames: &[[u8; 60]]) -> Consumer {
    let chunk_count = u32::try_from(frames.len()).unwrap();
    let (umem, mut free) = Umem::create(Geometry::new(2048, chunk_count), Pages::Ordinary).unwrap();
    let mut holders = Holders::none(chunk_count);
    let mut descriptors = Vec::new();
    for (number, frame) in (0..).zip(frames) {
        let mut chunk = free.take().unwrap();
        let bytes = mirrored(frame);
        umem.bytes_mut(&mut chunk)[256..256 + bytes.len()].copy_from_slice(&bytes);
        let addr = umem.address_of(&chunk) + 256 + u64::from(OUTER_LEN);
        let descriptor = Descriptor {
            timestamp_ns: number,
            addr,
            len: 60,
            original_len: 1500,
            session: 1,
            outer_len: OUTER_LEN,
            flags: 0,
        };
        descriptors.push((descriptor, holders.publish(chunk, 1).take()));
    }
    let (mut writer, reader) =
        ring(frames.len().next_power_of_two(), Arc::new(umem), Origin::default()).unwrap();
    for (descriptor, share) in descriptors {
        writer.push_all([(&descriptor, share)]);
    }
    writer.publish();
    Consumer::new(vec![reader])
}

const FRAMES: [[u8; 60]; 3] = [[1; 60], [2; 60], [3; 60]];

#[test]
fn what_a_consumer_reads_is_in_the_file_when_the_engine_has_stopped() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let file = PcapngFile::create(&path, Instant::now()).unwrap();
    let session = Session { name: "web".into(), vni: 100, source: None, ..Session::default() };
    let mut sink = Sink::new(CaptureWriter::new(file, &[session]).unwrap());
    drain(&mut consumer_of(&FRAMES), &mut sink, |error| panic!("{error}"));
    let report = sink.finish(None, |key, written| {
        assert_eq!((key, written), (InterfaceKey::Session(1), 3));
        all_received(key, written)
    });
    assert_eq!((report.frames_written, report.frames_lost), (3, 0));
    let mut file = CaptureFile::open(&path).unwrap();
    for (number, frame) in (0..).zip(&FRAMES) {
        let record = file.next().unwrap().unwrap();
        assert_eq!((record.timestamp_ns, record.captured, record.original_len), (number, &frame[..], 1500));
    }
    assert!(file.next().unwrap().is_none());
}

#[test]
fn a_consumer_is_drained_although_the_disk_is_full_and_that_is_said_once() {
    let mut sink = sink(100);
    let mut said = Vec::new();
    let mut consumer = consumer_of(&FRAMES);
    sink.packet(KEY, 0, 60, std::iter::once(&FRAMES[0][..]));
    sink.tick(Instant::now() + Duration::from_secs(1));
    drain(&mut consumer, &mut sink, |error| said.push(error.to_string()));
    assert_eq!(said.len(), 1);
    assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    let report = sink.finish(None, all_received);
    assert_eq!((report.frames_written, report.frames_lost), (0, 4));
}
