//! Runs engines on veth pairs and collects the frames that come out.

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::thread::{self, JoinHandle};
use std::time::Duration;

use vxtap::Engine;
use vxtap::config::{Config, Destinations, Output, OutputKind};
use vxtap::engine::Report;
use vxtap::ring::{Consumer, Encapsulation, Frame, Gwlb, Link, Next};
use vxtap_bench::send::FrameSource;
use vxtap_bench::sink::Label;
use vxtap_bench::{Pace, PacketSocket, SendLimits, send};
use vxtap_tests::{Side, TIMEOUT, wait_until};

use super::frames::TARGET_V6;

pub(crate) const OUTPUT: &str = "test";
/// Frames per second.
const PACE: Pace = Pace::PerSecond(NonZeroU64::new(20_000).unwrap());

/// A frame as the consumer has seen it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Got {
    pub(crate) bytes: Vec<u8>,
    pub(crate) segments: usize,
    pub(crate) original_len: u32,
    pub(crate) source: std::net::IpAddr,
    pub(crate) vni: u32,
    pub(crate) encapsulation: Encapsulation,
    pub(crate) link: Link,
    pub(crate) gwlb: Option<Gwlb>,
    pub(crate) outer: Vec<u8>,
    pub(crate) timestamp_ns: u64,
    pub(crate) interface: usize,
}

impl From<Frame<'_>> for Got {
    fn from(frame: Frame<'_>) -> Self {
        let outer = frame.outer();
        Self {
            bytes: frame.bytes().into_owned(),
            segments: frame.segments().count(),
            original_len: frame.original_len(),
            source: frame.source(),
            vni: frame.vni().get(),
            encapsulation: outer.encapsulation(),
            link: frame.link(),
            gwlb: outer.gwlb(),
            outer: outer.bytes().to_vec(),
            timestamp_ns: frame.timestamp_ns(),
            interface: frame.interface(),
        }
    }
}

/// Returns a configuration with one output, which the test reads.
pub(crate) fn config(interfaces: &[&str]) -> Config {
    let mut config = Config::default();
    config.capture.interfaces = interfaces.iter().map(|&name| name.to_owned()).collect();
    // The namespaces of the tests have no IPv6, and the frames are addressed to one all the same.
    config.capture.destinations = Destinations::Any;
    config.outputs.push(Output::new(OUTPUT, OutputKind::Consumer));
    config
}

/// Reads an output to its end.
pub(crate) fn read_all(mut consumer: Consumer) -> JoinHandle<Vec<Got>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        loop {
            match consumer.next(TIMEOUT) {
                Next::Batch(batch) => all.extend(batch.iter().map(Got::from)),
                Next::Idle => {}
                Next::Closed => return all,
            }
        }
    })
}

/// Sends frames as they are.
pub(crate) fn send_frames<'f>(sender: &Side, frames: impl Iterator<Item = &'f [u8]> + Send) {
    let limits = SendLimits { pace: PACE, duration: None, stop: None };
    sender.netns.run(|| {
        let mut socket = PacketSocket::open(sender.interface).unwrap();
        let totals = send(&mut Frames(frames), &mut socket, limits, |_| {}).unwrap();
        assert_eq!(totals.refused, 0, "the sending end takes every frame");
    });
}

/// Frames that are sent as they are.
struct Frames<I>(I);

impl<'f, I: Iterator<Item = &'f [u8]>> FrameSource for Frames<I> {
    fn next_frame(&mut self, frame: &mut Vec<u8>) -> Option<Label> {
        frame.clear();
        frame.extend_from_slice(self.0.next()?);
        Some(Label { session: None, inner_len: 0 })
    }

    fn next_at(&self) -> Duration {
        Duration::ZERO
    }
}

/// Runs an engine while frames are sent to it, until so many have arrived at its steering; returns
/// the frames that came out and the report.
pub(crate) fn run<'f>(
    mut engine: Engine,
    sender: &Side,
    frames: impl Iterator<Item = &'f [u8]> + Send,
    arrivals: usize,
) -> (Vec<Got>, Report) {
    let reader = read_all(engine.take_consumer(OUTPUT).unwrap());
    engine.start().unwrap();
    send_frames(sender, frames);
    wait_until("all frames to arrive", TIMEOUT, || {
        let steering = engine.report().steering();
        steering.redirected + steering.several_buffers >= arrivals as u64
    })
    .unwrap_or_else(|error| panic!("{error}\n{}", engine.report()));
    let report = engine.stop();
    (reader.join().unwrap(), report)
}

/// Checks that the sums of a stopped engine add up, and that nothing went wrong.
#[track_caller]
pub(crate) fn assert_adds_up(report: &Report) {
    assert_eq!(report.imbalances(), Vec::<String>::new(), "\n{report}");
    assert_eq!(report.failures, Vec::<String>::new(), "\n{report}");
}

/// Runs an engine on a capture file; returns the frames that came out and the report.
pub(crate) fn run_to_the_end(mut engine: Engine) -> (Vec<Got>, Report) {
    let reader = read_all(engine.take_consumer(OUTPUT).unwrap());
    engine.start().unwrap();
    wait_until("the end of the file", TIMEOUT, || engine.has_ended()).unwrap();
    let report = engine.stop();
    (reader.join().unwrap(), report)
}

/// Writes frames into a capture file of the classic format.
pub(crate) fn write_pcap<'f>(path: &Path, frames: impl Iterator<Item = &'f [u8]>) {
    let mut bytes = [0xa1b2_3c4d_u32, 0x0004_0002, 0, 0, 65_535, 1].map(u32::to_le_bytes).concat();
    for (number, frame) in (0_u32..).zip(frames) {
        let len = u32::try_from(frame.len()).unwrap();
        bytes.extend([1_700_000_000, number, len, len].map(u32::to_le_bytes).concat());
        bytes.extend(frame);
    }
    fs::write(path, bytes).unwrap();
}

/// Gives a receiver addresses of both families.
pub(crate) fn receive_like_a_host(receiver: &Side) {
    let device = receiver.interface;
    for name in ["all", "default", device] {
        receiver.sysctl(&format!("net.ipv6.conf.{name}.disable_ipv6=0"));
    }
    let address = format!("{TARGET_V6}/64");
    receiver.netns.ip(&["address", "add", &address, "dev", device, "nodad"]).unwrap();
}

/// Adds an interface for frames with one VLAN tag and one for frames with two; returns the names of
/// all three interfaces.
pub(crate) fn add_vlan_interfaces(receiver: &Side) -> [&'static str; 3] {
    let device = receiver.interface;
    let ip = |line: &str| drop(receiver.netns.ip(&line.split(' ').collect::<Vec<_>>()).unwrap());
    ip(&format!("link add link {device} name vxrx0.10 type vlan id 10"));
    ip(&format!("link add link {device} name vxrx0.20 type vlan proto 802.1ad id 20"));
    ip("link add link vxrx0.20 name vxrx0.20.30 type vlan id 30");
    for name in ["vxrx0.10", "vxrx0.20", "vxrx0.20.30"] {
        ip(&format!("link set {name} up"));
    }
    [device, "vxrx0.10", "vxrx0.20.30"]
}
