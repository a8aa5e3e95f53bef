//! Consumers that come and go while the worker runs.

use super::*;
use crate::ring::{QueueId, shared_ring};

/// A worker with an output that somebody always reads, and another that consumers come to.
fn rig_with_guests() -> WorkerHarness {
    let config = config_of(2, UnknownSessions::Drop);
    rig_of(&[256], &config, WhenFull::Drop)
}

impl WorkerHarness {
    fn receive_some(&mut self, count: u8) {
        self.worker.refill();
        for number in 0..count {
            self.worker.kernel.nic.deliver(&mirrored(1, 7, &[number]).0, Some(ARRIVAL_NS)).unwrap();
        }
        while self.worker.receive() > 0 {}
    }

    /// A guest of the second output.
    fn attach(&mut self, len: u32) -> Consumer {
        let (writer, consumer) = ring_of(self.worker.queue.umem(), len);
        self.post(writer);
        consumer
    }

    fn post(&mut self, writer: Writer) {
        let control = self.worker.control.clone();
        control.attach(1, writer);
        let mail = control.mail(self.worker.acked).expect("announced");
        self.worker.open(mail);
        assert!(control.is_acked() && control.mail(self.worker.acked).is_none());
    }

    fn counters(&mut self) -> WorkerCounters {
        self.worker.publish(true);
        self.counters_cell.read()
    }
}

/// Number of frames that are there.
fn read_ready(consumer: &mut Consumer) -> usize {
    let mut count = 0;
    while let Next::Batch(batch) = consumer.next(Duration::ZERO) {
        count += batch.iter().count();
    }
    count
}

#[test]
fn a_guest_gets_what_comes_while_it_is_there() {
    let mut rig = rig_with_guests();
    rig.receive_some(10);
    let mut guest = rig.attach(64);
    rig.receive_some(5);
    assert_eq!(read_ready(&mut guest), 5);
    drop(guest);
    rig.receive_some(20);
    let mut next = rig.attach(64);
    rig.receive_some(7);
    assert_eq!(read_ready(&mut next), 7);
    let counters = rig.counters();
    let [always, guests] = [0, 1].map(|output| counters.outputs[output][1]);
    assert_eq!((always.delivered.frames, always.full), (42, 0));
    assert_eq!((guests.delivered.frames, guests.full), (12, 0), "nothing is held against nobody");
    assert_eq!((counters.pushed[1], counters.unread[1]), (12, 0));
    assert_eq!(rig.worker.taps.count(), 2);
}

#[test]
fn several_guests_of_one_output_each_get_everything() {
    let mut rig = rig_with_guests();
    let mut guests = [rig.attach(64), rig.attach(8)];
    rig.receive_some(10);
    assert_eq!(guests.each_mut().map(read_ready), [10, 8]);
    let ledger = rig.counters().outputs[1][1];
    assert_eq!((ledger.delivered.frames, ledger.full), (18, 2));
}

#[test]
fn what_a_guest_has_not_read_is_counted_and_comes_back() {
    let mut rig = rig_with_guests();
    for round in 1..=50_u64 {
        let mut guest = rig.attach(64);
        rig.receive_some(10);
        let Next::Batch(batch) = guest.next(Duration::ZERO) else { panic!("ten frames are there") };
        // As if it were killed in the middle of a batch: nothing is released.
        std::mem::forget(batch);
        drop(guest);
        rig.receive_some(1);
        let counters = rig.counters();
        assert_eq!((counters.pushed[1], counters.unread[1]), (10 * round, 10 * round));
        assert_eq!(read_ready(&mut rig.consumers[0]), 11, "the other one loses nothing");
        rig.worker.refill();
        assert_eq!(rig.worker.refs.published(), 0);
    }
}

#[test]
fn a_guest_that_lies_loses_its_ring_and_nobody_else_notices() {
    let mut rig = rig_with_guests();
    let (writer, ring_fds) =
        shared_ring(64, rig.worker.queue.umem().clone(), QueueId::default()).unwrap();
    rig.post(writer);
    rig.receive_some(10);
    let tail = std::fs::File::from(ring_fds.files.tail.try_clone().unwrap());
    for garbage in [[0xff_u8; 64], [0x0f; 64]] {
        std::os::unix::fs::FileExt::write_all_at(&tail, &garbage, 0).unwrap();
        rig.receive_some(5);
        assert!(ring_fds.peer_state.has_invalid_tail());
    }
    rig.receive_some(5);
    let counters = rig.counters();
    assert_eq!(rig.worker.taps.count(), 1, "it was let go");
    // It was caught at the beginning of the turn after; the frames of that turn had still been
    // pushed.
    assert_eq!((counters.outputs[1][1].delivered.frames, counters.unread[1]), (15, 15));
    assert_eq!(read_ready(&mut rig.consumers[0]), 25);
    rig.worker.refill();
    assert_eq!(rig.worker.refs.published(), 0);
}

#[test]
fn a_guest_that_comes_when_the_worker_has_ended_finds_its_ring_closed() {
    let rig = rig_with_guests();
    let (control, umem) = (rig.worker.control.clone(), rig.worker.queue.umem().clone());
    let (before, mut early) = ring_of(&umem, 64);
    control.attach(1, before);
    drop(rig);
    control.discard();
    let (after, mut late) = ring_of(&umem, 64);
    control.attach(1, after);
    for consumer in [&mut early, &mut late] {
        assert!(matches!(consumer.next(Duration::ZERO), Next::Closed));
    }
}
