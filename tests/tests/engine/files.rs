//! Other programs can read the files at any moment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use vxtap::Config;
use vxtap::capture_file::CaptureFile;
use vxtap::config::{Output, OutputKind};
use vxtap_bench::{Pace, PcapFile, Profile, SendLimits, Traffic, send};
use vxtap_tests::{Process, Stopwatch, TIMEOUT, Veth, capture, privileged, wait_until};

use super::support::{
    assert_adds_up, config, declared, finish, frames_so_far, open, send_traffic, stop_after, vxtap,
};

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
    let reader = thread::spawn(move || {
        let (mut counts, mut read_len, mut last_len) = (vec![0], 0, 0);
        wait_until("all frames in the file", TIMEOUT, || {
            // Reading takes its time: not for each write, but for each MiB, and for the rest when
            // there are no more writes.
            let len = path.metadata().unwrap().len();
            let is_quiet = len == std::mem::replace(&mut last_len, len);
            if len > read_len + (if is_quiet { 0 } else { 1 << 20 }) {
                read_len = len;
                counts.push(frames_so_far(&path));
            }
            counts.last() == Some(&60_000)
        })
        .unwrap_or_else(|error| panic!("{error}: {counts:?}"));
        counts
    });
    send_traffic(&veth.sender, &profile, 15_000);
    let watch = Stopwatch::start();
    let counts = reader.join().unwrap();
    // At most a second after the last frame; the rest is for reading the file.
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
    assert!(counts.is_sorted(), "what was there stays: {counts:?}");
    let different = counts.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(different >= 3, "it grew under the reader's eyes: {counts:?}");
    assert_adds_up(&engine.stop());
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
    wait_until("tcpdump to have written all frames", TIMEOUT, || frames_so_far(&mirror) >= 3000)
        .unwrap();
    tcpdump.signal(Signal::SIGINT).unwrap();
    tcpdump.wait(TIMEOUT).unwrap();
    let report = stop_after(engine, 3000);
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

/// Starts tcpdump on the sending end; it listens when this returns.
fn listen(veth: &Veth, path: &Path) -> Process {
    let mut command = veth.sender.netns.command("tcpdump");
    command
        .args(["-i", veth.sender.interface, "-U", "-B", "32768", "--immediate-mode", "-w"])
        .arg(path);
    let tcpdump =
        Process::spawn("tcpdump", command.args(["udp", "port", "4789"]).stderr(Stdio::null()))
            .unwrap();
    wait_until("tcpdump to open its file", TIMEOUT, || {
        path.metadata().is_ok_and(|file| file.len() >= 24)
    })
    .unwrap();
    tcpdump
}

/// Returns the bytes of the frames in a capture file, as tshark gives them in hexadecimal.
fn whole_frames(path: &Path) -> Vec<String> {
    raw(path).into_iter().map(|layers| layers.frame).collect()
}

/// Returns the bytes from the inner Ethernet header, where tshark sees it, to the end of each
/// frame.
fn inner_frames(path: &Path) -> Vec<String> {
    raw(path).into_iter().map(|layers| layers.frame[2 * layers.ethernet[1]..].to_owned()).collect()
}

/// A frame as tshark sees it: its bytes, and the offset of each Ethernet header.
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
    wait_until("the file", TIMEOUT, || file_in(directory.path()).is_some()).unwrap();
    let path = file_in(directory.path()).unwrap();
    // The first frames may come before the sockets are in the map; such a frame goes to the stack.
    let profile = Profile { count: Some(800), ..Profile::default() };
    wait_until("the first frame in the file", TIMEOUT, || {
        send_traffic(&veth.sender, &profile, 4000);
        CaptureFile::open(&path).is_ok_and(|mut file| matches!(file.next(), Ok(Some(_))))
    })
    .unwrap();
    process.signal(Signal::SIGTERM).unwrap();
    assert!(process.wait(TIMEOUT).unwrap().success());
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
