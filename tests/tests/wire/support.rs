//! Engines on veth pairs, and what comes out of them.

use std::thread::{self, JoinHandle};
use std::time::Duration;

use vxtap::Engine;
use vxtap::config::{Config, Output, OutputKind};
use vxtap::engine::Report;
use vxtap::output::{Consumer, Encapsulation, Frame, Gwlb, Link, Next};
use vxtap_bench::sink::{Pushed, Slot};
use vxtap_bench::{PacketSocket, Sink};
use vxtap_tests::Side;

pub(crate) const OUTPUT: &str = "test";
const SOON: Duration = Duration::from_secs(20);

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
        }
    }
}

/// A configuration with one output, to be read by the test.
pub(crate) fn config(interface: &str) -> Config {
    let mut config = Config::default();
    interface.clone_into(&mut config.capture.interface);
    config.outputs.push(Output { name: OUTPUT.to_owned(), kind: OutputKind::Consumer });
    config
}

/// Reads an output to its end.
pub(crate) fn read_all(mut consumer: Consumer) -> JoinHandle<Vec<Got>> {
    thread::spawn(move || {
        let mut all = Vec::new();
        loop {
            match consumer.next(SOON) {
                Next::Batch(batch) => all.extend(batch.iter().map(Got::from)),
                Next::Idle => {}
                Next::Closed => return all,
            }
        }
    })
}

/// Sends frames as they are.
pub(crate) fn send_frames<'f>(sender: &Side, frames: impl Iterator<Item = &'f [u8]> + Send) {
    sender.netns.run(|| {
        let mut socket = PacketSocket::open(sender.interface).unwrap();
        for frame in frames {
            let mut slot = Slot::default();
            slot.bytes.extend_from_slice(frame);
            while matches!(socket.push(std::slice::from_ref(&slot)).unwrap(), Pushed::Full) {
                thread::sleep(Duration::from_micros(50));
            }
        }
    });
}

/// Runs an engine while frames are sent to it; returns what came out and the account.
pub(crate) fn run<'f>(
    mut engine: Engine,
    sender: &Side,
    frames: impl Iterator<Item = &'f [u8]> + Send,
) -> (Vec<Got>, Report) {
    let reader = read_all(engine.take_consumer(OUTPUT).unwrap());
    engine.start().unwrap();
    send_frames(sender, frames);
    thread::sleep(Duration::from_millis(100));
    let report = engine.stop();
    (reader.join().unwrap(), report)
}

/// The sums of a stopped engine add up, and nothing went wrong.
#[track_caller]
pub(crate) fn assert_adds_up(report: &Report) {
    assert_eq!(report.imbalances(), Vec::<String>::new(), "\n{report}");
    assert_eq!(report.failures, Vec::<String>::new(), "\n{report}");
}
