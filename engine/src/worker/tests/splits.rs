//! Frames that are divided among chunks at any byte: the same results as for whole ones.

use std::ops::Range;

use ipnet::IpNet;

use super::*;
use crate::config::{Action, Direction, Eni, Filter, MacAddress, PortRange, Rule};
use crate::ring::{Encapsulation, Link};

const TCP: u8 = 6;
const UDP: u8 = 17;
const MEMBERS: usize = 3;
const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// Returns a configuration in which every header decides about something: a session for a VNI, with
/// an interface, and rules that look at addresses and ports; an output with several members, and
/// one with a filter.
fn config() -> Config {
    let mut config = config_of(2, UnknownSessions::Drop);
    config.outputs[0].members = u32::try_from(MEMBERS).unwrap();
    config.outputs[1].filter = Some("rules".to_owned());
    config.sessions[0] = Session {
        source: None,
        eni: Some("eni".to_owned()),
        filter: Some("rules".to_owned()),
        ..config.sessions[0].clone()
    };
    let addresses = ["10.1.0.0/16", "2001:db8:1::/48"].map(|prefix| prefix.parse().unwrap());
    config.enis.push(Eni {
        id: "eni".to_owned(),
        mac: Some(MacAddress(MAC)),
        addresses: addresses.into(),
        ..Eni::default()
    });
    let all: [IpNet; 2] = ["0.0.0.0/0", "::/0"].map(|prefix| prefix.parse().unwrap());
    let rule = |direction, number, action, all, protocol, port| Rule {
        direction,
        number,
        action,
        protocol,
        source: all,
        destination: all,
        source_ports: None,
        destination_ports: protocol.map(|_| PortRange { first: port, last: port }),
    };
    let rules = [Direction::Ingress, Direction::Egress].into_iter().flat_map(|direction| {
        [
            rule(direction, 1, Action::Reject, all[0], Some(TCP), 22),
            rule(direction, 2, Action::Reject, all[1], Some(UDP), 5353),
            rule(direction, 3, Action::Accept, all[0], None, 0),
            rule(direction, 4, Action::Accept, all[1], None, 0),
        ]
    });
    config.filters.push(Filter {
        name: "rules".to_owned(),
        rules: rules.collect(),
        ..Filter::default()
    });
    config
}

fn be16(number: usize) -> [u8; 2] {
    u16::try_from(number).unwrap().to_be_bytes()
}

fn transport(protocol: u8, port: u16) -> Vec<u8> {
    let ports = [40_000_u16.to_be_bytes(), port.to_be_bytes()].concat();
    let rest = if protocol == UDP { vec![0, 20, 0, 0] } else { vec![0x50; 16] };
    [ports, rest, b"twelve bytes".to_vec()].concat()
}

fn v4(options: usize, protocol: u8, data: &[u8]) -> Vec<u8> {
    let header_len = 20 + 4 * options;
    let version = 0x40 | u8::try_from(header_len / 4).unwrap();
    let len = be16(header_len + data.len());
    let fixed = [version, 0, len[0], len[1], 0, 1, 0, 0, 64, protocol, 0, 0];
    let addresses = [192, 0, 2, 7, 10, 1, 2, 3];
    [&fixed, &addresses[..], &vec![1; 4 * options], data].concat()
}

fn v6(next: u8, data: &[u8]) -> Vec<u8> {
    let len = be16(data.len());
    let mut header = vec![0x60, 0, 0, 0, len[0], len[1], next, 64];
    for address in ["2001:db8:1::5", "2001:db8::7"] {
        header.extend(address.parse::<std::net::Ipv6Addr>().unwrap().octets());
    }
    [&header, data].concat()
}

/// Returns an extension header of `len` bytes, a multiple of 8, with what follows it.
fn extension(next: u8, len: usize, behind: &[u8]) -> Vec<u8> {
    [&[next, u8::try_from(len / 8 - 1).unwrap()][..], &vec![0; len - 2], behind].concat()
}

fn ethernet(to: [u8; 6], from: [u8; 6], types: &[[u8; 2]], data: &[u8]) -> Vec<u8> {
    [&to, &from, types.concat().as_slice(), data].concat()
}

fn udp(port: u16, data: &[u8]) -> Vec<u8> {
    let len = be16(8 + data.len());
    [&50_000_u16.to_be_bytes()[..], &port.to_be_bytes(), &len, &[0, 0], data].concat()
}

fn vxlan(inner: &[u8]) -> Vec<u8> {
    udp(4789, &[&[8, 0, 0, 0, 0, 0, 7, 0], inner].concat())
}

fn geneve(port: u16, options: &[u8], ether_type: [u8; 2], inner: &[u8]) -> Vec<u8> {
    let words = u8::try_from(options.len() / 4).unwrap();
    let header = [words, 0, ether_type[0], ether_type[1], 0, 0, 7, 0];
    udp(port, &[&header, options, inner].concat())
}

/// Returns outer frames that take different ways through the parsers.
fn frames() -> Vec<Vec<u8>> {
    const V4: [u8; 2] = [8, 0];
    const V6: [u8; 2] = [0x86, 0xdd];
    const TAG: [u8; 2] = [0x81, 0];
    let other = [4; 6];
    let in_v4 = |data: &[u8]| ethernet([6; 6], [8; 6], &[V4], &v4(0, UDP, data));
    let plain = ethernet(MAC, other, &[V4], &v4(0, UDP, &transport(UDP, 53)));
    let tagged =
        ethernet(other, MAC, &[TAG, [0, 5], TAG, [0, 6], V4], &v4(3, TCP, &transport(TCP, 443)));
    let rejected = ethernet(MAC, other, &[V4], &v4(0, TCP, &transport(TCP, 22)));
    let with_extensions = v6(0, &extension(60, 8, &extension(TCP, 16, &transport(TCP, 443))));
    let extensions = ethernet(MAC, other, &[V6], &with_extensions);
    let rejected_v6 =
        ethernet(other, MAC, &[V6], &v6(60, &extension(UDP, 8, &transport(UDP, 5353))));
    let fragment = v6(44, &[&[UDP, 0, 0, 0x31, 0, 0, 0, 1], &[9; 24][..]].concat());
    let icmp = ethernet(MAC, other, &[V4], &v4(0, 1, &[8; 16]));
    let arp = ethernet([0xff; 6], MAC, &[[8, 6]], &[1; 28]);
    let gwlb = [&[1, 8, 1, 2][..], &[0; 8]].concat();
    let mut no_vni = in_v4(&vxlan(&plain));
    no_vni[42] = 0;
    let mut cut = in_v4(&vxlan(&extensions));
    cut.truncate(cut.len() - 15);
    vec![
        in_v4(&vxlan(&plain)),
        in_v4(&vxlan(&tagged)),
        in_v4(&vxlan(&rejected)),
        in_v4(&vxlan(&extensions)),
        in_v4(&vxlan(&rejected_v6)),
        in_v4(&vxlan(&ethernet(other, other, &[V6], &fragment))),
        in_v4(&vxlan(&icmp)),
        in_v4(&vxlan(&arp)),
        in_v4(&geneve(6081, &[], V6, &with_extensions)),
        in_v4(&geneve(6081, &gwlb, V4, &v4(0, UDP, &vxlan(&plain)))),
        ethernet([6; 6], [8; 6], &[TAG, [0, 9], V6], &v6(0, &extension(UDP, 8, &vxlan(&plain)))),
        ethernet([6; 6], [8; 6], &[V4], &v4(2, UDP, &vxlan(&tagged))),
        no_vni,
        cut,
    ]
}

/// Everything about a frame that an output sees.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    output: usize,
    session: SessionId,
    direction: Option<Direction>,
    bytes: Vec<u8>,
    original_len: u32,
    link: Link,
    encapsulation: Encapsulation,
    outer: Vec<u8>,
    source_vni: String,
}

/// Returns what the outputs see of one frame after the other, and the counts of the worker.
fn outcome(frames: Vec<Vec<Vec<u8>>>) -> (Vec<Seen>, WorkerCounters) {
    let mut config = config();
    config.capture.ports = ["vxlan:4789", "geneve:6081"].map(|port| port.parse().unwrap()).into();
    let (mut consumers, counters) =
        harness_of(&[512; MEMBERS + 1], &config, WhenFull::Drop).run_divided(frames);
    assert!(counters.total.adds_up());
    let chunks = counters.chunks;
    assert_eq!(chunks.free + chunks.in_flight + chunks.published, chunks.total);
    let mut seen = Vec::new();
    for (output, consumer) in consumers.iter_mut().enumerate() {
        while let Next::Batch(batch) = consumer.next(Duration::ZERO) {
            seen.extend(batch.iter().map(|frame| Seen {
                output,
                session: frame.session(),
                direction: frame.direction(),
                bytes: frame.bytes().into_owned(),
                original_len: frame.original_len(),
                link: frame.link(),
                encapsulation: frame.outer().encapsulation(),
                outer: frame.outer().bytes().to_vec(),
                source_vni: frame.source_vni().to_string(),
            }));
        }
    }
    (seen, counters)
}

/// Divides a frame at these bytes.
fn divided(frame: &[u8], at: &[usize]) -> Vec<Vec<u8>> {
    let starts = std::iter::once(0).chain(at.iter().copied());
    let ends = at.iter().copied().chain([frame.len()]);
    starts
        .zip(ends)
        .map(|(start, end): (usize, usize)| frame[Range { start, end }].to_vec())
        .collect()
}

/// Asserts that frames, each divided at bytes of its own, have the outcome of as many whole ones.
fn assert_as_whole(frame: &[u8], divisions: &[Vec<usize>]) {
    let (one, counted) = outcome(vec![vec![frame.to_vec()]]);
    let (all, sums) = outcome(divisions.iter().map(|at| divided(frame, at)).collect());
    let count = divisions.len();
    let expected: Vec<_> =
        one.iter().flat_map(|seen| std::iter::repeat_n(seen.clone(), count)).collect();
    if all != expected {
        let odd = all.iter().zip(&expected).position(|(seen, expected)| seen != expected);
        let odd = odd.unwrap_or(all.len().min(expected.len()));
        panic!(
            "{odd} of {} instead of {}, divided at {:?}:\n{:?}\n{:?}",
            all.len(),
            expected.len(),
            divisions.get(odd % count),
            all.get(odd),
            expected.get(odd)
        );
    }
    let count = u64::try_from(count).unwrap();
    for reason in DropReason::ALL {
        let [sum, one] = [&sums, &counted].map(|counters| counters.total.drops.get(reason));
        assert_eq!(sum, one * count, "{reason}");
    }
}

#[test]
fn a_frame_that_is_divided_at_any_byte_has_the_outcome_of_the_whole_one() {
    for frame in frames() {
        let divisions: Vec<_> = (0..=frame.len()).map(|at| vec![at]).collect();
        assert_as_whole(&frame, &divisions);
    }
}

#[test]
fn the_frames_of_this_test_reach_what_they_are_meant_for() {
    let outcomes: Vec<_> = frames().into_iter().map(|frame| outcome(vec![vec![frame]])).collect();
    let refused = outcomes.iter().map(|(_, counters)| {
        DropReason::ALL.into_iter().find(|reason| counters.total.drops.get(*reason) > 0)
    });
    let expected: Vec<_> = (0..14)
        .map(|nth| match nth {
            2 | 4 => Some(DropReason::RuleRejected),
            7 => Some(DropReason::NoRuleMatched),
            12 => Some(DropReason::VxlanWithoutVni),
            _ => None,
        })
        .collect();
    assert_eq!(refused.collect::<Vec<_>>(), expected);
    let seen = |nth: usize| &outcomes[nth].0[0];
    assert_eq!(seen(8).link, Link::Ip);
    assert_eq!(seen(9).encapsulation, Encapsulation::GeneveVxlan);
    let directions = [0, 1, 8].map(|nth| seen(nth).direction);
    assert_eq!(
        directions,
        [Some(Direction::Ingress), Some(Direction::Egress), Some(Direction::Egress)]
    );
    let members: std::collections::HashSet<_> =
        outcomes.iter().filter_map(|(seen, _)| seen.first()).map(|seen| seen.output).collect();
    assert!(members.len() > 1, "{members:?}");
}

/// The kernel divides a frame when a chunk is full. Outer headers of such a length take another
/// frame's inner headers to every place at the end of the first chunk.
#[test]
fn inner_headers_behind_long_outer_headers_are_read_across_the_end_of_a_chunk() {
    let inner = frames().remove(3).split_off(50);
    let (plain, _) = outcome(vec![vec![frames().remove(3)]]);
    let outer = |options: usize| {
        let inner = vxlan(&inner);
        let behind = extension(UDP, 1600, &inner);
        ethernet([6; 6], [8; 6], &[[0x86, 0xdd]], &v6(0, &extension(60, 8 * options, &behind)))
    };
    for options in 1..25 {
        let frame = outer(options);
        let start = frame.len() - inner.len();
        let (seen, counters) =
            outcome(vec![frame.chunks(CHUNK_ROOM).map(<[u8]>::to_vec).collect()]);
        if start > CHUNK_ROOM {
            assert_eq!(counters.total.drops.get(DropReason::OuterTooLong), 1, "{start}");
            continue;
        }
        let of = |seen: &[Seen]| {
            let of =
                |seen: &Seen| (seen.output, seen.direction, seen.bytes.clone(), seen.original_len);
            seen.iter().map(of).collect::<Vec<_>>()
        };
        assert_eq!(of(&seen), of(&plain), "the inner frame begins at {start}");
        assert_eq!(seen[0].outer, frame[14..start]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn a_frame_in_many_parts_has_the_outcome_of_the_whole_one(
        nth in 0..frames().len(),
        divisions in prop::collection::vec(
            prop::collection::vec(any::<prop::sample::Index>(), 1..7), 1..10),
    ) {
        let frame = frames().remove(nth);
        let at = |indexes: Vec<prop::sample::Index>| {
            let mut at: Vec<_> =
                indexes.iter().map(|index| index.index(frame.len() + 1)).collect();
            at.sort_unstable();
            at
        };
        assert_as_whole(&frame, &divisions.into_iter().map(at).collect::<Vec<_>>());
    }
}
