//! Consumers that attach and detach while the worker runs.

use super::*;
use crate::ring::{QueueId, shared_ring};

/// Returns a worker with an output that always has a consumer, and another that consumers attach
/// to.
fn harness_with_attached() -> WorkerHarness {
    let config = config_of(2, UnknownSessions::Drop);
    harness_of(&[256], &config, WhenFull::Drop)
}

impl WorkerHarness {
    fn receive_some(&mut self, count: u8) {
        self.worker.refill();
        for number in 0..count {
            self.worker
                .backend
                .nic
                .deliver(&mirrored(1, 7, &[number]).0, Some(ARRIVAL_NS))
                .unwrap();
        }
        while self.worker.receive() > 0 {}
    }

    /// Attaches a consumer to the second output.
    fn attach(&mut self, len: u32) -> Consumer {
        let (writer, consumer) = ring_of(self.worker.queue.umem(), len);
        self.post(writer);
        consumer
    }

    fn post(&mut self, writer: Writer) {
        let control = self.worker.control.clone();
        control.attach(1, writer);
        let request = control.take_requests(self.worker.acked).expect("announced");
        self.worker.handle(request);
        assert!(control.is_acked() && control.take_requests(self.worker.acked).is_none());
    }

    fn counters(&mut self) -> WorkerCounters {
        self.worker.publish_counters(true);
        self.counters_cell.read()
    }
}

/// Returns the number of frames that are ready.
fn read_ready(consumer: &mut Consumer) -> usize {
    let mut count = 0;
    while let Next::Batch(batch) = consumer.next(Duration::ZERO) {
        count += batch.iter().count();
    }
    count
}

#[test]
fn a_consumer_gets_what_comes_while_it_is_there() {
    let mut harness = harness_with_attached();
    harness.receive_some(10);
    let mut consumer = harness.attach(64);
    harness.receive_some(5);
    assert_eq!(read_ready(&mut consumer), 5);
    drop(consumer);
    harness.receive_some(20);
    let mut next = harness.attach(64);
    harness.receive_some(7);
    assert_eq!(read_ready(&mut next), 7);
    let counters = harness.counters();
    let [always, attached] = [0, 1].map(|output| counters.outputs[output][1]);
    assert_eq!((always.delivered.frames, always.dropped), (42, 0));
    assert_eq!(
        (attached.delivered.frames, attached.dropped),
        (12, 0),
        "no drops without a consumer"
    );
    assert_eq!((counters.pushed[1], counters.unread[1]), (12, 0));
    assert_eq!(harness.worker.ports.count(), 2);
}

#[test]
fn several_consumers_of_one_output_each_get_everything() {
    let mut harness = harness_with_attached();
    let mut attached = [harness.attach(64), harness.attach(8)];
    harness.receive_some(10);
    assert_eq!(attached.each_mut().map(read_ready), [10, 8]);
    let output = harness.counters().outputs[1][1];
    assert_eq!((output.delivered.frames, output.dropped), (18, 2));
}

#[test]
fn what_a_consumer_has_not_read_is_counted_and_comes_back() {
    let mut harness = harness_with_attached();
    for round in 1..=50_u64 {
        let mut consumer = harness.attach(64);
        harness.receive_some(10);
        let Next::Batch(batch) = consumer.next(Duration::ZERO) else {
            panic!("ten frames are there")
        };
        // As if the consumer were killed in the middle of a batch: nothing is released.
        std::mem::forget(batch);
        drop(consumer);
        harness.receive_some(1);
        let counters = harness.counters();
        assert_eq!((counters.pushed[1], counters.unread[1]), (10 * round, 10 * round));
        assert_eq!(read_ready(&mut harness.consumers[0]), 11, "the other consumer loses nothing");
        harness.worker.refill();
        assert_eq!(harness.worker.refs.published(), 0);
    }
}

#[test]
fn a_consumer_that_lies_loses_its_ring_and_nobody_else_notices() {
    let mut harness = harness_with_attached();
    let (writer, ring_fds) =
        shared_ring(64, harness.worker.queue.umem().clone(), QueueId::default()).unwrap();
    harness.post(writer);
    harness.receive_some(10);
    let tail = std::fs::File::from(ring_fds.files.tail.try_clone().unwrap());
    for garbage in [[0xff_u8; 64], [0x0f; 64]] {
        std::os::unix::fs::FileExt::write_all_at(&tail, &garbage, 0).unwrap();
        harness.receive_some(5);
        assert!(ring_fds.peer_state.has_invalid_tail());
    }
    harness.receive_some(5);
    let counters = harness.counters();
    assert_eq!(harness.worker.ports.count(), 1, "the port is removed");
    // The invalid tail was noticed at the beginning of the next turn; the frames of its own turn
    // were still pushed.
    assert_eq!((counters.outputs[1][1].delivered.frames, counters.unread[1]), (15, 15));
    assert_eq!(read_ready(&mut harness.consumers[0]), 25);
    harness.worker.refill();
    assert_eq!(harness.worker.refs.published(), 0);
}

#[test]
fn a_consumer_that_comes_when_the_worker_has_ended_finds_its_ring_closed() {
    let harness = harness_with_attached();
    let (control, umem) = (harness.worker.control.clone(), harness.worker.queue.umem().clone());
    let (before, mut early) = ring_of(&umem, 64);
    control.attach(1, before);
    drop(harness);
    let (after, mut late) = ring_of(&umem, 64);
    control.attach(1, after);
    for consumer in [&mut early, &mut late] {
        assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    }
}
