//! Claim: if kernel and driver can do zero-copy, the NIC writes mirrored frames into the engine's
//! memory and they come out as they were sent; if they cannot, the engine falls back to another
//! mode and says why.
//!
//! For a guest that was booted for it (`cargo xtask test --vm`): frames that are sent into `eth0`
//! arrive at `eth1`, a virtio NIC with two queues. The environment variables `VXTAP_MODE` and
//! `VXTAP_JUMBO_MODE` give the capture mode that is expected of the guest's kernel.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails right there")]

#[path = "../wire/frames.rs"]
#[expect(dead_code, reason = "the wire tests use the rest")]
mod frames;

use std::fs::{self, File};
use std::net::Ipv4Addr;
use std::num::NonZeroU64;
use std::process::Command;
use std::time::Duration;

use rustix::fs::{SealFlags, fcntl_get_seals};
use vxtap::Engine;
use vxtap::config::{CaptureMode, Config, Output, OutputKind};
use vxtap::engine::Report;
use vxtap::ring::{Encapsulation, Next};
use vxtap_bench::send::FrameSource;
use vxtap_bench::sink::Label;
use vxtap_bench::{Pace, PacketSocket, SendLimits, send};
use vxtap_tests::{NetNs, TIMEOUT, Veth, VethOptions, capture, privileged, wait_until};

use frames::{Case, Inside, Mirrored};

const SENDER: &str = "eth0";
const RECEIVER: &str = "eth1";
/// Frames per second.
const PACE: NonZeroU64 = NonZeroU64::new(1000).unwrap();

/// Returns the capture mode that is expected of the kernel, from the environment.
fn expected(variable: &str) -> String {
    std::env::var(variable).unwrap_or_else(|_| panic!("{variable} is set in the guest"))
}

fn config(interface: &str) -> Config {
    let mut config = Config::default();
    config.capture.interfaces = vec![interface.to_owned()];
    config.memory.per_queue_mib = 16;
    config.memory.fill_ring = 1024;
    config.memory.rx_ring = 1024;
    config.outputs.push(Output::new("test", OutputKind::Consumer));
    config
}

/// Sets the number of queues, and waits until both ends have a carrier again.
fn with_queues(count: u32) {
    let count = count.to_string();
    // Fails if there are so many already.
    let _ = Command::new("ethtool").args(["-L", RECEIVER, "combined", &count]).status();
    wait_for_carriers();
}

/// Some drivers take the link down when a program or a socket comes.
fn wait_for_carriers() {
    for interface in [SENDER, RECEIVER] {
        capture(Command::new("ip").args(["link", "set", interface, "up"])).unwrap();
        let carrier = format!("/sys/class/net/{interface}/carrier");
        wait_until(&format!("the carrier of {interface}"), TIMEOUT, || {
            fs::read_to_string(&carrier).is_ok_and(|text| text.trim() == "1")
        })
        .unwrap();
    }
}

/// Returns the destination MAC address of the frames.
fn receiver_mac() -> [u8; 6] {
    let text = fs::read_to_string(format!("/sys/class/net/{RECEIVER}/address")).unwrap();
    let bytes: Vec<u8> =
        text.trim().split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
    bytes.try_into().unwrap()
}

/// Builds 500 mirrored frames of several kinds. Their outer sources differ, so that they spread
/// over the queues.
fn mirrored() -> Vec<Mirrored> {
    let mac = receiver_mac();
    let encapsulations = [Encapsulation::Vxlan, Encapsulation::Geneve, Encapsulation::GeneveVxlan];
    let insides = [Inside::V4, Inside::V6, Inside::Arp, Inside::Vlan];
    let case = |number: u16| Case {
        encapsulation: encapsulations[usize::from(number) % 3],
        outer_is_v6: number.is_multiple_of(5),
        vlans: 0,
        inside: insides[usize::from(number) % 4],
        len: [64, 600, 1300][usize::from(number) % 3],
    };
    (0..500)
        .map(|number| {
            let mut mirrored = Mirrored::new(case(number), number, mac);
            if !mirrored.case.outer_is_v6 {
                let source = Ipv4Addr::new(192, 0, 2, 10 + u8::try_from(number % 100).unwrap());
                mirrored.frame[26..30].copy_from_slice(&source.octets());
                let header = etherparse::Ipv4Header::from_slice(&mirrored.frame[14..]).unwrap().0;
                mirrored.frame[24..26]
                    .copy_from_slice(&header.calc_header_checksum().to_be_bytes());
            }
            mirrored
        })
        .collect()
}

/// Frames that are sent as they are.
struct Frames<'f>(std::slice::Iter<'f, Mirrored>);

impl FrameSource for Frames<'_> {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        frame.clear();
        frame.extend_from_slice(&self.0.next()?.frame);
        Some(Label { session: None, inner_len: 0 })
    }

    fn next_at(&self) -> Duration {
        Duration::ZERO
    }
}

/// Sends the frames through an engine and checks that they come out as they were sent.
fn deliver(config: Config) -> Report {
    let sent = mirrored();
    let mut engine = Engine::open(config).unwrap();
    let mut consumer = engine.take_consumer("test").unwrap();
    engine.start().unwrap();
    wait_for_carriers();
    assert_sealed();
    let mut socket = PacketSocket::open(SENDER).unwrap();
    // Emulation is slow.
    let limits = SendLimits { pace: Pace::PerSecond(PACE), duration: None, stop: None };
    let totals = send(&mut Frames(sent.iter()), &mut socket, limits, |_| {}).unwrap();
    assert_eq!(totals.refused, 0, "the NIC takes every frame");
    let mut got = Vec::new();
    while got.len() < sent.len() {
        match consumer.next(TIMEOUT) {
            Next::Batch(batch) => {
                let frames =
                    batch.iter().map(|frame| (frame.vni().get(), frame.bytes().into_owned()));
                got.extend(frames);
            }
            Next::Idle | Next::Closed => break,
        }
    }
    let report = engine.stop();
    got.sort();
    let mut inner: Vec<_> =
        sent.iter().map(|mirrored| (mirrored.vni, mirrored.inner.clone())).collect();
    inner.sort();
    assert!(got == inner, "{} frames came out as they were sent\n{report}", got.len());
    assert_eq!(report.imbalances(), Vec::<String>::new(), "{report}");
    report
}

/// Checks that no process can map the engine's memory writable any more, and that it keeps its
/// size.
fn assert_sealed() {
    let mut found = 0;
    for entry in fs::read_dir("/proc/self/fd").unwrap().flatten() {
        let Ok(target) = fs::read_link(entry.path()) else { continue };
        if target.to_string_lossy().starts_with("/memfd:vxtap-umem") {
            let seals = fcntl_get_seals(File::open(entry.path()).unwrap()).unwrap();
            let expected =
                SealFlags::FUTURE_WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
            assert!(seals.contains(expected), "{seals:?}");
            found += 1;
        }
    }
    assert!(found > 0, "the engine has memory");
}

fn mode(report: &Report) -> String {
    report.interfaces[0].mode.to_string()
}

#[test]
#[ignore = "requires the guest's NICs; run by cargo xtask test --vm"]
fn frames_of_one_queue_come_out_as_they_were_sent() {
    privileged();
    with_queues(1);
    let report = deliver(config(RECEIVER));
    assert_eq!((mode(&report), report.workers.len()), (expected("VXTAP_MODE"), 1));
}

#[test]
#[ignore = "requires the guest's NICs; run by cargo xtask test --vm"]
fn frames_of_two_queues_come_out_as_they_were_sent() {
    privileged();
    with_queues(2);
    let report = deliver(config(RECEIVER));
    assert_eq!((mode(&report), report.workers.len()), (expected("VXTAP_MODE"), 2));
    let frames: Vec<_> =
        report.workers.iter().map(|worker| worker.counters.total.received.frames).collect();
    assert!(frames.iter().all(|&frames| frames > 0), "both queues: {frames:?}");
}

#[test]
#[ignore = "requires the guest's NICs; run by cargo xtask test --vm"]
fn frames_come_out_of_huge_pages_as_they_were_sent() {
    privileged();
    fs::write("/proc/sys/vm/nr_hugepages", "24").unwrap();
    for queues in [1, 2] {
        with_queues(queues);
        let mut config = config(RECEIVER);
        config.memory.hugepages = true;
        let free = || {
            let text = fs::read_to_string("/proc/meminfo").unwrap();
            let line =
                text.lines().find(|line| line.starts_with("HugePages_Free:")).unwrap().to_owned();
            line.split_whitespace().nth(1).unwrap().parse::<u32>().unwrap()
        };
        let before = free();
        let engine = Engine::open(config.clone()).unwrap();
        assert!(free() < before, "huge pages are in use");
        drop(engine);
        let report = deliver(config);
        assert_eq!(mode(&report), expected("VXTAP_MODE"));
    }
    fs::write("/proc/sys/vm/nr_hugepages", "0").unwrap();
}

#[test]
#[ignore = "requires the guest's NICs; run by cargo xtask test --vm"]
fn zero_copy_is_used_or_refused_with_the_reason() {
    privileged();
    with_queues(2);
    let mut forced = config(RECEIVER);
    forced.capture.mode = CaptureMode::ZeroCopy;
    if expected("VXTAP_MODE") == "zero-copy" {
        assert_eq!(mode(&deliver(forced)), "zero-copy");
        return;
    }
    let error = Engine::open(forced).unwrap_err().to_string();
    assert!(error.starts_with("the driver does not offer zero-copy for queue 0 ("), "{error}");
    let report = deliver(config(RECEIVER));
    let step = &report.interfaces[0].fallbacks[0];
    assert_eq!(step.mode.to_string(), "zero-copy");
    assert!(step.reason.starts_with("the driver does not offer zero-copy ("), "{}", step.reason);
}

#[test]
#[ignore = "requires the guest's NICs; run by cargo xtask test --vm"]
fn jumbo_frames_need_segments_or_the_engine_steps_down_to_where_it_needs_none() {
    privileged();
    let options = VethOptions { queues: 1, mtu: 9001 };
    let veth = Veth::join(NetNs::new().unwrap(), NetNs::new().unwrap(), options).unwrap();
    let engine = veth.receiver.netns.run(|| Engine::open(config(veth.receiver.interface))).unwrap();
    let report = engine.stop();
    assert_eq!(mode(&report), expected("VXTAP_JUMBO_MODE"), "{:?}", report.interfaces[0].fallbacks);
    if mode(&report) == "UDP socket" {
        let reason = &report.interfaces[0].fallbacks[1].reason;
        assert!(reason.contains("cannot be divided by this kernel (before Linux 6.6)"), "{reason}");
    }
}
