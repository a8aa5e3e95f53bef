//! Capture files as users have them, through `vxtap decap` and `vxtap explain`.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use etherparse::PacketBuilder;
use flate2::Compression;
use flate2::write::GzEncoder;
use ruzstd::encoding::{CompressionLevel, compress_to_vec};
use vxtap::capture_file::{CaptureFile, LinkType};

const SOURCE: [u8; 4] = [10, 0, 0, 1];
const MONITOR: [u8; 4] = [10, 0, 0, 2];

/// The mirrored Ethernet frame.
fn inner() -> Vec<u8> {
    let mut frame = Vec::new();
    let builder =
        PacketBuilder::ethernet2([1; 6], [2; 6]).ipv4([192, 168, 1, 1], [192, 168, 1, 2], 64);
    builder.tcp(40_000, 443, 1, 1024).write(&mut frame, &[7; 40]).unwrap();
    frame
}

/// An outer frame: VXLAN with VNI 100 to a UDP port.
fn mirrored(port: u16) -> Vec<u8> {
    outer(port, &[&[8, 0, 0, 0, 0, 0, 100, 0], &inner()[..]].concat())
}

/// An outer frame: GENEVE with VNI 100, which carries an IP packet without Ethernet header.
fn ip_inside() -> Vec<u8> {
    outer(6081, &[&[0, 0, 8, 0, 0, 0, 100, 0], &inner()[14..]].concat())
}

fn outer(port: u16, payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([6; 6], [8; 6]).ipv4(SOURCE, MONITOR, 255);
    builder.udp(65408, port).write(&mut frame, payload).unwrap();
    frame
}

/// The two fragments of the packet in a frame.
fn fragments(frame: &[u8]) -> [Vec<u8>; 2] {
    let payload = &frame[34..];
    let part = |bytes: &[u8], offset: u16, has_more: bool| {
        let mut part = [&frame[..34], bytes].concat();
        let len = u16::try_from(20 + bytes.len()).unwrap();
        part[16..18].copy_from_slice(&len.to_be_bytes());
        let flags = (u16::from(has_more) << 13) | (offset / 8);
        part[20..22].copy_from_slice(&flags.to_be_bytes());
        part
    };
    [part(&payload[..48], 0, true), part(&payload[48..], 48, false)]
}

/// A capture file in microseconds.
fn capture(link_type: u32, frames: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for field in [0xa1b2_c3d4, 0x0004_0002, 0, 0, 262_144, link_type] {
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

/// Runs the command in a directory with `stdin`.
fn vxtap(directory: &Path, args: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_vxtap"))
        .args(args)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("vxtap runs");
    let written = child.stdin.take().expect("piped").write_all(stdin);
    // A command that is refused does not read it.
    if let Err(error) = written {
        assert_eq!(error.kind(), std::io::ErrorKind::BrokenPipe);
    }
    child.wait_with_output().expect("vxtap ends")
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).expect("UTF-8")
}

/// The result of `vxtap decap` on a file.
struct Decap {
    output: Output,
    /// Link types and frames that were written.
    written: Vec<(LinkType, Vec<u8>)>,
}

fn decap(file: &[u8]) -> Decap {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("in.pcap"), file).unwrap();
    let output = vxtap(directory.path(), &["decap", "in.pcap", "-o", "out.pcapng"], b"");
    let path = directory.path().join("out.pcapng");
    let written = if path.exists() { frames(CaptureFile::open(path).unwrap()) } else { Vec::new() };
    Decap { output, written }
}

fn frames(mut file: CaptureFile) -> Vec<(LinkType, Vec<u8>)> {
    let mut frames = Vec::new();
    while let Some(record) = file.next().unwrap() {
        frames.push((record.link_type, record.captured.to_vec()));
    }
    frames
}

/// Asserts that a file gives the mirrored frame this number of times, and nothing goes wrong.
fn assert_gives(file: &[u8], count: usize) -> Decap {
    let decap = decap(file);
    assert_eq!(text(&decap.output.stderr), "");
    assert_eq!(decap.output.status.code(), Some(0));
    assert_eq!(decap.written, vec![(LinkType::ETHERNET, inner()); count]);
    decap
}

#[test]
fn ip_packets_from_a_tunnel_are_written_as_ethernet_frames() {
    let decap = decap(&capture(1, &[mirrored(4789), ip_inside()]));
    let with_header = [&[0; 12][..], &inner()[12..]].concat();
    let expected = [inner(), with_header].map(|frame| (LinkType::ETHERNET, frame));
    assert_eq!(decap.written, expected);
}

#[test]
fn captures_of_cooked_raw_and_loopback_interfaces_are_read() {
    let packet = mirrored(4789)[14..].to_vec();
    for (link_type, header) in [
        (0, vec![2, 0, 0, 0]),
        (101, vec![]),
        (108, vec![0, 0, 0, 2]),
        (113, [&[0; 14][..], &[8, 0]].concat()),
        (228, vec![]),
        (276, [&[8, 0][..], &[0; 18]].concat()),
    ] {
        let frame = [&header[..], &packet].concat();
        assert_gives(&capture(link_type, &[frame.clone(), frame]), 2);
    }
}

#[test]
fn a_capture_without_ip_is_refused_with_its_name_and_the_output_is_not_touched() {
    let file = capture(105, &[vec![0; 60]]);
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("wlan.pcap"), file).unwrap();
    fs::write(directory.path().join("out.pcapng"), "precious").unwrap();
    fs::write(directory.path().join("c.toml"), "").unwrap();
    for args in
        [["decap", "wlan.pcap", "-o", "out.pcapng"], ["explain", "wlan.pcap", "-c", "c.toml"]]
    {
        let Output { status, stdout, stderr } = vxtap(directory.path(), &args, b"");
        assert_eq!((status.code(), text(&stdout)), (Some(1), ""));
        let expected = "vxtap: wlan.pcap: captured from IEEE 802.11 (link type 105), of which no IP \
                        packets are read; those of Ethernet, raw IP, Linux cooked and BSD loopback \
                        are\n";
        assert_eq!(text(&stderr), expected);
    }
    assert_eq!(fs::read(directory.path().join("out.pcapng")).unwrap(), b"precious");
}

#[test]
fn fragments_are_put_together_in_any_order() {
    let [first, last] = fragments(&mirrored(4789));
    for order in [[first.clone(), last.clone()], [last, first]] {
        let file = capture(1, &order);
        assert_gives(&file, 1);
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join("c.toml"), "").unwrap();
        let output = vxtap(directory.path(), &["explain", "-", "-c", "c.toml"], &file);
        let stdout = text(&output.stdout);
        assert!(stdout.contains("received 2 = accepted 1 + fragment_kept 1\n"), "{stdout}");
    }
}

#[test]
fn frames_to_other_ports_give_a_hint() {
    let file = capture(1, &[mirrored(8472), mirrored(8472), mirrored(4790)]);
    let hint = "vxtap: no frame to the UDP ports 4789, 6081; UDP ports seen most: 8472 (2 frames), \
                4790 (1 frame). capture.ports sets the ports\n";
    let Decap { output, written } = decap(&file);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), hint));
    assert!(written.is_empty());
    let table = text(&output.stdout);
    assert!(
        table.contains("left out: to other ports") && !table.contains("kernel stack"),
        "{table}"
    );
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join("c.toml"), "").unwrap();
    let output = vxtap(directory.path(), &["explain", "-", "-c", "c.toml"], &file);
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(0), hint));
    let mixed = decap_of_mixed_ports();
    assert_eq!(text(&mixed.output.stderr), "", "no hint where a frame is ours");
}

fn decap_of_mixed_ports() -> Decap {
    assert_gives(&capture(1, &[mirrored(4789), mirrored(8472)]), 1)
}

#[test]
fn standard_input_and_output_take_the_place_of_files() {
    let directory = tempfile::tempdir().unwrap();
    let file = capture(1, &[mirrored(4789)]);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&file).unwrap();
    let zstd = compress_to_vec(&file[..], CompressionLevel::Fastest);
    for stdin in [file.clone(), gzip.finish().unwrap(), zstd] {
        let output = vxtap(directory.path(), &["decap", "-", "-o", "-"], &stdin);
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        assert!(text(&output.stderr).contains("received 1 = delivered 1"));
        let stdout = CaptureFile::from_reader("stdout", std::io::Cursor::new(output.stdout));
        assert_eq!(frames(stdout.unwrap()), [(LinkType::ETHERNET, inner())]);
    }
    let config = b"[[session]]\nname = \"web\"\nvni = 100\n";
    fs::write(directory.path().join("in.pcap"), &file).unwrap();
    let output = vxtap(directory.path(), &["explain", "in.pcap", "-c", "-", "--flow"], config);
    assert!(text(&output.stdout).starts_with("web: 192.168.1.1:40000"), "{output:?}");
    let output = vxtap(directory.path(), &["check", "-c", "-"], config);
    assert!(text(&output.stdout).starts_with("standard input is accepted.\n"), "{output:?}");
    let output = vxtap(directory.path(), &["check", "-c", "-"], b"nonsense = 1");
    assert!(
        text(&output.stderr).starts_with("vxtap: standard input:1:1: nonsense: "),
        "{output:?}"
    );
    let output = vxtap(directory.path(), &["explain", "-", "-c", "-"], config);
    let message = "vxtap: standard input is capture and configuration at once: name a file\n";
    assert_eq!((output.status.code(), text(&output.stderr)), (Some(2), message));
    assert!(!directory.path().join("-").exists());
}

#[test]
fn a_frame_that_segmentation_offload_left_without_lengths_is_read() {
    let mut frame = mirrored(4789);
    frame[16..18].fill(0);
    frame[38..40].fill(0);
    let decap = assert_gives(&capture(1, &[frame, mirrored(4789)]), 2);
    let line = "length_filled_in                   1  of these, with an IP or UDP length of zero";
    assert!(text(&decap.output.stdout).contains(line), "{}", text(&decap.output.stdout));
}

#[test]
fn a_frame_as_long_as_ip_allows_is_read_and_a_longer_one_is_counted() {
    let payload = [&[8, 0, 0, 0, 0, 0, 100, 0], &inner()[..14], &vec![0x45; 65_400]].concat();
    let longest = outer(4789, &payload);
    assert!(longest.len() > 65_264);
    let decap = decap(&capture(1, &[longest]));
    assert_eq!((decap.output.status.code(), text(&decap.output.stderr)), (Some(0), ""));
    assert_eq!(decap.written, [(LinkType::ETHERNET, payload[8..].to_vec())]);

    let mut longer = outer(4789, &payload);
    longer[16..18].fill(0);
    longer.resize(66_000, 0x45);
    let decap = self::decap(&capture(1, &[longer]));
    let line = "longer_than_ip                     1  of the malformed ones";
    assert!(text(&decap.output.stdout).contains(line), "{}", text(&decap.output.stdout));
}

#[test]
fn nothing_of_an_output_on_a_full_device_is_written_and_the_message_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let file = capture(1, &[mirrored(4789)]);
    let output = vxtap(directory.path(), &["decap", "-", "-o", "/dev/full"], &file);
    assert_eq!(output.status.code(), Some(1));
    let message = "cannot write /dev/full: No space left on device (os error 28); nothing of it is \
                   written";
    assert!(text(&output.stderr).contains(message), "{}", text(&output.stderr));
}

#[test]
fn a_reader_of_standard_output_that_goes_away_ends_it_without_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    fs::write(directory.path().join("in.pcap"), capture(1, &[mirrored(4789)])).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_vxtap"))
        .args(["decap", "in.pcap", "-o", "-"])
        .current_dir(directory.path())
        .stdout(writer)
        .stderr(Stdio::piped())
        .spawn()
        .and_then(std::process::Child::wait_with_output)
        .expect("vxtap runs");
    let stderr = text(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    assert!(!stderr.contains("vxtap: output"), "{stderr}");
    assert!(!directory.path().join("-").exists());
}
