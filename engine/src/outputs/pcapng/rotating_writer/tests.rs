use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use ruzstd::decoding::FrameDecoder;

use super::*;
use crate::capture_file::CaptureFile;
use crate::config::{Compression, Session};
use crate::outputs::pcapng::{InterfaceKey, InterfaceTotals};
use crate::ring::{Consumer, Descriptor, Next, QueueId, ring};
use crate::xsk::{Geometry, Pages, RefCounts, Umem};

mod descriptors;
mod outside;
mod undeclared;

const SECOND: u64 = 1_000_000_000;
/// 2026-11-27 21:05:09 UTC.
const START: u64 = 1_795_813_509 * SECOND;

/// Reports the frames in the files and no others.
#[derive(Default)]
struct Plain {
    delivered: u64,
    stated: u64,
    now_ns: Option<u64>,
}

impl StatsSource for Plain {
    fn refresh(&mut self) {}

    fn add_delivered(&mut self, _: InterfaceKey, frames: u64) {
        self.delivered += frames;
    }

    fn totals(&mut self, _: InterfaceKey, frames: u64, _: bool) -> InterfaceTotals {
        self.stated += frames;
        InterfaceTotals { received: frames, accepted: frames, dropped: 0 }
    }

    fn now_ns(&self) -> Option<u64> {
        self.now_ns
    }
}

/// A directory for the files of an output, and the messages of the output.
struct Fixture {
    dir: tempfile::TempDir,
    messages: Arc<Mutex<Vec<String>>>,
    stats: Plain,
}

impl Fixture {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            messages: Arc::default(),
            stats: Plain::default(),
        }
    }

    fn open(&self, name: &str, files: PcapngFiles) -> RotatingWriter {
        let path = self.dir.path().join(name);
        let mut directory = Directory::default();
        let web = Session { name: "web".into(), vni: 100, ..Session::default() };
        let sessions = directory.assign(&[web]);
        let messages = self.messages.clone();
        let config = WriterConfig {
            name: FileName::of(&path).unwrap(),
            path,
            files,
            member: 0,
            owner: None,
            directory,
            sessions,
            log: Arc::new(move |message| messages.lock().unwrap().push(message)),
        };
        RotatingWriter::open(config, Instant::now(), START).unwrap()
    }

    /// Writes frames, each with a session, a VNI and a time.
    fn write(&mut self, writer: &mut RotatingWriter, frames: &[(u32, u8, u64)]) {
        for frames in frames.chunks(1024) {
            self.write_all_of(writer, consumer_of(frames));
        }
    }

    fn write_all_of(&mut self, writer: &mut RotatingWriter, mut consumer: Consumer) {
        while let Next::Batch(batch) = consumer.next(Duration::ZERO) {
            for frame in &batch {
                writer.packet(&frame, &mut self.stats);
            }
        }
    }

    /// Returns the names of the files and the number of frames in each.
    fn files(&self) -> Vec<(String, u64)> {
        let mut files: Vec<_> = fs::read_dir(self.dir.path())
            .unwrap()
            .map(|entry| {
                let path = entry.unwrap().path();
                assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
                (path.file_name().unwrap().to_str().unwrap().to_owned(), frames_in(&path))
            })
            .collect();
        files.sort();
        files
    }

    fn take_messages(&self) -> Vec<String> {
        std::mem::take(&mut self.messages.lock().unwrap())
    }
}

fn frames_in(path: &Path) -> u64 {
    let mut bytes = fs::read(path).unwrap();
    if path.extension().is_some_and(|extension| extension == "zst") {
        let mut plain = Vec::with_capacity(64 << 20);
        FrameDecoder::new().decode_all_to_vec(&bytes, &mut plain).unwrap();
        bytes = plain;
    }
    let mut file = CaptureFile::from_reader("file", io::Cursor::new(bytes)).unwrap();
    while file.next().unwrap().is_some() {}
    file.frames()
}

/// Length of the outer IPv4, UDP and tunnel headers.
const OUTER_LEN: u16 = 36;
const FRAME_LEN: u32 = 1400;

/// Returns a consumer of frames from 10.0.1.5 whose engine has stopped.
fn consumer_of(frames: &[(u32, u8, u64)]) -> Consumer {
    let chunk_count = u32::try_from(frames.len()).unwrap();
    let (umem, mut free) = Umem::create(Geometry::new(2048, chunk_count), Pages::Ordinary).unwrap();
    let (umem, mut holders) = (Arc::new(umem), RefCounts::none(chunk_count));
    let (mut writer, reader) =
        ring(frames.len().next_power_of_two(), umem.clone(), QueueId::default()).unwrap();
    for &(session, vni, timestamp_ns) in frames {
        let mut chunk = free.take().unwrap();
        let outer = &mut umem.bytes_mut(&mut chunk)[256..];
        outer[0] = 0x45;
        outer[12..16].copy_from_slice(&[10, 0, 1, 5]);
        (outer[28], outer[34]) = (0x08, vni);
        let addr = umem.address_of(&chunk) + 256 + u64::from(OUTER_LEN);
        let share = holders.publish(chunk, 1).take();
        let descriptor = Descriptor {
            timestamp_ns,
            addr,
            len: FRAME_LEN,
            original_len: 1400,
            session,
            outer_len: OUTER_LEN,
            flags: 0,
        };
        writer.push_all([(&descriptor, share)]);
    }
    writer.publish();
    Consumer::new(vec![reader])
}

#[test]
fn one_file_grows_where_it_is_and_all_frames_are_in_it() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("a.pcapng", PcapngFiles::default());
    assert_eq!(fixture.files(), [("a.pcapng".to_owned(), 0)]);
    fixture.write(&mut writer, &[(1, 100, START), (1, 100, START + 1), (0, 7, START + 2)]);
    writer.tick(Instant::now() + Duration::from_secs(1), &mut fixture.stats);
    assert_eq!(fixture.files(), [("a.pcapng".to_owned(), 3)]);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (3, 0));
    assert_eq!((fixture.stats.delivered, fixture.stats.stated), (3, 3));
    assert_eq!(fixture.take_messages(), [""; 0]);
}

#[test]
fn a_file_that_is_long_enough_is_followed_by_the_next() {
    let mut fixture = Fixture::new();
    let mut writer = fixture
        .open("{number}.pcapng", PcapngFiles { rotate_mib: Some(1), ..PcapngFiles::default() });
    fixture.write(&mut writer, &vec![(1, 100, START); 2000]);
    assert_eq!(writer.stats().frames_written, 2000);
    assert_eq!(writer.finish(&mut fixture.stats).frames_written, 2000);
    let files = fixture.files();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["000001.pcapng", "000002.pcapng", "000003.pcapng"]);
    assert_eq!(files.iter().map(|(_, frames)| frames).sum::<u64>(), 2000);
    let longest =
        names.iter().map(|name| fs::metadata(fixture.dir.path().join(name)).unwrap().len()).max();
    assert!(
        longest.unwrap() > (1 << 20) - 2000 && longest.unwrap() < (1 << 20) + 200,
        "{longest:?}"
    );
    assert_eq!((fixture.stats.delivered, fixture.stats.stated), (2000, 2000));
    // The next run continues the numbers.
    fixture.open("{number}.pcapng", PcapngFiles::default()).finish(&mut fixture.stats);
    assert_eq!(fixture.files()[3].0, "000004.pcapng");
}

#[test]
fn files_hold_the_frames_of_their_periods() {
    let mut fixture = Fixture::new();
    let mut writer =
        fixture.open("%H%M%S.pcapng", PcapngFiles { rotate_s: Some(60), ..PcapngFiles::default() });
    let at = |seconds: u64| (1, 100, START + seconds * SECOND);
    // The minute ends 51 s after the start.
    fixture.write(&mut writer, &[at(0), at(50), at(51), at(52), at(300)]);
    fixture.stats.now_ns = Some(START + 352 * SECOND);
    writer.tick(Instant::now(), &mut fixture.stats);
    let expected = [("210509", 2), ("210600", 2), ("211000", 1)]
        .map(|(name, n)| (format!("{name}.pcapng"), n));
    assert_eq!(writer.finish(&mut fixture.stats).frames_written, 5);
    assert_eq!(fixture.files(), expected);
}

#[test]
fn sessions_have_files_of_their_own_when_asked_even_more_than_may_be_open() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("{session}-{vni}-%S.pcapng", PcapngFiles::default());
    writer.files.limit = 40;
    assert_eq!(fixture.files(), [], "a file begins with the first frame");
    let pairs = u8::MAX;
    for round in 0..2 {
        let mut frames: Vec<_> = (0..pairs).map(|vni| (0, vni, START + round)).collect();
        frames.extend((0..20).map(|vni| (1, vni, START + round)));
        fixture.write(&mut writer, &frames);
    }
    assert_eq!(writer.files.iter().len(), 10 + 20);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (2 * 275, 0));
    let files = fixture.files();
    assert_eq!(files.iter().map(|(_, frames)| frames).sum::<u64>(), 2 * 275);
    assert!(files.iter().any(|(name, _)| name == "vni-7@10.0.1.5-7-09.pcapng"));
    assert!(files.iter().any(|(name, _)| name == "web-7-09.pcapng"));
    assert!(files.len() > 275 && !files.iter().any(|(name, _)| name.contains(".part")));
}

#[test]
fn a_file_that_begins_with_a_frame_describes_its_session_at_once() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("{session}.pcapng", PcapngFiles::default());
    fixture.write(&mut writer, &[(1, 100, START), (0, 7, START)]);
    // As an engine leaves them that is killed now.
    let begins: Vec<_> = fs::read_dir(fixture.dir.path())
        .unwrap()
        .map(|entry| {
            let bytes = fs::read(entry.unwrap().path()).unwrap();
            let word = |at: usize| u32::from_ne_bytes(bytes[at..at + 4].try_into().unwrap());
            let header_len = word(4) as usize;
            (word(0), word(header_len))
        })
        .collect();
    assert_eq!(begins, [(0x0a0d_0d0a, 1); 2], "a section header, an interface");
    writer.finish(&mut fixture.stats);
}

#[test]
fn files_end_when_that_is_asked_for() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("%S.pcapng", PcapngFiles::default());
    writer.rotate(&mut fixture.stats);
    fixture.write(&mut writer, &[(1, 100, START)]);
    writer.rotate(&mut fixture.stats);
    fixture.write(&mut writer, &[(1, 100, START + 1), (1, 100, START + 2)]);
    writer.finish(&mut fixture.stats);
    assert_eq!(fixture.files(), [("09-2.pcapng".to_owned(), 2), ("09.pcapng".to_owned(), 1)]);
}

#[test]
fn one_file_is_followed_by_another_when_it_was_moved_away() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("a.pcapng", PcapngFiles::default());
    fixture.write(&mut writer, &[(1, 100, START)]);
    writer.rotate(&mut fixture.stats);
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.ends_with("a.pcapng still exists: move it away, then rotate again"))
    );
    fs::rename(fixture.dir.path().join("a.pcapng"), fixture.dir.path().join("b.pcapng")).unwrap();
    writer.rotate(&mut fixture.stats);
    fixture.write(&mut writer, &[(1, 100, START), (1, 100, START)]);
    assert_eq!(writer.finish(&mut fixture.stats).frames_written, 3);
    assert_eq!(fixture.files(), [("a.pcapng".to_owned(), 2), ("b.pcapng".to_owned(), 1)]);
}

#[test]
fn whole_files_are_compressed_and_the_oldest_go() {
    let mut fixture = Fixture::new();
    let files = PcapngFiles {
        rotate_mib: Some(5),
        keep_files: Some(2),
        compression: Compression::Zstd,
        fsync: Fsync::Second,
        ..PcapngFiles::default()
    };
    let mut writer = fixture.open("{number}.pcapng", files);
    fixture.write(&mut writer, &vec![(1, 100, START); 10_000]);
    writer.tick(Instant::now() + Duration::from_secs(2), &mut fixture.stats);
    assert_eq!(writer.finish(&mut fixture.stats).frames_written, 10_000);
    let files = fixture.files();
    let names: Vec<_> = files.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["000002.pcapng.zst", "000003.pcapng.zst"]);
    assert!(files.iter().map(|(_, frames)| frames).sum::<u64>() > 6000);
    let bytes = fs::metadata(fixture.dir.path().join(names[0])).unwrap().len();
    assert!(bytes < 1 << 20, "{bytes}");
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.contains("/000001.pcapng was deleted")),
        "{messages:?}"
    );
}

#[test]
fn what_is_too_old_goes_and_what_is_too_much_for_the_room_of_all() {
    let mut fixture = Fixture::new();
    let dir = fixture.dir.path().to_owned();
    let hours_old = |name: &str, hours: u64| {
        let file = fs::File::create(dir.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(hours * 3600))
            .unwrap();
    };
    hours_old("000001.pcapng", 3);
    hours_old("000002.pcapng.zst", 3);
    hours_old("000003.pcapng", 1);
    hours_old("other.pcapng", 3);
    // The compressor is about to remove this one.
    hours_old("000005.pcapng", 3);
    hours_old("000005.pcapng.zst", 1);
    let files = PcapngFiles { keep_s: Some(2 * 3600), ..PcapngFiles::default() };
    fixture.open("{number}.pcapng", files).finish(&mut fixture.stats);
    let names = || {
        let entries = fs::read_dir(&dir).unwrap();
        let mut names: Vec<_> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    };
    let expected =
        ["000003.pcapng", "000005.pcapng", "000005.pcapng.zst", "000006.pcapng", "other.pcapng"];
    assert_eq!(names(), expected);
    fs::remove_file(dir.join("000005.pcapng")).unwrap();
    let files = PcapngFiles { rotate_mib: Some(1), keep_mib: Some(2), ..PcapngFiles::default() };
    let mut writer = fixture.open("{number}.pcapng", files);
    fixture.write(&mut writer, &vec![(1, 100, START); 3000]);
    writer.finish(&mut fixture.stats);
    // Two files of 1 MiB would exceed 2 MiB, since each has its statistics in addition.
    assert_eq!(names(), ["000010.pcapng", "000011.pcapng", "other.pcapng"]);
    let messages = fixture.take_messages();
    assert_eq!(messages.len(), 2, "one for each writer: {messages:?}");
    assert!(messages.iter().all(|message| message.contains("pcapng was deleted to keep")));
}

#[test]
fn files_of_an_earlier_run_are_compressed_too_and_none_that_somebody_writes_or_that_is_not_ours() {
    let mut fixture = Fixture::new();
    let dir = fixture.dir.path().to_owned();
    let write = |name: &str, seconds_old: u64| {
        fs::write(dir.join(name), name).unwrap();
        let file = fs::File::options().write(true).open(dir.join(name)).unwrap();
        file.set_modified(std::time::SystemTime::now() - Duration::from_secs(seconds_old)).unwrap();
        file
    };
    write("000001.pcapng", 61);
    write("secret", 61);
    std::os::unix::fs::symlink(dir.join("secret"), dir.join("000002.pcapng")).unwrap();
    let busy = write("000003.pcapng", 61);
    assert!(crate::outputs::pcapng::secure_open::lock(&busy).unwrap());
    // A program that takes no locks may still write to this one.
    write("000004.pcapng", 5);
    // A user wants to keep both, or an engine was killed before it removed the original.
    write("000005.pcapng", 61);
    write("000005.pcapng.zst", 61);
    write("000006.pcapng.part", 5);
    write("000007.pcapng.zst.part", 5);
    let files = PcapngFiles { compression: Compression::Zstd, ..PcapngFiles::default() };
    fixture.open("{number}.pcapng", files).finish(&mut fixture.stats);
    let mut names: Vec<_> = fs::read_dir(&dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    let expected = [
        "000001.pcapng.zst",
        "000002.pcapng",
        "000003.pcapng",
        "000004.pcapng",
        "000005.pcapng",
        "000005.pcapng.zst",
        "000006.pcapng.zst",
        "000008.pcapng.zst",
        "secret",
    ];
    assert_eq!(names, expected);
    assert_eq!(fs::read(dir.join("000005.pcapng.zst")).unwrap(), b"000005.pcapng.zst");
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.contains(" has 1 file that an earlier run did not finish")),
        "{messages:?}"
    );
}

#[test]
fn a_file_whose_name_somebody_has_taken_is_compressed_under_its_other_name_and_the_other_file_is_not()
 {
    let mut fixture = Fixture::new();
    let files = PcapngFiles { compression: Compression::Zstd, ..PcapngFiles::default() };
    let writer = fixture.open("{number}.pcapng", files);
    fs::write(fixture.dir.path().join("000001.pcapng"), "somebody's").unwrap();
    writer.finish(&mut fixture.stats);
    let mut names: Vec<_> =
        fs::read_dir(fixture.dir.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["000001-2.pcapng.zst", "000001.pcapng"]);
}

#[test]
fn a_capture_file_that_goes_back_in_time_is_in_files_as_a_whole() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("{vni}.pcapng", PcapngFiles::default());
    writer.files.limit = 8;
    let frames: Vec<_> = (0..100).map(|vni| (0, vni, START - u64::from(vni) * SECOND)).collect();
    fixture.write(&mut writer, &frames);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (100, 0));
    assert_eq!((fixture.files().len(), fixture.take_messages().len()), (100, 0));
}

#[test]
fn a_file_that_another_one_has_replaced_is_not_taken_for_it_when_it_is_compressed() {
    let mut fixture = Fixture::new();
    let files = PcapngFiles { compression: Compression::Zstd, ..PcapngFiles::default() };
    let mut writer = fixture.open("a.pcapng", files);
    fixture.write(&mut writer, &[(1, 100, START)]);
    fs::rename(fixture.dir.path().join("a.pcapng"), fixture.dir.path().join("b.pcapng")).unwrap();
    writer.rotate(&mut fixture.stats);
    // Long enough for the compressor to list the directory.
    std::thread::sleep(Duration::from_millis(100));
    fixture.write(&mut writer, &[(1, 100, START), (1, 100, START)]);
    assert_eq!(writer.finish(&mut fixture.stats).frames_written, 3);
    assert_eq!(fixture.files(), [("a.pcapng.zst".to_owned(), 2), ("b.pcapng".to_owned(), 1)]);
}

#[test]
fn what_cannot_be_opened_loses_its_frames_and_that_is_said_once() {
    let mut fixture = Fixture::new();
    let mut writer = fixture.open("sub/{vni}.pcapng", PcapngFiles::default());
    let sub = fixture.dir.path().join("sub");
    assert_eq!(fs::metadata(&sub).unwrap().permissions().mode() & 0o777, 0o700);
    fs::remove_dir(&sub).unwrap();
    fixture.write(&mut writer, &[(1, 100, START), (1, 101, START)]);
    let messages = fixture.take_messages();
    assert!(
        matches!(&messages[..], [message] if message.contains("100.pcapng.part: No such file") && message.ends_with("until the file can be created")),
        "{messages:?}"
    );
    fixture.write(&mut writer, &[(1, 100, START)]);
    for (seconds, lost) in [(1, 4), (2, 5)] {
        writer.tick(Instant::now() + Duration::from_secs(seconds), &mut fixture.stats);
        fixture.write(&mut writer, &[(1, 100, START)]);
        assert_eq!(
            (fixture.take_messages(), writer.stats().frames_lost),
            (Vec::new(), lost),
            "it is reported once"
        );
    }
    fs::create_dir(&sub).unwrap();
    writer.tick(Instant::now() + Duration::from_secs(3), &mut fixture.stats);
    fixture.write(&mut writer, &[(1, 100, START)]);
    assert_eq!(fixture.take_messages(), ["files can be created again; lost meanwhile: 5 frames"]);
    let written = writer.finish(&mut fixture.stats);
    assert_eq!((written.frames_written, written.frames_lost), (1, 5));
    assert_eq!(frames_in(&sub.join("100.pcapng")), 1);
}
