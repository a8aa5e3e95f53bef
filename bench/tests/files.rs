//! Claim: capture files are written and read without loss, and `vxgen verify` checks their frames.

mod pcapng;
mod support;

use std::num::NonZeroU32;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use vxtap_bench::{
    MirrorSession, Pace, PcapFile, Player, Profile, Totals, Traffic, capture_file, send,
};

use support::{limits, made, per_second, profile};

const EPOCH: Duration = Duration::from_secs(1_700_000_000);

fn write(path: &Path, profile: &Profile, pace: Pace) -> Totals {
    let mut file = PcapFile::create(path, EPOCH).expect("file");
    send(&mut Traffic::new(profile).expect("valid profile"), &mut file, limits(pace), |_| {})
        .expect("written")
}

#[test]
fn a_capture_file_reads_back_with_the_same_frames_and_times() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("out.pcap");
    let profile = profile(2000);
    let totals = write(&path, &profile, per_second(7000));
    let mut expected = made(&profile).into_iter().zip(0_u64..);
    capture_file::read(&path, |packet| {
        let (bytes, n) = expected.next().expect("no more than were made");
        assert_eq!(packet.bytes, bytes);
        assert_eq!(packet.original_len as usize, bytes.len());
        assert_eq!(packet.at, EPOCH + Duration::from_nanos(n * 1_000_000_000 / 7000));
    })
    .expect("a whole file");
    assert!(expected.next().is_none());
    let file_len = std::fs::metadata(&path).expect("file").len();
    assert_eq!(file_len, 24 + 16 * 2000 + totals.outer_bytes);
}

#[test]
fn a_cut_capture_file_gives_what_is_before_the_cut_and_says_where() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("cut.pcap");
    let profile = Profile { sizes: "200".parse().expect("a size"), ..profile(10) };
    write(&path, &profile, Pace::Full);
    let whole = std::fs::read(&path).expect("file");
    std::fs::write(&path, &whole[..whole.len() - 1]).expect("file");
    let mut frames = 0;
    let error = capture_file::read(&path, |_| frames += 1).expect_err("cut");
    assert_eq!(frames, 9);
    let start = format!(
        "{} is damaged or cut off at byte {}, after 9 frames: ",
        path.display(),
        24 + 9 * 266
    );
    assert!(error.to_string().starts_with(&start), "{error}");
}

#[test]
fn a_file_that_is_no_capture_is_refused() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("text");
    std::fs::write(&path, "just some text that is long enough to be a header").expect("file");
    let error = capture_file::read(&path, |_| {}).expect_err("no capture");
    assert_eq!(
        error.to_string(),
        format!("{} is no capture file: vxgen reads pcap and pcapng", path.display())
    );
}

#[test]
fn a_player_repeats_the_files_frames_at_the_files_times() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("in.pcap");
    let profile = profile(100);
    write(&path, &profile, per_second(1000));
    let mut player = Player::open(&path, NonZeroU32::new(2).expect("not zero")).expect("a capture");
    assert_eq!((player.frame_count(), player.cut_count()), (100, 0));
    let copy = dir.path().join("copy.pcap");
    let mut file = PcapFile::create(&copy, EPOCH).expect("file");
    let totals = send(&mut player, &mut file, limits(Pace::Recorded), |_| {}).expect("sent");
    assert_eq!(totals.frames, 200);
    let expected = made(&profile);
    let mut frames = 0_u16;
    capture_file::read(&copy, |packet| {
        assert_eq!(packet.at, EPOCH + Duration::from_millis(frames.into()), "frame {frames}");
        assert_eq!(packet.bytes, expected[usize::from(frames) % 100]);
        frames += 1;
    })
    .expect("a whole file");
    assert_eq!(frames, 200);
}

#[test]
fn a_pcapng_file_gives_times_and_the_sessions_of_its_interfaces() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("in.pcapng");
    let mut file = pcapng::section();
    file.extend(pcapng::interface("VNI 100, source 10.0.1.1"));
    file.extend(pcapng::interface("VNI 7, any source"));
    file.extend(pcapng::frame(1, EPOCH, &[1; 61]));
    file.extend(pcapng::frame(0, EPOCH + Duration::from_nanos(1), &[2; 64]));
    std::fs::write(&path, &file).expect("file");
    let mut seen = Vec::new();
    capture_file::read(&path, |packet| {
        seen.push((packet.at, packet.bytes.to_vec(), packet.session));
    })
    .expect("whole");
    let session = Some("10.0.1.1=100".parse::<MirrorSession>().expect("a session"));
    assert_eq!(
        seen,
        [(EPOCH, vec![1; 61], None), (EPOCH + Duration::from_nanos(1), vec![2; 64], session)]
    );
}

#[test]
fn a_frame_longer_than_the_read_buffer_is_read() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("in.pcapng");
    let mut file = pcapng::section();
    file.extend(pcapng::interface("long"));
    let long = vec![7; 1 << 20];
    file.extend(pcapng::frame(0, EPOCH, &long));
    file.extend(pcapng::frame(0, EPOCH, &[1; 60]));
    std::fs::write(&path, &file).expect("file");
    let mut lens = Vec::new();
    capture_file::read(&path, |packet| lens.push(packet.bytes.len())).expect("whole");
    assert_eq!(lens, [1 << 20, 60]);
}

/// Writes the inner frames of a profile as vxtap would, without those that `keep` refuses.
fn write_inner(path: &Path, profile: &Profile, keep: impl Fn(usize) -> bool) {
    let mut file = pcapng::section();
    for MirrorSession { source, vni } in &profile.sessions {
        file.extend(pcapng::interface(&format!("VNI {vni}, source {source}")));
    }
    let mut traffic = Traffic::new(profile).expect("valid profile");
    let mut frame = Vec::new();
    let mut number = 0;
    while let Some(sent) = traffic.next_frame(&mut frame) {
        if keep(number) {
            let interface = u32::try_from(sent.session).expect("few sessions");
            file.extend(pcapng::frame(interface, EPOCH, &frame[50..]));
        }
        number += 1;
    }
    std::fs::write(path, &file).expect("file");
}

fn vxgen_verify(path: &Path, more: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_vxgen"));
    command.arg("verify").args(more).arg(path).output().expect("vxgen runs")
}

#[test]
fn vxgen_verify_ends_with_0_only_when_every_frame_arrived() {
    let dir = tempfile::tempdir().expect("directory");
    let path = dir.path().join("inner.pcapng");
    write_inner(&path, &profile(1000), |_| true);
    let whole = vxgen_verify(&path, &["--count", "1000"]);
    let text = String::from_utf8_lossy(&whole.stdout);
    assert!(text.ends_with("every frame arrived as it was sent\n"), "{text}");
    assert_eq!(whole.status.code(), Some(0));

    assert_eq!(vxgen_verify(&path, &["--count", "1000", "--seed", "2"]).status.code(), Some(1));
    assert_eq!(vxgen_verify(&path, &["--count", "1000", "--flows", "0"]).status.code(), Some(2));

    write_inner(&path, &profile(1000), |number| number != 999);
    let lost = vxgen_verify(&path, &["--count", "1000"]);
    let text = String::from_utf8_lossy(&lost.stdout);
    assert!(text.contains("missing 1, duplicated 0"), "{text}");
    assert_eq!(lost.status.code(), Some(1));
}
