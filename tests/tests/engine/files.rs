//! Other programs read the files, at any moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use vxtap::Config;
use vxtap::capture_file::{CaptureFile, CaptureFileError};
use vxtap::config::{Output, OutputKind};
use vxtap_bench::{Pace, PcapFile, Profile, SendLimits, Traffic, send};
use vxtap_tests::{Process, Veth, capture, privileged, wait_until};

use super::support::{SOON, assert_adds_up, config, declared, finish, open, send_traffic, vxtap};

fn pcapng_config(veth: &Veth, path: &Path) -> Config {
    let mut config = config(&veth.receiver);
    config.outputs = vec![Output::new("file", OutputKind::pcapng(path))];
    config
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn a_reader_finds_the_file_whole_at_any_moment_and_at_most_a_second_behind() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("live.pcapng");
    let profile = Profile { count: Some(60_000), ..Profile::default() };
    let mut engine = open(&veth.receiver, pcapng_config(&veth, &path));
    engine.start().unwrap();
    let reader = {
        let path = path.clone();
        thread::spawn(move || {
            let mut counts = Vec::new();
            let start = Instant::now();
            while counts.last().is_none_or(|&(_, count)| count < 60_000)
                && start.elapsed() < 3 * SOON
            {
                counts.push((start.elapsed(), frames_in(&path)));
                thread::sleep(Duration::from_millis(50));
            }
            counts
        })
    };
    send_traffic(&veth.sender, &profile, 15_000);
    // At most a second after the last frame; the rest is for a machine that stands still.
    wait_until("all frames in the file", Duration::from_secs(3), || frames_in(&path) == 60_000)
        .unwrap();
    let counts = reader.join().unwrap();
    assert!(counts.is_sorted_by_key(|&(_, count)| count), "what was there stays: {counts:?}");
    let different = counts.windows(2).filter(|pair| pair[0].1 != pair[1].1).count();
    assert!(different >= 3, "it grew under the reader's eyes: {counts:?}");
    assert_adds_up(&engine.stop());
}

/// Number of whole frames. A write that is under way may end in the middle of one, since the system
/// does not make a write visible all at once; nothing else may be wrong.
fn frames_in(path: &Path) -> u64 {
    let mut file = CaptureFile::open(path).unwrap();
    loop {
        match file.next() {
            Ok(Some(_)) => {}
            Ok(None) | Err(CaptureFileError::EndsInRecord { .. }) => return file.frames(),
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn tshark_finds_the_same_frames_in_our_file_as_inside_the_vxlan_of_the_same_traffic() {
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let (ours, mirror) =
        (directory.path().join("ours.pcapng"), directory.path().join("mirror.pcap"));
    let profile = Profile { count: Some(3000), ..Profile::default() };
    let mut config = pcapng_config(&veth, &ours);
    config.sessions = declared(&profile);
    let mut tcpdump = listen(&veth, &mirror);
    let mut engine = open(&veth.receiver, config);
    engine.start().unwrap();
    send_traffic(&veth.sender, &profile, 5000);
    wait_until("tcpdump to have written all frames", SOON, || {
        CaptureFile::open(&mirror).is_ok_and(|mut file| {
            while matches!(file.next(), Ok(Some(_))) {}
            file.frames() >= 3000
        })
    })
    .unwrap();
    tcpdump.signal(Signal::SIGINT).unwrap();
    tcpdump.wait(SOON).unwrap();
    let report = engine.stop();
    assert_adds_up(&report);

    let inside = count(inner_frames(&mirror));
    let decapsulated = count(whole_frames(&ours));
    assert_eq!(inside.values().sum::<usize>(), 3000);
    assert_eq!(decapsulated, inside);

    let text = capture(Command::new("tcpdump").arg("-nr").arg(&ours)).unwrap();
    assert_eq!(text.lines().count(), 3000);
    let verbose =
        capture(Command::new("tshark").arg("-r").arg(&ours).args(["-Y", "_ws.malformed"])).unwrap();
    assert_eq!(verbose, "", "nothing in it is malformed");
    let info = capture(Command::new("capinfos").arg(&ours)).unwrap();
    assert!(
        info.contains("Number of packets:   3000") && info.contains("Name = session-7"),
        "{info}"
    );
    assert!(info.contains("Description = VNI 107, source 10.0.1.8"), "{info}");
}

/// tcpdump on the sending end, listening when this returns.
fn listen(veth: &Veth, path: &Path) -> Process {
    let mut command = veth.sender.netns.command("tcpdump");
    command
        .args(["-i", veth.sender.interface, "-U", "-B", "32768", "--immediate-mode", "-w"])
        .arg(path);
    let tcpdump =
        Process::spawn("tcpdump", command.args(["udp", "port", "4789"]).stderr(Stdio::null()))
            .unwrap();
    wait_until("tcpdump to open its file", SOON, || {
        path.metadata().is_ok_and(|file| file.len() >= 24)
    })
    .unwrap();
    tcpdump
}

/// The bytes of the frames in a capture file, as tshark gives them in hexadecimal.
fn whole_frames(path: &Path) -> Vec<String> {
    raw(path).into_iter().map(|layers| layers.frame).collect()
}

/// From where tshark sees the inner Ethernet header to the end of the frame.
fn inner_frames(path: &Path) -> Vec<String> {
    raw(path).into_iter().map(|layers| layers.frame[2 * layers.ethernet[1]..].to_owned()).collect()
}

/// What tshark says of a frame: its bytes, and the offset of each Ethernet header.
struct Layers {
    frame: String,
    ethernet: Vec<usize>,
}

fn raw(path: &Path) -> Vec<Layers> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(path).args(["-T", "jsonraw", "--no-duplicate-keys", "-J", "frame eth"]);
    let json: serde_json::Value = serde_json::from_str(&capture(&mut tshark).unwrap()).unwrap();
    let layers = |packet: &serde_json::Value| {
        let layers = &packet["_source"]["layers"];
        let ethernet = &layers["eth_raw"];
        // [bytes, offset, length, mask, type], or a list of those.
        let offset = |raw: &serde_json::Value| usize::try_from(raw[1].as_u64().unwrap()).unwrap();
        let ethernet = if ethernet[0].is_array() {
            ethernet.as_array().unwrap().iter().map(offset).collect()
        } else {
            vec![offset(ethernet)]
        };
        Layers { frame: layers["frame_raw"][0].as_str().unwrap().to_owned(), ethernet }
    };
    json.as_array().unwrap().iter().map(layers).collect()
}

fn count(frames: Vec<String>) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for frame in frames {
        *counts.entry(frame).or_default() += 1;
    }
    counts
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF and network namespaces"]
fn without_a_configuration_every_pair_has_an_interface_of_its_own_in_a_private_file() {
    use std::os::unix::fs::PermissionsExt;
    privileged();
    let veth = Veth::pair(2).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let mut command = veth.receiver.netns.command(vxtap());
    command.args(["run", "-i", veth.receiver.interface]).current_dir(directory.path());
    let mut process =
        Process::spawn("vxtap", command.stdout(Stdio::null()).stderr(Stdio::null())).unwrap();
    wait_until("the file", SOON, || file_in(directory.path()).is_some()).unwrap();
    let path = file_in(directory.path()).unwrap();
    // The first frames may come before the sockets are in the map; such a frame goes to the stack.
    let profile = Profile { count: Some(800), ..Profile::default() };
    wait_until("the first frame in the file", SOON, || {
        send_traffic(&veth.sender, &profile, 4000);
        CaptureFile::open(&path).is_ok_and(|mut file| matches!(file.next(), Ok(Some(_))))
    })
    .unwrap();
    process.signal(Signal::SIGTERM).unwrap();
    assert!(process.wait(SOON).unwrap().success());
    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let name = path.file_name().unwrap().to_str().unwrap();
    assert!(name.starts_with("vxtap-vxrx0-2") && name.ends_with("Z.pcapng"), "{name}");
    let info = capture(Command::new("capinfos").arg(&path)).unwrap();
    for number in 0..8 {
        let interface = format!("Name = vni-{}@10.0.1.{}", 100 + number, 1 + number);
        assert!(info.contains(&interface), "{interface}: {info}");
    }
}

fn file_in(directory: &Path) -> Option<PathBuf> {
    directory.read_dir().unwrap().next().map(|entry| entry.unwrap().path())
}

/// Needs tshark, but no privileges.
#[test]
#[ignore = "requires tshark, which cargo xtask setup installs"]
fn tshark_finds_the_same_frames_after_vxtap_decap() {
    let directory = tempfile::tempdir().unwrap();
    let (mirror, ours) =
        (directory.path().join("mirror.pcap"), directory.path().join("ours.pcapng"));
    let profile = Profile { count: Some(2000), ..Profile::default() };
    let mut sink = PcapFile::create(&mirror, Duration::from_secs(1_700_000_000)).unwrap();
    let limits = SendLimits { pace: Pace::Full, duration: None, stop: None };
    send(&mut Traffic::new(&profile).unwrap(), &mut sink, limits, |_| {}).unwrap();
    drop(sink);
    let (code, _, stderr) =
        finish(Command::new(vxtap()).arg("decap").arg(&mirror).arg("-o").arg(&ours));
    assert_eq!((code, stderr.as_str()), (Some(0), ""));
    assert_eq!(whole_frames(&ours), inner_frames(&mirror), "the same frames in the same order");
}
