use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

use super::*;
use crate::capture_file::CaptureFile;
use crate::decap::Link;

mod outage;

/// Storage with room for `room` bytes that takes at most `step` at a time.
#[derive(Debug)]
struct Small {
    bytes: Vec<u8>,
    room: usize,
    step: usize,
    can_truncate: bool,
}

impl Storage for Small {
    fn append(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = bytes.len().min(self.step).min(self.room - self.bytes.len());
        if count == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.bytes.extend_from_slice(&bytes[..count]);
        Ok(count)
    }

    fn truncate(&mut self, len: u64) -> io::Result<()> {
        if !self.can_truncate {
            return Err(io::ErrorKind::Unsupported.into());
        }
        self.bytes.truncate(usize::try_from(len).unwrap());
        Ok(())
    }

    fn stored_len(&self) -> Option<u64> {
        None
    }
}

fn small(room: usize, step: usize) -> PcapngFile<Small> {
    let storage = Small { bytes: Vec::new(), room, step, can_truncate: true };
    let mut file = PcapngFile::with_storage(storage, PathBuf::from("out.pcapng"), Instant::now());
    file.blocks().section_header("vxtap");
    file.blocks()
        .interface(crate::outputs::pcapng::InterfaceDescription { name: "web", description: "" });
    file
}

fn packet<S: Storage>(file: &mut PcapngFile<S>, len: u32) {
    let bytes = vec![0x5A; len as usize];
    file.blocks().packet(0, 1, len, None, std::iter::once(bytes.as_slice()));
}

/// Reads a file that has to be complete and returns the number of its frames.
fn frames_of_complete_file(bytes: &[u8]) -> u64 {
    let mut file = CaptureFile::from_reader("out.pcapng", io::Cursor::new(bytes.to_vec())).unwrap();
    while file.next().unwrap().is_some() {}
    file.frames()
}

#[test]
fn short_writes_are_continued() {
    let mut file = small(10_000, 7);
    packet(&mut file, 61);
    file.flush().unwrap();
    assert_eq!(frames_of_complete_file(&file.storage().bytes), 1);
    assert_eq!(file.complete_bytes(), file.storage().bytes.len() as u64);
}

#[test]
fn a_disk_that_is_full_at_any_byte_leaves_whole_blocks() {
    let mut whole = small(10_000, 10_000);
    (1..=4).for_each(|number| packet(&mut whole, 9 * number));
    whole.flush().unwrap();
    let len = whole.storage().bytes.len();
    for room in 0..len {
        let mut file = small(room, 1000);
        (1..=4).for_each(|number| packet(&mut file, 9 * number));
        let error = file.flush().unwrap_err();
        let bytes = &file.storage().bytes;
        let frames = if bytes.is_empty() { 0 } else { frames_of_complete_file(bytes) };
        assert_eq!(frames + error.frames_lost(), 4, "room for {room}");
        assert_eq!(file.complete_bytes(), bytes.len() as u64);
        assert!(
            bytes.len() <= room && room - bytes.len() < 80,
            "keeps the blocks that fit into {room}"
        );
    }
}

#[test]
fn after_a_failed_write_nothing_is_written_any_more() {
    let mut file = small(200, 1000);
    packet(&mut file, 60);
    packet(&mut file, 60);
    let error = file.flush().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write out.pcapng: no storage space; the file is complete up to byte 180"
    );
    assert_eq!(error.frames_lost(), 1);
    packet(&mut file, 1);
    let error = file.flush().unwrap_err();
    assert_eq!(
        error.to_string(),
        "cannot write out.pcapng: an earlier write failed; the file is complete up to byte 180"
    );
    assert_eq!(error.frames_lost(), 1);
    assert_eq!(file.storage().bytes.len(), 180);
}

#[test]
fn a_torn_block_that_cannot_be_taken_back_is_said() {
    let mut file = small(200, 1000);
    file.storage.can_truncate = false;
    packet(&mut file, 60);
    packet(&mut file, 60);
    assert_eq!(
        file.flush().unwrap_err().to_string(),
        "cannot write out.pcapng: no storage space; the file ends in the middle of a block and is \
         complete up to byte 180"
    );
}

#[test]
fn a_full_device_is_an_error_and_keeps_its_mode() {
    let mut file = PcapngFile::create("/dev/full", Instant::now()).unwrap();
    file.blocks().section_header("vxtap");
    let error = file.flush().unwrap_err().to_string();
    assert_eq!(
        error,
        "cannot write /dev/full: No space left on device (os error 28); nothing of it is written"
    );
    assert_ne!(fs::metadata("/dev/full").unwrap().permissions().mode() & 0o777, 0o600);
}

#[test]
fn the_file_is_private_also_where_another_was_before() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("out.pcapng");
    let mode = || fs::metadata(&path).unwrap().permissions().mode() & 0o7777;
    PcapngFile::create(&path, Instant::now()).unwrap();
    assert_eq!(mode(), 0o600);
    fs::write(&path, "older and longer than what is written over it").unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
    let mut file = PcapngFile::create(&path, Instant::now()).unwrap();
    assert_eq!(mode(), 0o600);
    file.blocks().section_header("vxtap");
    file.flush().unwrap();
    assert_eq!(frames_of_complete_file(&fs::read(&path).unwrap()), 0);
}

#[test]
fn a_file_that_cannot_be_created_is_named() {
    let error = PcapngFile::create("/none/out.pcapng", Instant::now()).unwrap_err().to_string();
    assert_eq!(error, "cannot create /none/out.pcapng: No such file or directory (os error 2)");
}

#[test]
fn ticks_write_within_a_second_and_not_before_the_interval() {
    let tick = Duration::from_millis(250);
    let start = Instant::now();
    let mut file = small(10_000, 10_000);
    file.flush().unwrap();
    let header = file.complete_bytes();
    file.tick(start + 9 * tick).unwrap();
    packet(&mut file, 60);
    file.tick(start + 10 * tick).unwrap();
    assert_eq!(file.complete_bytes(), header, "too early");
    file.tick(start + 11 * tick).unwrap();
    assert!(file.complete_bytes() > header, "too late: 500 to 750 ms after the frame");
    assert_eq!(frames_of_complete_file(&file.storage().bytes), 1);
}

#[test]
fn many_blocks_are_written_without_a_tick_and_without_growing_memory() {
    let mut file = small(1 << 24, 1 << 24);
    let address = file.blocks().bytes().as_ptr();
    for _ in 0..100 {
        packet(&mut file, 65_000);
        file.flush_if_full().unwrap();
        assert!(file.blocks().bytes().len() < FLUSH_BYTES);
    }
    assert!(frames_of_complete_file(&file.storage().bytes) > 80);
    assert_eq!(file.blocks().bytes().as_ptr(), address);
}
