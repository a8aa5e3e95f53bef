//! Linux's own tunnels as senders: two hosts talk TCP through one, and the engine sees both
//! directions of it.
//!
//! ```text
//!   left ── hub ── right      the hub, a bridge that learns nothing, gives the monitor a copy of every frame
//!            │
//!         monitor             engine
//! ```

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use vxtap::Engine;
use vxtap::capture_file::CaptureFile;
use vxtap::config::{CaptureMode, Output, OutputKind};
use vxtap::ring::Encapsulation;
use vxtap_tests::{NetNs, Process, capture, privileged, wait_until};

use super::support::{Got, OUTPUT, assert_adds_up, config, read_all};

const SOON: Duration = Duration::from_secs(20);
/// Bytes that go through the tunnel in each direction.
const LEN: usize = 200_000;
const VNI: u32 = 77;
/// Ethernet, IPv4, UDP, and VXLAN or GENEVE without options: what the kernel puts in front.
const OUTER_LEN: usize = 14 + 20 + 8 + 8;

/// Three hosts on a hub.
struct Wire {
    hub: NetNs,
    left: NetNs,
    right: NetNs,
    monitor: NetNs,
}

impl Wire {
    fn new() -> Self {
        let [hub, left, right, monitor] = [(); 4].map(|()| NetNs::new().unwrap());
        ip(&hub, "link add hub type bridge ageing_time 0 mcast_snooping 0");
        ip(&hub, "link set hub mtu 1600 up");
        for (name, host) in [("left", &left), ("right", &right), ("monitor", &monitor)] {
            ip(
                &hub,
                &format!(
                    "link add {name} mtu 1600 type veth peer name eth0 mtu 1600 netns {}",
                    host.name()
                ),
            );
            ip(&hub, &format!("link set {name} master hub up"));
            ip(host, "link set eth0 up");
            // Whole checksums and frames as on a wire.
            for (netns, device) in [(&hub, name), (host, "eth0")] {
                let offloads =
                    ["-K", device, "tx", "off", "gso", "off", "tso", "off", "gro", "off"];
                capture(netns.command("ethtool").args(offloads)).unwrap();
            }
        }
        Self { hub, left, right, monitor }
    }

    /// Gives both hosts a tunnel of this type to each other.
    fn join(&self, kind: &str) {
        for (host, own, other) in [(&self.left, 1, 2), (&self.right, 2, 1)] {
            ip(host, &format!("address add 192.0.2.{own}/24 dev eth0"));
            let tunnel = match kind {
                "vxlan" => {
                    format!(
                        "vxlan id {VNI} local 192.0.2.{own} remote 192.0.2.{other} dstport 4789 dev eth0"
                    )
                }
                _ => format!("geneve id {VNI} remote 192.0.2.{other} dstport 6081"),
            };
            ip(host, &format!("link add tunnel mtu 1450 type {tunnel}"));
            ip(host, "link set tunnel up");
            capture(
                host.command("ethtool")
                    .args(["-K", "tunnel", "tx", "off", "gso", "off", "tso", "off"]),
            )
            .unwrap();
            ip(host, &format!("address add 10.9.0.{own}/24 dev tunnel"));
        }
    }

    /// Sends [`LEN`] bytes from left to right and back.
    fn talk(&self) {
        let listener = self.right.run(|| TcpListener::bind("10.9.0.2:7000")).unwrap();
        let echo = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut bytes = vec![0; LEN];
            stream.read_exact(&mut bytes).unwrap();
            stream.write_all(&bytes).unwrap();
        });
        let sent: Vec<u8> = (0..=250).cycle().take(LEN).collect();
        let mut stream = self.left.run(|| TcpStream::connect("10.9.0.2:7000")).unwrap();
        stream.write_all(&sent).unwrap();
        let mut received = vec![0; LEN];
        stream.read_exact(&mut received).unwrap();
        assert!(received == sent);
        echo.join().unwrap();
    }
}

fn ip(netns: &NetNs, line: &str) {
    netns.ip(&line.split(' ').collect::<Vec<_>>()).unwrap();
}

/// Frames by their bytes, with how often each came: a hub sends what it floods in no order between
/// its ports.
fn counted<T: Ord>(frames: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    frames.into_iter().for_each(|frame| *counts.entry(frame).or_default() += 1);
    counts
}

/// What is in the tunnel, of the frames in a capture file that are for its port.
fn inner_frames(wire: &Path, port: u16) -> BTreeMap<Vec<u8>, usize> {
    let mut file = CaptureFile::open(wire).unwrap();
    let mut frames = Vec::new();
    while let Some(record) = file.next().unwrap() {
        if record.captured.get(36..38) == Some(&port.to_be_bytes()) {
            frames.push(record.captured[OUTER_LEN..].to_vec());
        }
    }
    counted(frames)
}

/// Runs the engine while two hosts talk; returns what came out, with the wire as tcpdump saw it in
/// `wire.pcap` and the engine's own file in `ours.pcapng`.
fn watch(directory: &Path, kind: &str) -> Vec<Got> {
    let wire = Wire::new();
    let mut config = config(&["eth0"]);
    config.capture.mode = CaptureMode::Native;
    let path = directory.join("ours.pcapng");
    config.outputs.push(Output::new("file", OutputKind::pcapng(path)));
    let mut engine = wire.monitor.run(|| Engine::open(config)).unwrap();
    let reader = read_all(engine.take_consumer(OUTPUT).unwrap());
    engine.start().unwrap();
    let seen = directory.join("wire.pcap");
    let mut tcpdump = wire.hub.command("tcpdump");
    tcpdump
        .args([
            "-i",
            "monitor",
            "-Q",
            "out",
            "-U",
            "--immediate-mode",
            "-B",
            "65536",
            "-Z",
            "root",
            "-w",
        ])
        .arg(&seen);
    let mut tcpdump = Process::spawn("tcpdump", tcpdump.stderr(Stdio::null())).unwrap();
    wait_until("tcpdump's file", SOON, || seen.metadata().is_ok_and(|file| file.len() >= 24))
        .unwrap();
    wire.join(kind);
    wire.talk();
    thread::sleep(Duration::from_millis(300));
    tcpdump.signal(Signal::SIGTERM).unwrap();
    tcpdump.wait(SOON).unwrap();
    let report = engine.stop();
    assert_adds_up(&report);
    reader.join().unwrap()
}

fn assert_same_as_on_the_wire(
    directory: &Path,
    got: &[Got],
    port: u16,
    encapsulation: Encapsulation,
) {
    assert!(got.len() > 2 * LEN / 1500, "{} frames", got.len());
    for got in got {
        assert_eq!((got.vni, got.encapsulation), (VNI, encapsulation));
        assert_eq!(got.original_len as usize, got.bytes.len());
    }
    let ours = counted(got.iter().map(|got| got.bytes.clone()));
    let wire = inner_frames(&directory.join("wire.pcap"), port);
    assert!(ours == wire, "{} different frames, {} on the wire", ours.len(), wire.len());
}

#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, network namespaces and tshark"]
fn vxlan_comes_out_as_tshark_sees_it_on_the_wire() {
    privileged();
    let directory = tempfile::tempdir().unwrap();
    let got = watch(directory.path(), "vxlan");
    assert_same_as_on_the_wire(directory.path(), &got, 4789, Encapsulation::Vxlan);
    let ours = innermost(&directory.path().join("ours.pcapng"), "ip");
    assert_eq!(ours, innermost(&directory.path().join("wire.pcap"), "vxlan && tcp"));
    assert!(ours.values().sum::<usize>() > 2 * LEN / 1500);
}

/// What tshark says of the innermost addresses, ports, sequence numbers and lengths of the TCP
/// segments in a file.
fn innermost(path: &Path, filter: &str) -> BTreeMap<String, usize> {
    let mut tshark = Command::new("tshark");
    tshark.arg("-r").arg(path).args(["-Y", filter, "-T", "fields", "-E", "occurrence=l"]);
    for field in
        ["ip.src", "ip.dst", "tcp.srcport", "tcp.dstport", "tcp.seq_raw", "tcp.len", "tcp.checksum"]
    {
        tshark.args(["-e", field]);
    }
    counted(capture(&mut tshark).unwrap().lines().map(str::to_owned))
}

/// The kernel that this runs on may have no GENEVE interfaces.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, network namespaces and geneve; run by cargo xtask test --vm"]
fn geneve_comes_out_as_it_is_on_the_wire() {
    privileged();
    let directory = tempfile::tempdir().unwrap();
    let got = watch(directory.path(), "geneve");
    assert_same_as_on_the_wire(directory.path(), &got, 6081, Encapsulation::Geneve);
}
