//! Tunnels of the Linux kernel as senders: two hosts talk TCP through one, and the engine sees both
//! directions.
//!
//! ```text
//!   left ── hub ── right      the hub, a bridge that learns nothing, gives the monitor a copy of every frame
//!            │
//!         monitor             engine
//! ```

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::path::Path;
use std::process::{Command, Stdio};
use std::thread;

use nix::sys::signal::Signal;
use vxtap::Engine;
use vxtap::capture_file::{CaptureFile, CaptureFileError};
use vxtap::config::{CaptureMode, Output, OutputKind};
use vxtap::ring::Encapsulation;
use vxtap_tests::{NetNs, Process, TIMEOUT, capture, privileged, wait_until};

use super::support::{Got, OUTPUT, assert_adds_up, config, read_all};

/// Bytes that go through the tunnel in each direction.
const LEN: usize = 200_000;
const VNI: u32 = 77;
/// Length of the headers that the kernel adds: Ethernet, IPv4, UDP, and VXLAN or GENEVE without
/// options.
const OUTER_LEN: usize = 14 + 20 + 8 + 8;
/// UDP port of the last frame that a host sends (discard, RFC 863).
const LAST_PORT: u16 = 9;

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
            ip(host, &format!("address add 192.0.2.{own}/24 broadcast + dev eth0"));
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

    /// Takes both tunnels down and has both hosts send a last frame: those of the tunnels come
    /// before.
    fn end(&self) {
        for (host, own) in [(&self.left, 1), (&self.right, 2)] {
            ip(host, "link set tunnel down");
            let socket = host.run(|| UdpSocket::bind(format!("192.0.2.{own}:0"))).unwrap();
            socket.set_broadcast(true).unwrap();
            socket.send_to(b"the last frame", ("192.0.2.255", LAST_PORT)).unwrap();
        }
    }
}

fn ip(netns: &NetNs, line: &str) {
    netns.ip(&line.split(' ').collect::<Vec<_>>()).unwrap();
}

/// Counts equal frames: a hub floods frames of different ports in no defined order.
fn counted<T: Ord>(frames: impl IntoIterator<Item = T>) -> BTreeMap<T, usize> {
    let mut counts = BTreeMap::new();
    frames.into_iter().for_each(|frame| *counts.entry(frame).or_default() += 1);
    counts
}

/// Returns the frames in a capture file that are for a UDP port; the file may still grow.
fn frames_to(port: u16, wire: &Path) -> Vec<Vec<u8>> {
    let mut file = CaptureFile::open(wire).unwrap();
    let mut frames = Vec::new();
    loop {
        match file.next() {
            Ok(Some(record)) if record.captured.get(36..38) == Some(&port.to_be_bytes()) => {
                frames.push(record.captured.to_vec());
            }
            Ok(Some(_)) => {}
            Ok(None) | Err(CaptureFileError::EndsInRecord { .. }) => return frames,
            Err(error) => panic!("{error}"),
        }
    }
}

/// Returns the frames inside the tunnel, of the frames in a capture file that are for its port.
fn inner_frames(wire: &Path, port: u16) -> BTreeMap<Vec<u8>, usize> {
    counted(frames_to(port, wire).into_iter().map(|frame| frame[OUTER_LEN..].to_vec()))
}

/// Runs the engine while two hosts talk; returns the frames that came out. The file `wire.pcap` has
/// the frames on the wire as tcpdump saw them, `ours.pcapng` is the engine's own file.
fn watch(directory: &Path, kind: &str, port: u16) -> Vec<Got> {
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
    wait_until("tcpdump's file", TIMEOUT, || seen.metadata().is_ok_and(|file| file.len() >= 24))
        .unwrap();
    wire.join(kind);
    wire.talk();
    wire.end();
    wait_until("the last frames", TIMEOUT, || frames_to(LAST_PORT, &seen).len() == 2).unwrap();
    let on_the_wire = frames_to(port, &seen).len() as u64;
    wait_until("all frames to be received", TIMEOUT, || {
        engine.report().total().received.frames == on_the_wire
    })
    .unwrap_or_else(|error| panic!("{error}: {on_the_wire}\n{}", engine.report()));
    tcpdump.signal(Signal::SIGTERM).unwrap();
    tcpdump.wait(TIMEOUT).unwrap();
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
    let got = watch(directory.path(), "vxlan", 4789);
    assert_same_as_on_the_wire(directory.path(), &got, 4789, Encapsulation::Vxlan);
    let ours = innermost(&directory.path().join("ours.pcapng"), "ip");
    assert_eq!(ours, innermost(&directory.path().join("wire.pcap"), "vxlan && tcp"));
    assert!(ours.values().sum::<usize>() > 2 * LEN / 1500);
}

/// Returns the innermost addresses, ports, sequence numbers and lengths of the TCP segments in a
/// file, as tshark sees them.
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

/// Only in a guest: the host's kernel may have no GENEVE interfaces.
#[test]
#[ignore = "requires CAP_NET_ADMIN, CAP_BPF, network namespaces and geneve; run by cargo xtask test --vm"]
fn geneve_comes_out_as_it_is_on_the_wire() {
    privileged();
    let directory = tempfile::tempdir().unwrap();
    let got = watch(directory.path(), "geneve", 6081);
    assert_same_as_on_the_wire(directory.path(), &got, 6081, Encapsulation::Geneve);
}
