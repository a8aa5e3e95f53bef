use std::collections::{HashMap, HashSet};

use etherparse::{IpFragOffset, IpNumber, Ipv4Header, Ipv6FragmentHeader, Ipv6Header};

use super::*;

/// Bytes of the Ethernet header.
const LINK: usize = 14;
const GENEROUS: Limits = Limits {
    bytes_max: 64 << 20,
    packets_max: 4096,
    source_share: 1,
    undeclared_share: 1,
    timeout_ns: 1_000_000_000,
};

/// A packet to be divided.
#[derive(Clone, Debug)]
struct Original {
    is_v6: bool,
    identification: u32,
    data: Vec<u8>,
}

impl Original {
    fn new(is_v6: bool, identification: u32, len: usize) -> Self {
        let data =
            (0..len).map(|at| (at * 31 + identification as usize * 7).to_le_bytes()[0]).collect();
        Self { is_v6, identification, data }
    }

    /// The fragment with `range` of the data.
    fn fragment(&self, range: std::ops::Range<usize>) -> Vec<u8> {
        let has_more = range.end < self.data.len();
        self.packet(&self.data[range.clone()], range.start, has_more, true)
    }

    /// Fragments of `unit` bytes of data each.
    fn fragments(&self, unit: usize) -> Vec<Vec<u8>> {
        let starts = (0..self.data.len()).step_by(unit);
        starts.map(|start| self.fragment(start..self.data.len().min(start + unit))).collect()
    }

    fn whole(&self) -> Vec<u8> {
        self.packet(&self.data, 0, false, false)
    }

    fn packet(&self, data: &[u8], offset: usize, has_more: bool, is_fragment: bool) -> Vec<u8> {
        let ether_type = if self.is_v6 { [0x86, 0xdd] } else { [0x08, 0x00] };
        let mut packet = [&[2; 12][..], &ether_type].concat();
        let fragment_offset = IpFragOffset::try_new((offset / 8).try_into().unwrap()).unwrap();
        let payload_len = u16::try_from(data.len()).unwrap();
        if self.is_v6 {
            let fragment = Ipv6FragmentHeader {
                next_header: IpNumber::UDP,
                fragment_offset,
                more_fragments: has_more,
                identification: self.identification,
            };
            let header = Ipv6Header {
                payload_length: payload_len + if is_fragment { 8 } else { 0 },
                next_header: if is_fragment {
                    IpNumber::IPV6_FRAGMENTATION_HEADER
                } else {
                    IpNumber::UDP
                },
                source: [1; 16],
                destination: [2; 16],
                hop_limit: 64,
                ..Ipv6Header::default()
            };
            header.write(&mut packet).unwrap();
            if is_fragment {
                fragment.write(&mut packet).unwrap();
            }
        } else {
            let mut header =
                Ipv4Header::new(payload_len, 64, IpNumber::UDP, [10, 0, 0, 1], [10, 0, 0, 2])
                    .unwrap();
            header.identification = u16::try_from(self.identification).unwrap();
            header.dont_fragment = false;
            header.more_fragments = has_more;
            header.fragment_offset = fragment_offset;
            header.header_checksum = header.calc_header_checksum();
            header.write(&mut packet).unwrap();
        }
        packet.extend(data);
        packet
    }
}

#[track_caller]
fn assert_whole(table: &mut Reassembly, fragment: &[u8], whole: &[u8]) {
    match table.add(fragment, 0) {
        Added::Whole(bytes) => assert_eq!(bytes, whole),
        other => panic!("{other:?}"),
    }
}

#[test]
fn fragments_in_any_order_make_the_packet_that_was_divided() {
    for is_v6 in [false, true] {
        let original = Original::new(is_v6, 7, 4001);
        let mut fragments = original.fragments(1480);
        for turn in 0..3 {
            let mut table = Reassembly::new(GENEROUS);
            fragments.rotate_left(turn);
            for fragment in &fragments[..2] {
                assert_eq!(table.add(fragment, 0), Added::Kept);
            }
            let padded = [&fragments[2][..], &[0; 9]].concat();
            assert_whole(&mut table, &padded, &original.whole());
            assert!(table.is_empty() && table.bytes() == 0, "nothing is left");
            assert!(table.counters().adds_up());
        }
    }
}

#[test]
fn headers_of_the_first_fragment_stay_and_speak_of_fragments_no_more() {
    let original = Original::new(true, 7, 64);
    let add_options = |mut packet: Vec<u8>| {
        // Destination options of 8 bytes: next header, length 0, and padding (PadN).
        let options = [packet[LINK + 6], 0, 1, 4, 0, 0, 0, 0];
        packet[LINK + 6] = 60;
        packet[LINK + 5] += 8;
        packet.splice(LINK + 40..LINK + 40, options);
        packet
    };
    let mut table = Reassembly::new(GENEROUS);
    let [first, second] = original.fragments(32).try_into().unwrap();
    assert_eq!(table.add(&add_options(first), 0), Added::Kept);
    assert_whole(&mut table, &add_options(second), &add_options(original.whole()));
    let mut options = Original::new(false, 7, 64).fragment(0..32);
    options[LINK] = 0x46;
    options[LINK + 3] += 4;
    options.splice(LINK + 20..LINK + 20, [1, 1, 1, 0]);
    assert_eq!(table.add(&options, 0), Added::Kept);
    let Added::Whole(whole) = table.add(&Original::new(false, 7, 64).fragment(32..64), 0) else {
        panic!()
    };
    let header = etherparse::Ipv4HeaderSlice::from_slice(&whole[LINK..]).unwrap();
    assert_eq!(
        (header.options(), header.total_len(), whole.len()),
        (&[1, 1, 1, 0][..], 88, LINK + 88)
    );
    assert_eq!(header.header_checksum(), header.to_header().calc_header_checksum());
}

#[test]
fn an_overlap_ends_the_packet_and_what_still_comes_of_it() {
    let original = Original::new(false, 7, 96);
    for (range, what) in [
        (8..40, "over two"),
        (0..24, "shorter"),
        (16..48, "from within"),
        (32..64, "whole and more"),
    ] {
        let mut table = Reassembly::new(GENEROUS);
        assert_eq!(table.add(&original.fragment(0..32), 0), Added::Kept);
        let second = original.fragment(40..64);
        assert_eq!(table.add(&second, 0), Added::Kept);
        assert_eq!(table.add(&original.fragment(range), 0), Added::Refused, "{what}");
        for fragment in [original.fragment(32..40), original.fragment(64..96)] {
            assert_eq!(table.add(&fragment, 0), Added::Refused);
        }
        let counters = table.counters();
        assert_eq!(
            (counters.overlapped, counters.fragments_given_up, counters.late),
            (1, 3, 2),
            "{what}"
        );
        assert!(counters.adds_up());
        table.expire(GENEROUS.timeout_ns);
        assert_eq!((table.bytes(), table.counters()), (0, counters), "it is counted once");
    }
    let mut table = Reassembly::new(GENEROUS);
    table.add(&original.fragment(64..96), 0);
    let beyond = original.packet(&[0; 8], 96, true, true);
    assert_eq!(table.add(&beyond, 0), Added::Refused);
    assert_eq!(table.counters().overlapped, 1, "behind the end");
}

#[test]
fn a_fragment_that_comes_twice_is_left_out_and_one_that_lies_is_an_overlap() {
    let original = Original::new(false, 7, 96);
    let mut table = Reassembly::new(GENEROUS);
    table.add(&original.fragment(0..32), 0);
    assert_eq!(table.add(&original.fragment(0..32), 0), Added::Refused);
    table.add(&original.fragment(32..64), 0);
    assert_whole(&mut table, &original.fragment(64..96), &original.whole());
    assert_eq!((table.counters().repeated, table.counters().adds_up()), (1, true));
    table.add(&original.fragment(0..32), 0);
    table.add(&original.packet(&[0; 32], 0, true, true), 0);
    assert_eq!(table.counters().overlapped, 1);
}

#[test]
fn what_is_no_fragment_or_cut_or_too_long_is_refused() {
    let original = Original::new(false, 7, 96);
    let good = original.fragment(0..32);
    let mut table = Reassembly::new(GENEROUS);
    let mut odd = original.packet(&[0; 31], 0, true, true);
    for bad in [
        &[][..],
        &good[..LINK + 51],
        &good[..LINK + 19],
        &odd.clone(),
        &good[..LINK],
        &[0; 60],
        &[0x60; 40],
    ] {
        assert_eq!(table.add(bad, 0), Added::Refused, "{bad:?}");
    }
    odd[LINK] = 0x41;
    assert_eq!(table.add(&odd, 0), Added::Refused, "a header of 4 bytes");
    assert_eq!((table.counters().malformed, table.counters().packets), (8, 0));
    assert_eq!(table.add(&original.packet(&[0; 32], 65_512, false, true), 0), Added::Refused);
    assert_eq!(table.counters().too_long, 1);
    for at in 0..64 {
        let original = Original::new(true, 8, 8 * 70);
        assert_eq!(table.add(&original.fragment(8 * at..8 * at + 8), 0), Added::Kept);
    }
    assert_eq!(
        table.add(&Original::new(true, 8, 8 * 70).fragment(8 * 64..8 * 65), 0),
        Added::Refused
    );
    assert_eq!(table.counters().too_many, 1);
    assert!(table.counters().adds_up());
}

#[test]
fn time_is_up_for_what_is_not_complete_and_the_key_is_free_again() {
    let original = Original::new(true, 7, 96);
    let mut table = Reassembly::new(GENEROUS);
    table.add(&original.fragment(0..48), 5);
    table.expire(GENEROUS.timeout_ns + 4);
    assert_eq!(table.counters().packets_pending, 1);
    table.expire(GENEROUS.timeout_ns + 5);
    let counters = table.counters();
    assert_eq!((counters.timed_out, counters.fragments_timed_out, table.bytes()), (1, 1, 0));
    table.add(&original.fragment(0..48), 2 * GENEROUS.timeout_ns);
    table.clear();
    assert_eq!((table.counters().timed_out, table.counters().adds_up()), (2, true));
}

#[test]
fn a_full_table_keeps_what_it_has() {
    let mut table = Reassembly::new(Limits { packets_max: 2, ..GENEROUS });
    let originals = [1, 2, 3].map(|identification| Original::new(false, identification, 96));
    let began =
        originals.each_ref().map(|original| table.add(&original.fragment(0..48), 0) == Added::Kept);
    assert_eq!(began, [true, true, false]);
    assert_whole(&mut table, &originals[0].fragment(48..96), &originals[0].whole());
    assert_eq!(table.add(&originals[2].fragment(0..48), 0), Added::Kept);
    let mut table = Reassembly::new(Limits { bytes_max: 3000, ..GENEROUS });
    let large = Original::new(false, 9, 4000);
    assert_eq!(table.add(&large.fragment(0..1480), 0), Added::Kept);
    assert_eq!(table.add(&large.fragment(1480..2960), 0), Added::Refused);
    assert_eq!((table.counters().no_memory, table.counters().adds_up()), (1, true));
}

/// Numbers that are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % end
    }
}

/// A packet of which fragments are still to come.
struct Sending {
    original: Original,
    fragments: Vec<Vec<u8>>,
    has_overlap: bool,
    is_cut_short: bool,
}

fn sending(numbers: &mut Numbers, identification: u32) -> Sending {
    let unit = 8 * (1 + numbers.below(180));
    let len = unit + 1 + numbers.below(unit * 12);
    let original = Original::new(numbers.below(2) == 0, identification % 65_536, len);
    let mut fragments = original.fragments(unit);
    for at in (1..fragments.len()).rev() {
        if numbers.below(4) == 0 {
            fragments.swap(at, numbers.below(at + 1));
        }
    }
    let kind = numbers.below(10);
    match kind {
        0 => {
            // Before the last one, so that it comes in time.
            let start = numbers.below(len / 16 + 1) * 8;
            let end = len.min(start + unit + 8) / 8 * 8;
            fragments.insert(
                fragments.len() - 1,
                original.packet(&vec![1; end - start], start, true, true),
            );
        }
        1 => fragments.truncate(fragments.len() - 1),
        2 => fragments.insert(1, fragments[0].clone()),
        _ => {}
    }
    Sending { original, fragments, has_overlap: kind == 0, is_cut_short: kind == 1 }
}

/// Sends 100 000 fragments of packets of which 20 are on their way at a time; returns what became
/// whole.
fn storm(table: &mut Reassembly, bytes_max: usize) -> (HashMap<u32, Sending>, HashSet<u32>) {
    let mut numbers = Numbers(1);
    let (mut sent, mut whole) = (HashMap::new(), HashSet::new());
    let mut under_way: Vec<(u32, usize)> = Vec::new();
    let (mut next, mut now_ns) = (0, 0);
    for _ in 0..100_000 {
        while under_way.len() < 20 {
            sent.insert(next, sending(&mut numbers, next));
            under_way.push((next, 0));
            next += 1;
        }
        let turn = numbers.below(under_way.len());
        let (number, at) = under_way[turn];
        let packet: &Sending = &sent[&number];
        now_ns += 1000;
        if let Added::Whole(bytes) = table.add(&packet.fragments[at], now_ns) {
            assert_eq!(bytes, packet.original.whole(), "packet {number}");
            assert!(whole.insert(number));
        }
        assert!(table.bytes() <= bytes_max, "{} bytes", table.bytes());
        under_way[turn].1 += 1;
        if at + 1 == packet.fragments.len() {
            under_way.swap_remove(turn);
        }
    }
    let counters = table.counters();
    assert_eq!((counters.fragments, counters.adds_up()), (100_000, true), "{counters:?}");
    for (number, at) in under_way {
        sent.get_mut(&number).unwrap().is_cut_short |= at < sent[&number].fragments.len();
    }
    (sent, whole)
}

#[test]
fn of_a_hundred_thousand_fragments_those_that_can_become_whole_do() {
    let mut table = Reassembly::new(GENEROUS);
    let (sent, whole) = storm(&mut table, GENEROUS.bytes_max);
    for (number, packet) in &sent {
        if packet.is_cut_short || packet.has_overlap {
            assert!(
                !whole.contains(number) || packet.has_overlap && !packet.is_cut_short,
                "packet {number}"
            );
        } else {
            assert!(whole.contains(number), "packet {number} of {:?}", packet.fragments.len());
        }
    }
    table.clear();
    let counters = table.counters();
    assert_eq!((table.bytes(), counters.packets_pending, counters.adds_up()), (0, 0, true));
    assert!(
        counters.overlapped > 500 && counters.timed_out > 500 && counters.repeated > 500,
        "{counters:?}"
    );
}

#[test]
fn a_hundred_thousand_fragments_stay_within_the_memory_that_there_is() {
    let limits = Limits { bytes_max: 40_000, packets_max: 12, timeout_ns: 300_000, ..GENEROUS };
    let mut table = Reassembly::new(limits);
    let (_, whole) = storm(&mut table, limits.bytes_max);
    table.clear();
    let counters = table.counters();
    assert!(
        counters.no_room > 1000 && counters.no_memory > 100 && counters.timed_out > 100,
        "{counters:?}"
    );
    assert_eq!((counters.completed, table.bytes()), (whole.len() as u64, 0));
    assert!(counters.adds_up());
}

#[test]
fn short_fragments_far_behind_cost_no_more_than_they_hold() {
    let mut table = Reassembly::new(GENEROUS);
    let original = Original::new(false, 7, 60_000);
    table.add(&original.fragment(59_992..60_000), 0);
    assert!(table.bytes() < 2000, "{} bytes", table.bytes());
}

#[test]
fn one_source_leaves_room_for_the_others() {
    let limits = Limits { packets_max: 16, source_share: 4, ..GENEROUS };
    let mut table = Reassembly::new(limits);
    let begun = (0..16)
        .filter(|&id| table.add(&Original::new(false, id, 96).fragment(0..48), 0) == Added::Kept);
    assert_eq!(begun.count(), 4);
    let other = Original::new(true, 1, 96);
    assert_eq!(table.add(&other.fragment(0..48), 0), Added::Kept, "its source is another one");
    assert_whole(&mut table, &other.fragment(48..96), &other.whole());
    table.clear();
    assert_eq!(
        (table.bytes(), table.counters().no_room, table.counters().adds_up()),
        (0, 12, true)
    );
    assert!(table.shares.is_empty());
    let limits = Limits { bytes_max: 40_000, source_share: 4, ..GENEROUS };
    let mut table = Reassembly::new(limits);
    let large = Original::new(false, 1, 20_000);
    let kept = large
        .fragments(1480)
        .iter()
        .filter(|fragment| table.add(fragment, 0) == Added::Kept)
        .count();
    assert!((4..7).contains(&kept), "{kept} of a quarter of 40 000 bytes");
}

#[test]
fn forged_sources_leave_room_for_those_of_declared_sessions() {
    let mut table = Reassembly::default();
    let declared = Original::new(false, 7, 3000);
    let mut forged = 0;
    for source in 0..16_u8 {
        for id in 0..1024 {
            // As long as the longest fragment of a jumbo frame's network.
            let mut first = Original::new(false, id, 9000).fragment(0..8960);
            first[26..30].copy_from_slice(&[203, 0, 113, source]);
            let added = table.add_from(&first, 0, |source| source.to_string() == "10.0.0.1");
            forged += u32::from(added == Added::Kept);
        }
    }
    assert!((700..1000).contains(&forged), "{forged} of 9000 bytes fill half of 16 MiB");
    let refused = table.counters().no_room + table.counters().no_memory;
    assert!(refused > 10_000, "{:?}", table.counters());
    assert_eq!(table.add_from(&declared.fragment(0..1480), 0, |_| true), Added::Kept);
    let second = declared.fragment(1480..3000);
    assert_eq!(table.add_from(&second, 0, |_| true), Added::Whole(&declared.whole()));
    table.clear();
    assert_eq!((table.bytes(), table.undeclared.bytes, table.undeclared.packets), (0, 0, 0));
    assert!(table.counters().adds_up());
}
