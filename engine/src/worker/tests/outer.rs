//! Copies of outer frames, with their outcomes.

use super::*;
use crate::outer_queue::{CopiedFrames, OuterReceiver, outer_queue};

/// Returns frames with every kind of outcome, one after the other.
fn frames() -> Vec<Vec<u8>> {
    let good = mirrored(1, 7, b"x").0;
    let with = |change: fn(&mut Vec<u8>)| {
        let mut frame = good.clone();
        change(&mut frame);
        frame
    };
    let refused = [
        with(|frame| frame.truncate(20)),
        with(|frame| frame[23] = 6),
        with(|frame| frame[42] = 0),
        with(|frame| frame[48] = 8),
        mirrored(1, 7, &[5; 3000]).0,
    ];
    // As many good ones as leave the ring of the output full.
    let good = (0..20_u16).map(|number| mirrored(1, 7, &number.to_be_bytes()).0);
    refused.into_iter().cycle().take(17).chain(good.cycle().take(80)).collect()
}

/// Takes all copies: times, reasons and bytes.
fn taken(receiver: &OuterReceiver) -> Vec<(u64, Option<DropReason>, Vec<u8>)> {
    let mut frames = CopiedFrames::default();
    receiver.take(&mut frames);
    frames.iter().map(|(it, bytes)| (it.timestamp_ns, it.dropped, bytes.to_vec())).collect()
}

#[test]
fn each_outer_frame_is_copied_as_it_came_with_the_reason_of_its_drop() {
    let mut harness = harness(&[64], UnknownSessions::Drop);
    let (sender, receiver) = outer_queue();
    let (gone, other) = outer_queue();
    harness.worker.copies.attach(vec![gone, sender]);
    drop(other);
    let sent = frames();
    let (_consumers, counters) = harness.run(sent.clone());
    assert!(receiver.has_ended());
    let copies = taken(&receiver);
    assert_eq!(copies.iter().map(|(.., bytes)| bytes.clone()).collect::<Vec<_>>(), sent);
    for reason in DropReason::ALL {
        let count = copies.iter().filter(|(_, dropped, _)| *dropped == Some(reason)).count();
        assert_eq!(count as u64, counters.total.drops.get(reason), "{reason}");
    }
    let reasons: Vec<_> = copies.iter().take(4).map(|(_, dropped, _)| *dropped).collect();
    let expected = [
        DropReason::OuterMalformed,
        DropReason::NotUdp,
        DropReason::VxlanWithoutVni,
        DropReason::UnknownSession,
    ];
    assert_eq!(reasons, expected.map(Some));
    assert!(counters.total.drops.get(DropReason::OutputFull) > 0);
    let delivered = copies.iter().filter(|(_, dropped, _)| dropped.is_none()).count();
    assert_eq!(delivered as u64, counters.total.delivered.frames);
    let time_ns = ARRIVAL_NS - TAI_MINUS_UTC_NS.unsigned_abs();
    assert!(copies.iter().filter(|(_, _, bytes)| bytes.len() < 2000).all(|it| it.0 == time_ns));
}

#[test]
fn frames_without_an_arrival_time_have_one_time_per_batch_in_the_copies_and_in_the_outputs() {
    let mut harness = harness(&[64], UnknownSessions::Drop);
    let (sender, receiver) = outer_queue();
    harness.worker.copies.attach(vec![sender]);
    harness.worker.refill();
    for _ in 0..60 {
        harness.worker.backend.nic.deliver(&mirrored(1, 7, b"x").0, None).unwrap();
    }
    harness.worker.receive();
    let Next::Batch(batch) = harness.consumers[0].next(Duration::ZERO) else { panic!("no frames") };
    let time_ns = batch.iter().next().unwrap().timestamp_ns();
    let times: Vec<_> = taken(&receiver).iter().map(|copy| copy.0).collect();
    assert_eq!(times, [time_ns; 60]);
}

#[test]
fn a_turn_without_frames_waits_for_no_reader() {
    let mut harness = harness(&[64], UnknownSessions::Drop);
    let (sender, receiver) = outer_queue();
    harness.worker.copies.attach(vec![sender]);
    let (done, is_done) = std::sync::mpsc::channel();
    let held = receiver.hold();
    let turn = std::thread::spawn(move || {
        let _ = done.send(harness.worker.receive());
    });
    assert_eq!(is_done.recv_timeout(Duration::from_secs(10)), Ok(0));
    drop(held);
    turn.join().unwrap();
}

#[test]
fn nothing_is_copied_once_the_last_reader_has_gone() {
    let mut harness = harness(&[64], UnknownSessions::Drop);
    let (sender, receiver) = outer_queue();
    assert!(!harness.worker.copies.are_wanted());
    harness.worker.copies.attach(vec![sender]);
    harness.worker.refill();
    harness.worker.backend.nic.deliver(&mirrored(1, 7, b"x").0, None).unwrap();
    harness.worker.receive();
    assert!(harness.worker.copies.are_wanted());
    assert_eq!(taken(&receiver).len(), 1);
    drop(receiver);
    harness.worker.backend.nic.deliver(&mirrored(1, 7, b"x").0, None).unwrap();
    harness.worker.receive();
    assert!(!harness.worker.copies.are_wanted());
}
