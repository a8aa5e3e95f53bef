//! Outputs with several members, and outputs with a filter of their own.

use std::collections::HashMap;

use super::*;
use crate::config::{Action, Direction, Filter, Rule, UDP};

const MEMBERS: u32 = 4;

/// Returns one output with several members; all frames are of one session.
fn group() -> Config {
    let mut config = config_of(1, UnknownSessions::Pass);
    config.outputs[0].members = MEMBERS;
    config
}

/// Returns a frame of flow `number` in one direction, in a datagram whose source port depends on
/// both.
fn of_flow(number: u16, is_answer: bool) -> Vec<u8> {
    let [high, low] = number.to_be_bytes();
    let (client, server) = (([10, 1, high, low], 1024 + number), ([10, 2, 0, 53], 53));
    let (from, to) = if is_answer { (server, client) } else { (client, server) };
    let mut inner = Vec::new();
    PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4(from.0, to.0, 64)
        .udp(from.1, to.1)
        .write(&mut inner, &number.to_be_bytes())
        .unwrap();
    around(&inner, 49_152 + number % 1000 + u16::from(is_answer) * 7)
}

/// Returns a datagram of the session of [`config_of`].
fn around(inner: &[u8], source_port: u16) -> Vec<u8> {
    let mut outer = Vec::new();
    PacketBuilder::ethernet2([6; 6], [8; 6])
        .ipv4([10, 0, 0, 1], [10, 0, 0, 99], 255)
        .udp(source_port, 4789)
        .write(&mut outer, &[&[8, 0, 0, 0, 0, 0, 7, 0], inner].concat())
        .unwrap();
    outer
}

/// Returns the members that each frame has reached, by the number at its end.
fn members_of(consumers: &mut [Consumer]) -> HashMap<Vec<u8>, Vec<usize>> {
    let mut members: HashMap<_, Vec<_>> = HashMap::new();
    for (member, consumer) in consumers.iter_mut().enumerate() {
        for (_, bytes) in read_all(consumer) {
            members.entry(bytes[bytes.len() - 2..].to_vec()).or_default().push(member);
        }
    }
    members
}

#[test]
fn both_directions_of_a_flow_meet_at_the_same_member_whatever_worker_they_come_to() {
    const FLOWS: u16 = 10_000;
    let ring_lens = [8192; MEMBERS as usize];
    let both = [false, true].map(|is_answer| {
        let harness = harness_of(&ring_lens, &group(), WhenFull::Drop);
        let (mut consumers, counters) =
            harness.run((0..FLOWS).map(|number| of_flow(number, is_answer)));
        let delivered: Vec<_> =
            counters.outputs.iter().map(|sessions| sessions[1].delivered.frames).collect();
        assert_eq!(delivered, counters.pushed);
        assert_eq!(delivered.iter().sum::<u64>(), u64::from(FLOWS));
        assert!(delivered.iter().all(|&frames| (2300..2700).contains(&frames)), "{delivered:?}");
        assert_eq!(counters.outputs.iter().map(|sessions| sessions[1].dropped).sum::<u64>(), 0);
        assert_eq!(counters.total.delivered.frames, u64::from(FLOWS));
        members_of(&mut consumers)
    });
    let [questions, answers] = both;
    assert_eq!(questions.len(), usize::from(FLOWS));
    assert!(questions.values().all(|members| members.len() == 1), "one member each");
    assert_eq!(questions, answers);
}

#[test]
fn what_is_not_ip_goes_to_the_first_member() {
    let harness = harness_of(&[64; MEMBERS as usize], &group(), WhenFull::Drop);
    let arp = |number: u8| {
        around(&[&[2; 12], &[8, 6][..], &[number; 28]].concat(), 50_000 + u16::from(number))
    };
    let (_, counters) = harness.run((0..20).map(arp));
    assert_eq!(counters.pushed, [20, 0, 0, 0]);
}

#[test]
fn a_full_member_loses_its_own_frames_only_and_the_sums_add_up() {
    let harness = harness_of(&[64, 1024, 1024, 1024], &group(), WhenFull::Drop);
    let (_, counters) = harness.run((0..2000).map(|number| of_flow(number, false)));
    let members: Vec<_> = counters.outputs.iter().map(|sessions| sessions[1]).collect();
    assert_eq!(members[0].delivered.frames, 64);
    let dropped: Vec<_> = members.iter().map(|member| member.dropped).collect();
    assert!(dropped[0] > 300 && dropped[1..] == [0; 3], "{dropped:?}");
    let session = counters.sessions[1];
    assert_eq!(session.drops.get(DropReason::OutputFull), dropped[0]);
    assert!(session.adds_up() && counters.total.adds_up());
}

/// Returns a filter that accepts UDP from or to port 53, or nothing.
fn dns(action: Action) -> Filter {
    let rule = |direction| Rule {
        direction,
        number: 1,
        action,
        protocol: Some(UDP),
        source: "10.1.0.0/24".parse().unwrap(),
        destination: "0.0.0.0/0".parse().unwrap(),
        source_ports: None,
        destination_ports: None,
    };
    let rules = [Direction::Ingress, Direction::Egress].map(rule).into();
    Filter { name: "dns".to_owned(), rules, ..Filter::default() }
}

#[test]
fn an_output_with_a_filter_gets_what_its_rules_accept_and_the_others_get_everything() {
    let mut config = config_of(2, UnknownSessions::Pass);
    config.filters.push(dns(Action::Accept));
    config.outputs[0].filter = Some("dns".to_owned());
    let harness = harness_of(&[1024, 1024], &config, WhenFull::Drop);
    let (_, counters) = harness.run((0..600).map(|number| of_flow(number, false)));
    let of = |output: usize| {
        let output = counters.outputs[output][1];
        (output.delivered.frames, output.dropped)
    };
    assert_eq!([of(0), of(1)], [(256, 0), (600, 0)]);
    assert_eq!(counters.pushed, [256, 600]);
}

#[test]
fn a_frame_that_no_output_chooses_has_no_output() {
    let mut config = config_of(1, UnknownSessions::Pass);
    config.filters.push(dns(Action::Reject));
    config.outputs[0].filter = Some("dns".to_owned());
    let harness = harness_of(&[64], &config, WhenFull::Drop);
    let (_, counters) = harness.run((0..10).map(|number| of_flow(number, false)));
    assert_eq!((counters.total.drops.get(DropReason::NoOutput), counters.pushed[0]), (10, 0));
    assert!(counters.sessions[1].adds_up());
}
