//! Capture files go through the same pipeline, and need no privileges.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use vxtap::capture_file::CaptureFile;
use vxtap::config::{Output, OutputKind};
use vxtap::ring::Next;
use vxtap::{DropReason, Engine};
use vxtap_bench::profile::Sizes;
use vxtap_bench::{Pace, PcapFile, Profile, SendLimits, Totals, Traffic, Verifier, send};

use vxtap_tests::{TIMEOUT, wait_until};

use super::support::{assert_adds_up, finish, vxtap};

struct Files {
    _directory: tempfile::TempDir,
    mirror: PathBuf,
    ours: PathBuf,
}

/// Writes the traffic of a profile into a capture file.
fn files(profile: &Profile) -> (Files, Totals) {
    let directory = tempfile::tempdir().unwrap();
    let (mirror, ours) =
        (directory.path().join("mirror.pcap"), directory.path().join("ours.pcapng"));
    let mut sink = PcapFile::create(&mirror, Duration::from_secs(1_700_000_000)).unwrap();
    let limits =
        SendLimits { pace: "100kpps".parse::<Pace>().unwrap(), duration: None, stop: None };
    let totals = send(&mut Traffic::new(profile).unwrap(), &mut sink, limits, |_| {}).unwrap();
    (Files { _directory: directory, mirror, ours }, totals)
}

fn decap(files: &Files, more: &[&str]) -> (Option<i32>, String, String) {
    finish(
        Command::new(vxtap()).arg("decap").arg(&files.mirror).arg("-o").arg(&files.ours).args(more),
    )
}

/// Returns timestamps and bytes of the frames in a capture file.
fn frames(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let mut file = CaptureFile::open(path).unwrap();
    let mut frames = Vec::new();
    while let Some(record) = file.next().unwrap() {
        frames.push((record.timestamp_ns, record.captured.to_vec()));
    }
    frames
}

#[test]
fn every_frame_comes_out_whole_in_order_and_at_its_time() {
    let sizes = Sizes::List(vec![60, 1514, 8900, 590]);
    let profile = Profile { count: Some(20_000), sizes, ..Profile::default() };
    let (files, totals) = files(&profile);
    let (code, table, stderr) = decap(&files, &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{table}");
    assert!(table.contains("received 20000 = delivered 20000\n"), "{table}");
    let mut verifier = Verifier::new(&profile).unwrap();
    let (before, after) = (frames(&files.mirror), frames(&files.ours));
    for (_, inner) in &after {
        verifier.inner_frame(inner);
    }
    let verdict = verifier.finish(&totals);
    assert!(verdict.is_perfect(), "{verdict}");
    let times =
        |frames: &[(u64, Vec<u8>)]| frames.iter().map(|(time, _)| *time).collect::<Vec<_>>();
    assert_eq!(times(&after), times(&before));
    let again = fs::read(&files.ours).unwrap();
    decap(&files, &[]);
    assert_eq!(fs::read(&files.ours).unwrap(), again, "the same file again");
}

#[test]
fn a_truncated_file_gives_everything_up_to_the_damage_and_an_error_that_says_where() {
    let profile = Profile { count: Some(1000), ..Profile::default() };
    let (files, _) = files(&profile);
    let whole = fs::read(&files.mirror).unwrap();
    let inner: Vec<_> =
        frames(&files.mirror).into_iter().map(|(_, outer)| outer[50..].to_vec()).collect();
    for cut in [whole.len() - 1, whole.len() / 2, 24 + 16 + 3] {
        fs::write(&files.mirror, &whole[..cut]).unwrap();
        let (code, table, stderr) = decap(&files, &[]);
        assert_eq!(code, Some(1), "{table}");
        let left = frames(&files.ours);
        let left: Vec<_> = left.into_iter().map(|(_, frame)| frame).collect();
        assert_eq!(left, inner[..left.len()]);
        let said = format!("after {} frames", left.len());
        assert!(
            stderr.starts_with("vxtap: ") && stderr.contains("at byte ") && stderr.contains(&said),
            "{stderr}"
        );
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
    }
}

#[test]
fn a_damaged_length_ends_the_reading_where_it_stands() {
    let profile = Profile { count: Some(100), ..Profile::default() };
    let (files, _) = files(&profile);
    let mut bytes = fs::read(&files.mirror).unwrap();
    let second = 24 + 16 + frames(&files.mirror)[0].1.len();
    bytes[second + 8..second + 12].fill(0xff);
    fs::write(&files.mirror, &bytes).unwrap();
    let (code, _, stderr) = decap(&files, &[]);
    assert_eq!(code, Some(1));
    assert!(
        stderr.contains(&format!("at byte {second}")) && stderr.contains("after 1 frame"),
        "{stderr}"
    );
    assert_eq!(frames(&files.ours).len(), 1);
}

#[test]
fn ports_and_sessions_of_a_configuration_count() {
    let mut profile = Profile { count: Some(800), ..Profile::default() };
    profile.outer.port = 8472;
    let (files, _) = files(&profile);
    let (code, table, _) = decap(&files, &[]);
    assert_eq!(code, Some(0));
    assert!(table.contains("not_ours") && table.contains("received 0 = delivered 0"), "{table}");

    let config = files.ours.with_extension("toml");
    let text = "[capture]\nports = [8472]\n[sessions]\nunknown = \"drop\"\n[[session]]\nname = \"web\"\nvni = 103\n";
    fs::write(&config, text).unwrap();
    let (code, table, stderr) = decap(&files, &["-c", config.to_str().unwrap()]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    let web = frames(&files.ours).len();
    assert!((1..800).contains(&web), "{table}");
    assert!(table.contains(&format!("delivered {web} + unknown_session {}", 800 - web)), "{table}");
}

#[test]
fn what_is_no_capture_file_is_refused_and_the_output_is_not_touched() {
    let profile = Profile { count: Some(1), ..Profile::default() };
    let (files, _) = files(&profile);
    fs::write(&files.ours, "precious").unwrap();
    fs::write(&files.mirror, "this is not a capture file at all, but a text").unwrap();
    let (code, _, stderr) = decap(&files, &[]);
    assert_eq!(code, Some(1));
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert_eq!(fs::read_to_string(&files.ours).unwrap(), "precious");
}

#[test]
fn a_frame_that_is_padded_beyond_any_network_is_read() {
    let profile = Profile { count: Some(3), ..Profile::default() };
    let (files, _) = files(&profile);
    let mut bytes = fs::read(&files.mirror).unwrap();
    let mut frame = frames(&files.mirror)[0].1.clone();
    frame.resize(70_000, 0);
    let len = u32::try_from(frame.len()).unwrap().to_le_bytes();
    bytes.extend([[0; 4], [0; 4], len, len].concat());
    bytes.extend(frame);
    fs::write(&files.mirror, bytes).unwrap();
    let (code, table, stderr) = decap(&files, &[]);
    assert_eq!((code, stderr.as_str()), (Some(0), ""), "{table}");
    let frames = frames(&files.ours);
    assert_eq!(frames.len(), 4);
    assert_eq!(frames[3].1, frames[0].1);
}

#[test]
fn an_engine_on_a_file_stops_although_nobody_reads_its_output() {
    let profile = Profile { count: Some(5000), ..Profile::default() };
    let (files, _) = files(&profile);
    for is_taken in [false, true] {
        let mut config = vxtap::Config::default();
        config.outputs.push(Output::new("idle", OutputKind::Consumer));
        let mut engine = Engine::open_capture_file(config, &files.mirror).unwrap();
        let mut consumer = is_taken.then(|| engine.take_consumer("idle").unwrap());
        engine.start().unwrap();
        if let Some(consumer) = &mut consumer {
            // One batch, and no more.
            assert!(matches!(consumer.next(TIMEOUT), Next::Batch(_)));
        }
        if !is_taken {
            wait_until("the end of the file", TIMEOUT, || engine.has_ended()).unwrap();
        }
        let report = engine.stop();
        assert_adds_up(&report);
        let total = report.total();
        if is_taken {
            assert!(total.received.frames < 5000, "the rest is not read:\n{report}");
        } else {
            assert_eq!(
                total.drops.get(DropReason::OutputFull),
                5000,
                "nobody took a frame:\n{report}"
            );
        }
        drop(consumer);
    }
}

#[test]
fn frames_can_go_to_standard_output_and_the_table_then_does_not() {
    let profile = Profile { count: Some(500), ..Profile::default() };
    let (files, _) = files(&profile);
    let ours = fs::File::create(&files.ours).unwrap();
    let mut command = Command::new(vxtap());
    command.arg("decap").arg(&files.mirror).args(["-o", "/dev/stdout"]).stdout(ours);
    let output = command.output().unwrap();
    assert!(output.status.success());
    assert!(String::from_utf8(output.stderr).unwrap().contains("received 500 = delivered 500"));
    assert_eq!(frames(&files.ours).len(), 500);
}
