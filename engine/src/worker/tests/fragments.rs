//! Outer fragments, from the RX ring to the consumers.

use super::*;

/// Returns the IPv4 packet of a frame in fragments of `unit` bytes of data.
fn divided(frame: &[u8], unit: usize, identification: u16) -> Vec<Vec<u8>> {
    let data = &frame[34..];
    let fragment = |start: usize| {
        let end = data.len().min(start + unit);
        let mut header = frame[..34].to_vec();
        header[16..18].copy_from_slice(&u16::try_from(20 + end - start).unwrap().to_be_bytes());
        header[18..20].copy_from_slice(&identification.to_be_bytes());
        let more = if end < data.len() { 0x2000 } else { 0 };
        header[20..22].copy_from_slice(&(more | u16::try_from(start / 8).unwrap()).to_be_bytes());
        [&header[..], &data[start..end]].concat()
    };
    (0..data.len()).step_by(unit).map(fragment).collect()
}

#[test]
fn a_datagram_in_fragments_is_delivered_once_as_what_was_mirrored() {
    let payload: Vec<u8> = (0..=250).cycle().take(8000).collect();
    let (frame, inner) = mirrored(1, 7, &payload);
    let (whole, whole_inner) = mirrored(1, 7, b"whole");
    for order in [[0, 1, 2, 3, 4, 5], [5, 4, 3, 2, 1, 0], [1, 0, 5, 2, 4, 3]] {
        let fragments = divided(&frame, 1480, 9);
        assert_eq!(fragments.len(), order.len());
        let frames = order.map(|index| fragments[index].clone());
        let all = [&frames[..], std::slice::from_ref(&whole)].concat();
        let (mut consumers, counters) = harness(&[128, 128], UnknownSessions::Pass).run(all);
        assert_eq!((counters.total.received.frames, counters.total.delivered.frames), (7, 2));
        assert_eq!(counters.total.drops.get(DropReason::FragmentKept), 5);
        for consumer in &mut consumers {
            let Next::Batch(batch) = consumer.next(Duration::ZERO) else { panic!("no frames") };
            let got: Vec<_> = batch.iter().map(|frame| frame.bytes().into_owned()).collect();
            assert_eq!(got, [&inner, &whole_inner].map(Clone::clone));
            assert_eq!(batch.iter().next().unwrap().source_vni().to_string(), "vni-7@10.0.0.1");
        }
    }
}

#[test]
fn what_overlaps_is_refused_and_no_chunk_is_lost() {
    let (frame, _) = mirrored(1, 7, &[7; 3000]);
    let mut fragments = divided(&frame, 1480, 9);
    let mut again = divided(&frame, 1400, 9);
    fragments.insert(1, again.remove(1));
    let (_consumers, counters) = harness(&[128], UnknownSessions::Pass).run(fragments);
    assert_eq!(counters.total.drops.get(DropReason::FragmentRefused), 3);
    assert_eq!(counters.total.drops.get(DropReason::FragmentKept), 1);
    assert_eq!(counters.chunks.free + counters.chunks.in_flight, counters.chunks.total);
}
