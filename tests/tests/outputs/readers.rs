//! tshark and tcpdump read the files that vxtap writes, and vxtap reads damaged files as Wireshark
//! does.

use std::fs;
use std::path::Path;
use std::process::Command;

use vxtap::capture_file::CaptureFile;
use vxtap_tests::capture;

use super::captures::copy_frames;
use super::support::{finish, vxtap};

/// Number of damaged files. With the seed 109 the first record is damaged such that Wireshark takes
/// the file for one of a variant with longer record headers.
const FILES: u64 = 100;

/// An Ethernet frame with an IPv4 packet to this UDP port.
fn udp(port: u16, payload: &[u8]) -> Vec<u8> {
    let udp_len = u16::try_from(8 + payload.len()).unwrap();
    let ip_len = (20 + udp_len).to_be_bytes();
    let ip = [0x45, 0, ip_len[0], ip_len[1], 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let ports = [40_000_u16.to_be_bytes(), port.to_be_bytes()].concat();
    [&[2; 12][..], &[8, 0], &ip, &ports, &udp_len.to_be_bytes(), &[0, 0], payload].concat()
}

/// A mirrored frame, and a mirrored packet without Ethernet header in GENEVE.
fn mirrored() -> [Vec<u8>; 2] {
    let inner = udp(53, &[7; 30]);
    [
        udp(4789, &[&[8, 0, 0, 0, 0, 0, 100, 0], &inner[..]].concat()),
        udp(6081, &[&[0, 0, 8, 0, 0, 0, 100, 0], &inner[14..]].concat()),
    ]
}

/// A classic capture file.
fn pcap(frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, 1] {
        bytes.extend(u32::to_le_bytes(field));
    }
    for (number, frame) in (0..).zip(frames) {
        let len = u32::try_from(frame.len()).unwrap();
        for field in [1_700_000_000, number, len, len] {
            bytes.extend(u32::to_le_bytes(field));
        }
        bytes.extend(frame);
    }
    bytes
}

/// Writes a capture and takes the tunnel off; returns the path of the result.
fn decap(directory: &Path, frames: &[Vec<u8>], more: &[&str]) -> String {
    let (input, output) = (directory.join("in.pcap"), directory.join("out.pcapng"));
    fs::write(&input, pcap(frames)).unwrap();
    let mut command = Command::new(vxtap());
    let (code, table, stderr) =
        finish(command.arg("decap").arg(&input).arg("-o").arg(&output).args(more));
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{table}");
    output.to_str().unwrap().to_owned()
}

/// Asserts that both programs read this number of frames in a file.
fn assert_readable(path: &str, frames: usize) {
    for program in [&["tcpdump", "-nr"][..], &["tshark", "-nr"]] {
        let read = capture(Command::new(program[0]).args(&program[1..]).arg(path));
        let read = read.unwrap_or_else(|error| panic!("{error:#}"));
        assert_eq!(read.lines().count(), frames, "{}: {read}", program[0]);
    }
}

#[test]
#[ignore = "requires tshark and tcpdump; run by cargo xtask test"]
fn files_with_packets_from_tunnels_and_files_without_frames_can_be_read() {
    let directory = tempfile::tempdir().unwrap();
    let config = directory.path().join("c.toml");
    fs::write(&config, "[[session]]\nname = \"web\"\nvni = 100\n").unwrap();
    let declared = ["-c", config.to_str().unwrap()];
    let [frame, packet] = mirrored();
    for more in [&[][..], &declared] {
        let arp = [&[2; 12][..], &[8, 6], &[0; 28]].concat();
        for frames in [vec![arp.clone(), packet.clone()], vec![arp, frame.clone(), packet.clone()]]
        {
            let path = decap(directory.path(), &frames, more);
            assert_readable(&path, frames.len() - 1);
        }
        assert_readable(&decap(directory.path(), &[], more), 0);
    }
}

/// Bytes and original length of each frame before the end or the damage of a file.
type Frames = Vec<(Vec<u8>, u32)>;

fn read_by_wireshark(path: &Path) -> Frames {
    let copy = path.with_extension("copy");
    copy_frames(path, &copy);
    read_by_vxtap(&copy)
}

fn read_by_vxtap(path: &Path) -> Frames {
    let Ok(mut file) = CaptureFile::open(path) else { return Vec::new() };
    let mut frames = Vec::new();
    while let Ok(Some(record)) = file.next() {
        frames.push((record.captured.to_vec(), record.original_len));
    }
    frames
}

/// Changes a few bytes of a file, or cuts it; the same for a seed.
fn damage(bytes: &mut Vec<u8>, seed: u64) {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = |limit: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % limit as u64).unwrap()
    };
    // The header of the file stays: a file that is none is refused by both.
    let at = 24 + next(bytes.len() - 24);
    match next(4) {
        0 => bytes[at] ^= 1 << next(8),
        1 => bytes[at] = 0xff,
        2 => bytes.truncate(at),
        _ => {
            let end = (at + 16).min(bytes.len());
            bytes[at..end].fill(0);
        }
    }
}

#[test]
#[ignore = "requires editcap of Wireshark; run by cargo xtask test"]
fn frames_of_damaged_files_are_those_that_wireshark_reads() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("damaged.pcap");
    let frames: Vec<_> = (1..9).map(|len| udp(53, &vec![9; 20 * len])).collect();
    for seed in 0..FILES {
        let mut bytes = pcap(&frames);
        damage(&mut bytes, seed);
        fs::write(&path, &bytes).unwrap();
        assert_eq!(read_by_vxtap(&path), read_by_wireshark(&path), "seed {seed}");
    }
}
