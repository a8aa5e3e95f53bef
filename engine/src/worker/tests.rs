//! The whole worker with a NIC in plain memory: no socket, no privileges.

mod attached;
mod chains;
mod fragments;
mod groups;
mod outer;
mod profiles;
mod rulesets;
mod splits;

use std::collections::VecDeque;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::config::{BATCH_MAX, Config, Output, OutputKind, Session, UnknownSessions};
use crate::counters::WorkerCounters;
use crate::drop_reason::DropReason;
use crate::ring::{self, Consumer, Next};
use crate::ruleset::Subscription;
use crate::session::{Directory, SessionId};
use crate::xsk::{Geometry, KernelCounters, Pages, SoftNic, Umem};

const RING_LEN: u32 = 128;
/// Bytes of a frame that fit into one chunk.
const CHUNK_ROOM: usize = 2048 - 272;
const TAI_MINUS_UTC_NS: i64 = 37_000_000_000;
const ARRIVAL_NS: u64 = 1_700_000_000_000_000_000;

/// Frames that wait for the NIC, each in the parts that lie in a chunk of their own.
type Input = Arc<Mutex<VecDeque<Vec<Vec<u8>>>>>;

/// A NIC that delivers the frames of a test when the worker waits.
struct TestNic {
    nic: SoftNic,
    input: Input,
    is_finished: bool,
    /// Result of the next check.
    failure: Option<io::Error>,
}

impl RxBackend for TestNic {
    fn wait(&mut self, _timeout: Duration) -> io::Result<()> {
        let mut input = self.input.lock().unwrap();
        while self.nic.has_room_for(9)
            && let Some(parts) = input.pop_front()
        {
            if let [frame] = &parts[..] {
                self.nic.deliver(frame, Some(ARRIVAL_NS)).unwrap();
            } else {
                self.nic.deliver_chain(&parts.iter().map(Vec::as_slice).collect::<Vec<_>>());
            }
        }
        self.is_finished = input.is_empty();
        Ok(())
    }

    fn check(&mut self) -> io::Result<()> {
        self.failure.take().map_or(Ok(()), Err)
    }

    fn is_finished(&self) -> bool {
        self.is_finished
    }

    fn counters(&mut self) -> io::Result<KernelCounters> {
        Ok(KernelCounters { rx_dropped: 5, ..KernelCounters::default() })
    }

    fn arrival_minus_utc_ns(&self) -> i64 {
        TAI_MINUS_UTC_NS
    }
}

struct WorkerHarness {
    worker: Worker<TestNic>,
    input: Input,
    consumers: Vec<Consumer>,
    counters_cell: Arc<CountersCell>,
    directory: Directory,
}

/// Returns a worker with an output for each of `ring_lens`. One session is declared: VNI 7 from
/// 10.0.0.1.
fn harness(ring_lens: &[u32], unknown: UnknownSessions) -> WorkerHarness {
    harness_of(ring_lens, &config_of(ring_lens.len(), unknown), WhenFull::Drop)
}

/// Returns the configuration of [`harness`]; the outputs are named by their numbers.
fn config_of(outputs: usize, unknown: UnknownSessions) -> Config {
    let output = |number: usize| Output::new(number.to_string(), OutputKind::Consumer);
    let web = Session {
        name: "web".into(),
        vni: 7,
        source: Some([10, 0, 0, 1].into()),
        ..Session::default()
    };
    Config {
        unknown,
        sessions: vec![web],
        outputs: (0..outputs).map(output).collect(),
        ..Config::default()
    }
}

fn harness_of(ring_lens: &[u32], config: &Config, when_full: WhenFull) -> WorkerHarness {
    let chunk_count = 2 * RING_LEN + BATCH_MAX + ring_lens.iter().sum::<u32>();
    let (umem, free) = Umem::create(Geometry::new(2048, chunk_count), Pages::Ordinary).unwrap();
    let umem = Arc::new(umem);
    let (nic, queue) = SoftNic::new(umem.clone(), RING_LEN, RING_LEN).unwrap();
    let (outputs, consumers): (Vec<_>, _) =
        ring_lens.iter().map(|&len| ring_of(&umem, len)).unzip();
    let input = Arc::new(Mutex::new(VecDeque::new()));
    let counters_cell = Arc::new(CountersCell::default());
    let mut directory = Directory::default();
    let worker = Worker::new(WorkerConfig {
        backend: TestNic { nic, input: input.clone(), is_finished: false, failure: None },
        queue,
        free,
        outputs: outputs.into_iter().enumerate().collect(),
        ruleset: Arc::new(Ruleset::first(config, &mut directory)),
        fragments: Some(FragmentTable::default()),
        wait: WaitMode::Interrupt,
        when_full,
        counters_cell: counters_cell.clone(),
        control: Arc::default(),
    });
    WorkerHarness { worker, input, consumers, counters_cell, directory }
}

fn ring_of(umem: &Arc<Umem>, len: u32) -> (Writer, Consumer) {
    let (writer, reader) = ring::ring(
        len as usize,
        umem.clone(),
        ring::QueueId { queue: 4, ..ring::QueueId::default() },
    )
    .unwrap();
    (writer, Consumer::new(vec![reader]))
}

/// Returns a mirrored frame from 10.0.0.`host` with this VNI, and its inner frame.
fn mirrored(host: u8, vni: u8, payload: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut inner = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([192, 168, 0, 1], [192, 168, 0, 2], 64)
        .udp(1, 2)
        .write(&mut inner, payload)
        .unwrap();
    let mut outer = Vec::new();
    PacketBuilder::ethernet2([6; 6], [8; 6])
        .ipv4([10, 0, 0, host], [10, 0, 0, 99], 255)
        .udp(65408, 4789)
        .write(&mut outer, &[&[8, 0, 0, 0, 0, 0, vni, 0], &inner[..]].concat())
        .unwrap();
    (outer, inner)
}

impl WorkerHarness {
    /// Runs the worker until the NIC has no more frames. Returns the consumers and the final
    /// counters.
    fn run(self, frames: impl IntoIterator<Item = Vec<u8>>) -> (Vec<Consumer>, WorkerCounters) {
        let as_the_kernel = |frame: Vec<u8>| frame.chunks(CHUNK_ROOM).map(<[u8]>::to_vec).collect();
        self.run_divided(frames.into_iter().map(as_the_kernel))
    }

    /// As [`Self::run`], for frames that are divided among chunks already.
    fn run_divided(
        self,
        frames: impl IntoIterator<Item = Vec<Vec<u8>>>,
    ) -> (Vec<Consumer>, WorkerCounters) {
        self.input.lock().unwrap().extend(frames);
        self.worker.run().unwrap();
        (self.consumers, self.counters_cell.read())
    }
}

/// Reads all frames of a consumer's rings, and releases them.
fn read_all(consumer: &mut Consumer) -> Vec<(SessionId, Vec<u8>)> {
    let mut frames = Vec::new();
    loop {
        match consumer.next(Duration::from_secs(1)) {
            Next::Batch(batch) => {
                frames.extend(
                    batch.iter().map(|frame| (frame.session(), frame.bytes().into_owned())),
                );
            }
            Next::Idle => panic!("the ring is neither closed nor has it frames"),
            Next::Closed => return frames,
        }
    }
}

#[test]
fn frames_come_out_in_order_with_everything_that_is_known_about_them() {
    let harness = harness(&[128], UnknownSessions::Pass);
    let (first, inner) = mirrored(1, 7, b"first");
    let (second, other) = mirrored(2, 9, b"second");
    let (mut consumers, counters) = harness.run([first.clone(), second]);
    let Next::Batch(batch) = consumers[0].next(Duration::ZERO) else { panic!("no frames") };
    let frames: Vec<_> = batch.iter().collect();
    assert_eq!(frames.len(), 2);
    let frame = &frames[0];
    assert_eq!(frame.bytes(), inner);
    assert_eq!(
        (frame.captured_len() as usize, frame.original_len() as usize),
        (inner.len(), inner.len())
    );
    assert_eq!(frame.timestamp_ns(), ARRIVAL_NS - TAI_MINUS_UTC_NS.unsigned_abs());
    assert_eq!((frame.session(), frame.queue()), (SessionId(1), 4));
    assert_eq!(frame.source_vni().to_string(), "vni-7@10.0.0.1");
    assert_eq!(frame.outer().vxlan_header().unwrap(), [8, 0, 0, 0, 0, 0, 7, 0]);
    assert_eq!(frame.outer().bytes(), &first[14..50]);
    assert_eq!(frame.segments().collect::<Vec<_>>(), [inner.as_slice()]);
    assert_eq!(
        (frames[1].session(), frames[1].bytes().as_ref()),
        (SessionId::DEFAULT, other.as_slice())
    );
    assert_eq!(counters.total.delivered.frames, 2);
    assert_eq!(
        counters
            .unknown
            .iter()
            .map(|(pair, count)| (pair.to_string(), count.frames))
            .collect::<Vec<_>>(),
        [("vni-9@10.0.0.2".to_owned(), 1)]
    );
    assert_eq!(counters.kernel.rx_dropped, 5);
}

#[test]
fn each_refused_datagram_is_counted_under_its_reason() {
    let (good, _) = mirrored(1, 7, b"x");
    let with = |change: fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame
    };
    let harness = harness(&[128], UnknownSessions::Drop);
    let (mut consumers, counters) = harness.run([
        with(|frame| frame.truncate(20)),
        with(|frame| frame[20] = 0x20),
        // The data of a fragment have to be a multiple of 8 bytes.
        with(|frame| (frame[20], frame[17]) = (0x20, 20 + 56)),
        with(|frame| frame[23] = 6),
        with(|frame| frame.truncate(45)),
        with(|frame| frame[42] = 0),
        with(|frame| frame.truncate(60)),
        with(|frame| frame[48] = 8),
        good.clone(),
    ]);
    for reason in DropReason::ALL {
        let expected = match reason {
            DropReason::OuterMalformed
            | DropReason::FragmentKept
            | DropReason::FragmentRefused
            | DropReason::NotUdp
            | DropReason::TunnelTruncated
            | DropReason::VxlanWithoutVni
            | DropReason::InnerTruncated
            | DropReason::UnknownSession => 1,
            DropReason::BadDescriptor
            | DropReason::IncompleteFrame
            | DropReason::OuterTooLong
            | DropReason::GeneveMalformed
            | DropReason::TunnelProtocol
            | DropReason::AmazonDns
            | DropReason::DirectionUnknown
            | DropReason::RuleRejected
            | DropReason::NoRuleMatched
            | DropReason::NoOutput
            | DropReason::OutputFull => 0,
        };
        assert_eq!(counters.total.drops.get(reason), expected, "{reason}");
    }
    assert!(counters.total.adds_up());
    assert_eq!(counters.sessions[0].drops.get(DropReason::UnknownSession), 1);
    assert_eq!(read_all(&mut consumers[0]).len(), 1);
}

#[test]
fn a_full_output_loses_its_own_frames_and_nobody_elses() {
    let harness = harness(&[64, 1024], UnknownSessions::Pass);
    let frames = (0..300_u16).map(|number| mirrored(1, 7, &number.to_be_bytes()).0);
    let (mut consumers, counters) = harness.run(frames);
    let [slow, fast] = [&counters.outputs[0][1], &counters.outputs[1][1]];
    assert_eq!((slow.delivered.frames, slow.dropped), (64, 236));
    assert_eq!((fast.delivered.frames, fast.dropped), (300, 0));
    assert_eq!(counters.total.delivered.frames, 300, "delivered is what at least one output took");
    let fast = read_all(&mut consumers[1]);
    let expected = |number: u16| (SessionId(1), mirrored(1, 7, &number.to_be_bytes()).1);
    assert_eq!(fast, (0..300).map(expected).collect::<Vec<_>>());
    assert_eq!(read_all(&mut consumers[0]), (0..64).map(expected).collect::<Vec<_>>());
}

#[test]
fn what_no_output_takes_is_dropped_with_the_reason() {
    let frames = || (0..100_u16).map(|number| mirrored(1, 7, &number.to_be_bytes()).0);
    let (_consumers, counters) = harness(&[64], UnknownSessions::Pass).run(frames());
    assert_eq!(counters.total.drops.get(DropReason::OutputFull), 36);
    let (_, counters) = harness(&[], UnknownSessions::Pass).run(frames());
    assert_eq!(counters.total.drops.get(DropReason::NoOutput), 100);
    assert!(counters.sessions[1].adds_up());
}

#[test]
fn a_consumer_that_is_gone_takes_nothing_and_holds_nothing() {
    let mut harness = harness(&[64, 1024], UnknownSessions::Pass);
    harness.consumers.remove(0);
    let frames = (0..200_u16).map(|number| mirrored(1, 7, &number.to_be_bytes()).0);
    let (mut consumers, counters) = harness.run(frames);
    assert_eq!(counters.outputs[0][1].dropped, 200);
    assert_eq!(read_all(&mut consumers[0]).len(), 200);
}

#[test]
fn a_worker_told_to_drain_finishes_what_is_in_its_ring() {
    let mut harness = harness(&[128], UnknownSessions::Pass);
    harness.worker.refill();
    let (frame, _) = mirrored(1, 7, b"late");
    for _ in 0..100 {
        harness.worker.backend.nic.deliver(&frame, None).unwrap();
    }
    harness.worker.control.drain();
    let (mut consumers, counters) = harness.run([]);
    assert_eq!(read_all(&mut consumers[0]).len(), 100);
    assert_eq!(counters.unstamped, 100);
    assert_eq!(
        counters.chunks.free + counters.chunks.in_flight + counters.chunks.published,
        counters.chunks.total
    );
}

#[test]
fn a_worker_whose_queue_fails_still_accounts_for_what_is_in_its_ring() {
    let mut harness = harness(&[128], UnknownSessions::Pass);
    harness.worker.refill();
    let (frame, _) = mirrored(1, 7, b"late");
    for _ in 0..100 {
        harness.worker.backend.nic.deliver(&frame, None).unwrap();
    }
    harness.worker.backend.failure = Some(io::Error::other("gone"));
    harness.worker.housekeeping = Housekeeping::overdue(harness.counters_cell.clone());
    let error = harness.worker.run().unwrap_err();
    assert_eq!(error.to_string(), "gone");
    assert_eq!(harness.counters_cell.read().total.received.frames, 100);
    assert_eq!(read_all(&mut harness.consumers[0]).len(), 100);
}

#[test]
fn an_offline_worker_waits_for_a_slow_consumer() {
    let mut harness = harness_of(&[64], &config_of(1, UnknownSessions::Pass), WhenFull::Wait);
    let frames: Vec<_> =
        (0..500_u16).map(|number| mirrored(1, 7, &number.to_be_bytes()).0).collect();
    let mut consumers = std::mem::take(&mut harness.consumers);
    let reader = std::thread::spawn(move || read_all(&mut consumers[0]).len());
    let (_, counters) = harness.run(frames);
    assert_eq!((counters.total.delivered.frames, counters.total.drops.total()), (500, 0));
    assert_eq!(reader.join().unwrap(), 500);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// For any input, every datagram is in one counter, for the worker and for each session, and no
    /// chunk is lost.
    #[test]
    fn the_account_adds_up_whatever_comes_in(
        frames in prop::collection::vec((0_u8..4, 5_u8..9, prop::collection::vec(any::<(u8, u8)>(), 0..3), 0_usize..120), 0..400),
        ring_lens in prop::collection::vec(prop_oneof![Just(64_u32), Just(256)], 0..3),
        drop_unknown in any::<bool>(),
    ) {
        let unknown = if drop_unknown { UnknownSessions::Drop } else { UnknownSessions::Pass };
        let harness = harness(&ring_lens, unknown);
        let sent = frames.len() as u64;
        let frames = frames.into_iter().map(|(host, vni, changes, len)| {
            let (mut frame, _) = mirrored(host, vni, b"payload of a few bytes");
            for (index, byte) in changes {
                let index = usize::from(index) % frame.len();
                frame[index] = byte;
            }
            frame.truncate(len.max(1));
            frame
        });
        let (mut consumers, counters) = harness.run(frames.collect::<Vec<_>>());
        prop_assert_eq!(counters.total.received.frames, sent);
        prop_assert!(counters.total.adds_up());
        let mut sessions = 0;
        for session in &counters.sessions {
            prop_assert!(session.adds_up());
            sessions += session.received.frames;
        }
        let before_session: u64 = DropReason::ALL[..DropReason::UnknownSession as usize].iter().map(|&reason| counters.total.drops.get(reason)).sum();
        prop_assert_eq!(sessions + before_session, sent);
        let chunks = counters.chunks;
        prop_assert_eq!(chunks.free + chunks.in_flight + chunks.published, chunks.total);
        for (consumer, output) in consumers.iter_mut().zip(&counters.outputs) {
            let delivered: u64 = output.iter().map(|session| session.delivered.frames).sum();
            prop_assert_eq!(read_all(consumer).len() as u64, delivered);
        }
        let delivered: u64 = counters.sessions.iter().map(|session| session.delivered.frames).sum();
        prop_assert_eq!(delivered, counters.total.delivered.frames);
        for (pushed, output) in counters.pushed.iter().zip(&counters.outputs) {
            prop_assert_eq!(*pushed, output.iter().map(|session| session.delivered.frames).sum::<u64>());
        }
    }
}
