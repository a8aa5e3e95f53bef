//! Seven typical configurations, the same traffic for each, and the outcome of every frame.
//!
//! For each one the frames that pass are listed here by hand; `vxtap explain` says the same in a
//! text that is compared with `scenarios/NAME.txt`, and `vxtap decap`, the data path, writes the
//! same frames.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

use std::fs;
use std::net::Ipv6Addr;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use etherparse::{EtherType, IpFragOffset, IpNumber, PacketBuilder};
use vxtap::capture_file::CaptureFile;
use vxtap::outputs::pcapng::{CaptureWriter, FrameKey, PcapngFile};
use vxtap::ring::Link;

const ENI_MAC: [u8; 6] = [2, 0xaa, 0xbb, 0xcc, 0xdd, 1];
const ROUTER_MAC: [u8; 6] = [2, 0, 0, 0, 0, 9];
const HOST: [u8; 4] = [10, 0, 1, 5];
const CLIENT: [u8; 4] = [198, 51, 100, 7];
const DATABASE: [u8; 4] = [10, 0, 2, 9];
const AMAZON_DNS: [u8; 4] = [10, 0, 0, 2];
const OTHER_DNS: [u8; 4] = [8, 8, 8, 8];

/// An inner packet to the host or from it.
fn v4(
    source: [u8; 4],
    destination: [u8; 4],
) -> etherparse::PacketBuilderStep<etherparse::IpHeaders> {
    let (from, to) = if source == HOST { (ENI_MAC, ROUTER_MAC) } else { (ROUTER_MAC, ENI_MAC) };
    PacketBuilder::ethernet2(from, to).ipv4(source, destination, 64)
}

fn tcp(source: [u8; 4], destination: [u8; 4], ports: (u16, u16), len: usize) -> Vec<u8> {
    let mut frame = Vec::new();
    v4(source, destination)
        .tcp(ports.0, ports.1, 1, 1024)
        .write(&mut frame, &vec![7; len])
        .unwrap();
    frame
}

fn udp(source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    v4(source, destination).udp(ports.0, ports.1).write(&mut frame, &[7; 30]).unwrap();
    frame
}

fn tcp6(is_out: bool, ports: (u16, u16)) -> Vec<u8> {
    let (host, client): (Ipv6Addr, Ipv6Addr) =
        ("2001:db8:1::5".parse().unwrap(), "2001:db8:f::7".parse().unwrap());
    let (from, to, source, destination) = if is_out {
        (ENI_MAC, ROUTER_MAC, host, client)
    } else {
        (ROUTER_MAC, ENI_MAC, client, host)
    };
    let mut frame = Vec::new();
    let builder =
        PacketBuilder::ethernet2(from, to).ipv6(source.octets(), destination.octets(), 64);
    builder.tcp(ports.0, ports.1, 1, 1024).write(&mut frame, &[7; 40]).unwrap();
    frame
}

fn ping() -> Vec<u8> {
    let mut frame = Vec::new();
    v4(CLIENT, HOST).icmpv4_echo_request(1, 1).write(&mut frame, &[7; 30]).unwrap();
    frame
}

fn arp() -> Vec<u8> {
    [&[0xff; 6][..], &ENI_MAC, &EtherType::ARP.0.to_be_bytes(), &[0; 28]].concat()
}

/// The second fragment of a packet to the web server.
fn fragment() -> Vec<u8> {
    let mut frame = Vec::new();
    let mut ip = etherparse::Ipv4Header::new(100, 64, IpNumber::TCP, CLIENT, HOST).unwrap();
    ip.fragment_offset = IpFragOffset::try_new(185).unwrap();
    let ip = etherparse::IpHeaders::Ipv4(ip, etherparse::Ipv4Extensions::default());
    PacketBuilder::ethernet2(ROUTER_MAC, ENI_MAC)
        .ip(ip)
        .write(&mut frame, IpNumber::TCP, &[7; 100])
        .unwrap();
    frame
}

/// The frames, numbered from 1, each with the VNI that it comes in.
fn traffic() -> Vec<(u8, Vec<u8>)> {
    let in_first_session = [
        /* 1 */ tcp(CLIENT, HOST, (40_000, 443), 60),
        /* 2 */ tcp(HOST, CLIENT, (443, 40_000), 60),
        /* 3 */ tcp(CLIENT, HOST, (40_001, 22), 60),
        /* 4 */ tcp(HOST, CLIENT, (22, 40_001), 60),
        /* 5 */ tcp(HOST, DATABASE, (50_000, 3306), 60),
        /* 6 */ tcp(DATABASE, HOST, (3306, 50_000), 60),
        /* 7 */ udp(HOST, AMAZON_DNS, (50_001, 53)),
        /* 8 */ udp(AMAZON_DNS, HOST, (53, 50_001)),
        /* 9 */ udp(HOST, OTHER_DNS, (50_002, 53)),
        /* 10 */ udp(OTHER_DNS, HOST, (53, 50_002)),
        /* 11 */ ping(),
        /* 12 */ tcp6(false, (40_002, 443)),
        /* 13 */ tcp6(true, (443, 40_002)),
        /* 14 */ arp(),
        /* 15 */ fragment(),
        /* 16 */ tcp(CLIENT, HOST, (40_003, 443), 1000),
    ];
    let in_second = [
        /* 17 */ tcp(DATABASE, HOST, (3306, 50_000), 60),
        /* 18 */ tcp(CLIENT, HOST, (40_004, 443), 60),
    ];
    in_first_session
        .map(|frame| (100, frame))
        .into_iter()
        .chain(in_second.map(|frame| (200, frame)))
        .collect()
}

/// The frames with their tunnel, from the host's address.
fn mirrored() -> Vec<Vec<u8>> {
    let wrap = |(vni, inner): (u8, Vec<u8>)| {
        let mut outer = Vec::new();
        let payload = [&[8, 0, 0, 0, 0, 0, vni, 0], &inner[..]].concat();
        let builder = PacketBuilder::ethernet2([6; 6], [8; 6])
            .ipv4(HOST, [10, 0, 9, 9], 255)
            .udp(65408, 4789);
        builder.write(&mut outer, &payload).unwrap();
        outer
    };
    traffic().into_iter().map(wrap).collect()
}

/// The mirrored traffic as a capture file.
fn capture(directory: &Path) -> PathBuf {
    let path = directory.join("mirror.pcapng");
    let file = PcapngFile::create(&path, std::time::Instant::now()).unwrap();
    let mut writer = CaptureWriter::new(file, &[]).unwrap();
    let key =
        FrameKey { session: 0, source: HOST.into(), vni: 0, direction: None, link: Link::Ethernet };
    for (number, frame) in (1..).zip(mirrored()) {
        let len = u32::try_from(frame.len()).unwrap();
        writer.packet(key, number, len, std::iter::once(&frame[..])).unwrap();
    }
    writer
        .finish(None, |_, written| vxtap::outputs::pcapng::InterfaceTotals {
            received: written,
            accepted: written,
            dropped: 0,
        })
        .unwrap();
    path
}

fn vxtap(arguments: &[&str], directory: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_vxtap"))
        .args(arguments)
        .current_dir(directory)
        .output()
        .expect("vxtap runs")
}

fn stdout(arguments: &[&str], directory: &Path) -> String {
    let output = vxtap(arguments, directory);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}

/// Explains the traffic by the scenario, in text and as objects, and runs it through the data path.
fn check(scenario: &str, accepted: &[u64]) {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let directory = tempfile::tempdir().unwrap();
    capture(directory.path());
    let config = home.join(scenario).with_extension("toml");
    let config = config.to_str().unwrap();

    let objects = stdout(&["explain", "mirror.pcapng", "-c", config, "--json"], directory.path());
    let objects: Vec<serde_json::Value> =
        objects.lines().map(|line| serde_json::from_str(line).expect("an object")).collect();
    let passed = objects
        .iter()
        .filter(|it| it["verdict"] == "accept")
        .map(|it| it["frame"].as_u64().unwrap());
    assert_eq!(passed.collect::<Vec<_>>(), accepted, "{scenario}");

    stdout(&["decap", "mirror.pcapng", "-o", "out.pcapng", "-c", config], directory.path());
    let mut file = CaptureFile::open(directory.path().join("out.pcapng")).unwrap();
    let frames = traffic();
    for number in accepted {
        let object = &objects[usize::try_from(*number).unwrap() - 1];
        let frame = &frames[usize::try_from(*number).unwrap() - 1].1;
        let captured = usize::try_from(object["captured"].as_u64().unwrap()).unwrap();
        let record =
            file.next().unwrap().unwrap_or_else(|| panic!("{scenario}: frame {number} is missing"));
        assert_eq!(record.captured, &frame[..captured], "{scenario}: frame {number}");
        assert_eq!(u64::from(record.original_len), object["original"].as_u64().unwrap());
        assert_eq!(record.original_len as usize, frame.len());
    }
    assert!(file.next().unwrap().is_none(), "{scenario}: more than was accepted");

    let text = stdout(&["explain", "mirror.pcapng", "-c", config], directory.path());
    let golden = home.join(scenario).with_extension("txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &text).unwrap();
    }
    let expected = fs::read_to_string(&golden).expect("the expected text");
    assert_eq!(text, expected, "{scenario}; UPDATE_GOLDEN=1 writes the new text, for you to read");
}

#[test]
fn capture_all() {
    check("capture_all", &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 15, 16, 17, 18]);
}

#[test]
fn tcp_without_ssh() {
    check("tcp_without_ssh", &[1, 2, 5, 6, 15, 16, 17, 18]);
}

#[test]
fn web_and_database_ports() {
    check("web_and_database", &[1, 2, 5, 6, 16, 17, 18]);
}

#[test]
fn dns_egress() {
    check("dns_egress", &[7, 8, 9, 17, 18]);
}

#[test]
fn ipv6_rules_beside_ipv4() {
    check("ipv6_beside_ipv4", &[1, 12, 13, 16, 17, 18]);
}

#[test]
fn headers_only() {
    check("headers_only", &[1, 2, 3, 4, 5, 6, 9, 10, 11, 12, 13, 15, 16, 17, 18]);
}

#[test]
fn two_sessions_of_one_interface() {
    check("two_sessions", &[1, 2, 16, 17]);
}
