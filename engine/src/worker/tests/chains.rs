//! Frames in several chunks, from the RX ring to the consumers.

use super::*;

/// Returns a mirrored frame with a payload of `payload_len` bytes, neighbours all different, and
/// its inner frame.
fn long(host: u8, payload_len: usize) -> (Vec<u8>, Vec<u8>) {
    let payload: Vec<u8> = (0..=250).cycle().take(payload_len).collect();
    mirrored(host, 7, &payload)
}

#[test]
fn a_long_frame_comes_out_as_it_went_in_to_all_outputs_and_its_chunks_come_home() {
    let harness = harness(&[128, 128], UnknownSessions::Pass);
    let (short, short_inner) = mirrored(1, 7, b"short");
    let (jumbo, jumbo_inner) = long(1, 8900);
    let (mut consumers, counters) = harness.run([short.clone(), jumbo.clone(), short, jumbo]);
    assert_eq!((counters.total.received.frames, counters.total.delivered.frames), (4, 4));
    assert_eq!(counters.total.delivered.bytes, 2 * (short_inner.len() + jumbo_inner.len()) as u64);
    assert_eq!(counters.pushed, [4, 4], "frames, not descriptors");
    for consumer in &mut consumers {
        let Next::Batch(batch) = consumer.next(Duration::ZERO) else { panic!("no frames") };
        let frames: Vec<_> = batch.iter().collect();
        let expected = [&short_inner, &jumbo_inner, &short_inner, &jumbo_inner].map(Clone::clone);
        assert_eq!(
            frames.iter().map(|frame| frame.bytes().into_owned()).collect::<Vec<_>>(),
            expected
        );
        let segments: Vec<_> = frames[1].segments().map(<[u8]>::len).collect();
        assert_eq!(
            segments,
            [CHUNK_ROOM - 50, CHUNK_ROOM, CHUNK_ROOM, CHUNK_ROOM, CHUNK_ROOM, 112]
        );
        assert_eq!(frames[1].source_vni().to_string(), "vni-7@10.0.0.1");
        assert_eq!((frames[1].captured_len(), frames[1].original_len()), (8942, 8942));
    }
}

#[test]
fn the_headers_of_the_longest_frame_are_put_together_in_memory_that_is_there_from_the_start() {
    let mut harness = harness(&[128], UnknownSessions::Pass);
    let capacity = |harness: &mut WorkerHarness| harness.worker.batch.with_chained().2.capacity();
    let at_start = capacity(&mut harness);
    harness.worker.refill();
    let (jumbo, inner) = long(1, 64_000);
    // The inner headers lie in the second chunk.
    let (head, rest) = jumbo.split_at(50);
    let parts: Vec<_> = std::iter::once(head).chain(rest.chunks(CHUNK_ROOM)).collect();
    harness.worker.backend.nic.deliver_chain(&parts);
    harness.worker.receive();
    assert_eq!(capacity(&mut harness), at_start);
    let (mut consumers, _) = harness.run([]);
    assert_eq!(read_all(&mut consumers[0]), [(SessionId(1), inner)]);
}

#[test]
fn the_chunks_of_long_frames_that_nobody_wants_go_home() {
    let (jumbo, _) = long(2, 5000);
    let mut no_tunnel = jumbo.clone();
    no_tunnel[42] = 0;
    let (_consumers, counters) =
        harness(&[128], UnknownSessions::Drop).run([jumbo.clone(), no_tunnel, jumbo]);
    assert_eq!(counters.total.drops.get(DropReason::UnknownSession), 2);
    assert_eq!(counters.total.drops.get(DropReason::VxlanWithoutVni), 1);
    assert_eq!(
        (counters.chunks.free + counters.chunks.in_flight, counters.chunks.published),
        (counters.chunks.total, 0)
    );
}

#[test]
fn an_output_without_room_for_all_parts_gets_none_of_them() {
    let frames = (0..30).map(|_| long(1, 5000).0);
    let (mut consumers, counters) = harness(&[64], UnknownSessions::Pass).run(frames);
    // Three chunks each: 21 frames fit.
    let output = &counters.outputs[0][1];
    assert_eq!((output.delivered.frames, output.dropped), (21, 9));
    assert_eq!(counters.total.drops.get(DropReason::OutputFull), 9);
    assert_eq!(read_all(&mut consumers[0]).len(), 21);
}

#[test]
fn padding_and_what_the_packet_length_cuts_off_take_their_chunks_along() {
    let mut config = config_of(1, UnknownSessions::Pass);
    config.sessions[0].packet_length = Some(2000);
    let (jumbo, inner) = long(1, 8000);
    let (_, padded_inner) = long(1, 1700);
    let (mut padded, _) = long(1, 1700);
    padded.resize(6000, 0xee);
    let (mut consumers, counters) =
        harness_of(&[128], &config, WhenFull::Drop).run([jumbo, padded]);
    let frames = read_all(&mut consumers[0]);
    assert_eq!(frames, [(SessionId(1), inner[..2000].to_vec()), (SessionId(1), padded_inner)]);
    assert_eq!((counters.total.truncated, counters.total.adds_up()), (1, true));
    // Two chunks hold 2000 bytes, and 1742 with the outer headers too; the other chunks were freed
    // at once.
    assert_eq!(counters.chunks.published, 4);
}

#[test]
fn a_frame_whose_end_never_comes_is_counted_when_the_worker_ends() {
    let mut harness = harness(&[128], UnknownSessions::Pass);
    harness.worker.refill();
    let (frame, inner) = mirrored(1, 7, b"whole");
    harness.worker.backend.nic.deliver(&frame, None).unwrap();
    harness.worker.backend.nic.deliver_open_chain(&[&frame[..40], &frame[40..60]]);
    let (mut consumers, counters) = harness.run([]);
    assert_eq!((counters.total.received.frames, counters.total.delivered.frames), (2, 1));
    assert_eq!(counters.total.drops.get(DropReason::IncompleteFrame), 1);
    assert_eq!(read_all(&mut consumers[0]), [(SessionId(1), inner)]);
    assert_eq!(
        counters.chunks.free + counters.chunks.in_flight + counters.chunks.published,
        counters.chunks.total
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Short and long frames of several sessions to outputs that are sometimes full: each is
    /// delivered whole or counted.
    #[test]
    fn frames_of_any_length_are_delivered_whole_or_counted(
        lens in prop::collection::vec(prop_oneof![0_usize..100, 1600_usize..1800, 0_usize..9000], 0..150),
        ring_lens in prop::collection::vec(prop_oneof![Just(64_u32), Just(256)], 1..3),
        only_declared in any::<bool>(),
    ) {
        let mut config = config_of(ring_lens.len(), UnknownSessions::Pass);
        if only_declared {
            config.sessions[0].outputs = Some(vec!["0".to_owned()]);
        }
        let frames: Vec<_> = lens.iter().zip([1, 1, 2].into_iter().cycle()).map(|(&len, host)| long(host, len)).collect();
        let inners: Vec<_> = frames.iter().map(|(_, inner)| inner.clone()).collect();
        let harness = harness_of(&ring_lens, &config, WhenFull::Drop);
        let (mut consumers, counters) = harness.run(frames.into_iter().map(|(frame, _)| frame));
        prop_assert!(counters.total.adds_up());
        prop_assert_eq!(counters.total.received.frames, lens.len() as u64);
        let chunks = counters.chunks;
        prop_assert_eq!(chunks.free + chunks.in_flight + chunks.published + chunks.incomplete, chunks.total);
        for (output, consumer) in consumers.iter_mut().enumerate() {
            let got = read_all(consumer);
            let delivered: u64 = counters.outputs[output].iter().map(|session| session.delivered.frames).sum();
            prop_assert_eq!(got.len() as u64, delivered);
            prop_assert_eq!(counters.pushed[output], delivered);
            let mut expected = inners.iter();
            for (_, bytes) in &got {
                prop_assert!(expected.any(|inner| inner == bytes), "in order, and as it was sent");
            }
        }
    }
}
