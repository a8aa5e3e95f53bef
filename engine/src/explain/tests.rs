//! Explanations agree with the data path, and the rules that are named are the ones that decide.

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;
use crate::config::{Action, Eni, MacAddress, Session};
use crate::filter::tests::{PORTS, V4, any_rules};

const MAC: [u8; 6] = [2, 0, 0, 0, 0, 1];

/// A mirrored packet of the small world of the rules' tests; `is_out`: from the mirrored interface,
/// to it, or neither.
fn mirrored(
    is_out: Option<bool>,
    source: u32,
    destination: u32,
    ports: (u16, u16),
    is_tcp: bool,
) -> Vec<u8> {
    let (from, to) = match is_out {
        Some(true) => (MAC, [8; 6]),
        Some(false) => ([8; 6], MAC),
        None => ([8; 6], [8; 6]),
    };
    let builder = PacketBuilder::ethernet2(from, to).ipv4(
        source.to_be_bytes(),
        destination.to_be_bytes(),
        64,
    );
    let mut inner = Vec::new();
    if is_tcp {
        builder.tcp(ports.0, ports.1, 1, 1).write(&mut inner, &[]).unwrap();
    } else {
        builder.udp(ports.0, ports.1).write(&mut inner, &[]).unwrap();
    }
    let mut outer = Vec::new();
    PacketBuilder::ethernet2([6; 6], [8; 6])
        .ipv4([203, 0, 113, 1], [203, 0, 113, 2], 255)
        .udp(65408, 4789)
        .write(&mut outer, &[&[8, 0, 0, 0, 0, 0, 7, 0], &inner[..]].concat())
        .unwrap();
    outer
}

fn config(rules: Vec<crate::config::Rule>) -> Config {
    let session = Session {
        name: "s".to_owned(),
        vni: 7,
        eni: Some("e".to_owned()),
        filter: Some("f".to_owned()),
        ..Session::default()
    };
    let eni = Eni { id: "e".to_owned(), mac: Some(MacAddress(MAC)), ..Eni::default() };
    let filter = Filter { name: "f".to_owned(), rules, ..Filter::default() };
    Config { enis: vec![eni], filters: vec![filter], sessions: vec![session], ..Config::default() }
}

/// Returns the outcome of a walk through one list.
fn says(walk: &Walk) -> Result<(), DropReason> {
    match walk.decision {
        Some(Decision { action: Action::Accept, .. }) => Ok(()),
        Some(_) => Err(DropReason::RuleRejected),
        None => Err(DropReason::NoRuleMatched),
    }
}

proptest! {
    #[test]
    fn the_rules_that_are_named_decide(
        ingress in any_rules(12),
        egress in any_rules(12),
        frames in prop::collection::vec(
            (
                prop::option::weighted(0.8, any::<bool>()),
                prop::sample::select(&V4[..]),
                prop::sample::select(&V4[..]),
                prop::sample::select(&PORTS[..]),
                prop::sample::select(&PORTS[..]),
                any::<bool>(),
            ),
            20,
        ),
    ) {
        let egress = egress.into_iter().map(|rule| crate::config::Rule { direction: Direction::Egress, ..rule });
        let explainer = Explainer::new(config(ingress.into_iter().chain(egress).collect())).unwrap();
        let mut summary = Summary::new(&explainer);
        let mut decided = 0;
        for (is_out, source, destination, from, to, is_tcp) in frames {
            let outcome = explainer.explain(&mirrored(is_out, source, destination, (from, to), is_tcp));
            summary.count(&outcome);
            let FrameOutcome::Evaluated(explanation) = outcome else { panic!("mirrored") };
            let said: Vec<_> = explanation.walks.iter().map(says).collect();
            let expected = match said[..] {
                [one] => one,
                [one, two] => crate::filter::policy::either(one, two),
                _ => panic!("one list or both"),
            };
            prop_assert_eq!(explanation.outcome, expected);
            prop_assert_eq!(explanation.direction.is_some(), is_out.is_some());
            prop_assert_eq!(explanation.rule.is_none(), expected == Err(DropReason::NoRuleMatched));
            decided += u64::from(explanation.rule.is_some());
        }
        prop_assert_eq!(summary.received(), 20);
        prop_assert_eq!(summary.rules().iter().map(|rule| rule.packets).sum::<u64>(), decided);
        // A shadowed rule has decided about no packet.
        for rule in summary.rules() {
            prop_assert!(rule.packets == 0 || rule.shadowed_by.is_empty());
        }
    }
}

#[test]
fn what_does_not_reach_a_session_has_a_reason() {
    let explainer = Explainer::new(config(Vec::new())).unwrap();
    let frame = mirrored(None, 1, 2, (3, 4), true);
    let mut other_port = frame.clone();
    other_port[36..38].copy_from_slice(&80_u16.to_be_bytes());
    assert!(matches!(explainer.explain(&other_port), FrameOutcome::NotSteered("not_ours")));
    let mut no_vni = frame.clone();
    no_vni[42] = 0;
    assert!(matches!(
        explainer.explain(&no_vni),
        FrameOutcome::NotDecapsulated(DropReason::VxlanWithoutVni)
    ));
    let mut other_vni = frame;
    other_vni[48] = 8;
    let FrameOutcome::Evaluated(explanation) = explainer.explain(&other_vni) else {
        panic!("mirrored")
    };
    assert_eq!((explanation.session, explanation.outcome), ("default", Ok(())));
    let mut config = config(Vec::new());
    config.unknown = crate::config::UnknownSessions::Drop;
    let explainer = Explainer::new(config).unwrap();
    let FrameOutcome::Evaluated(explanation) = explainer.explain(&other_vni) else {
        panic!("mirrored")
    };
    assert_eq!(explanation.outcome, Err(DropReason::UnknownSession));
}

#[test]
fn of_a_datagram_in_fragments_the_last_one_to_come_is_evaluated_as_the_whole() {
    let outer = mirrored(Some(true), 1, 2, (1, 2), true);
    let data = &outer[34..];
    let fragment = |range: std::ops::Range<usize>| {
        let mut frame = outer[..34].to_vec();
        frame[16..18].copy_from_slice(&u16::try_from(20 + range.len()).unwrap().to_be_bytes());
        let more = if range.end < data.len() { 0x2000 } else { 0 };
        frame[20..22]
            .copy_from_slice(&(more | u16::try_from(range.start / 8).unwrap()).to_be_bytes());
        frame.extend(&data[range]);
        frame
    };
    let explainer = Explainer::new(config(Vec::new())).unwrap();
    let (first, second) = (fragment(0..32), fragment(32..data.len()));
    assert!(
        matches!(explainer.explain(&second), FrameOutcome::NotSteered("fragment")),
        "before the first"
    );
    let kept = explainer.explain(&first);
    assert!(matches!(kept, FrameOutcome::NotDecapsulated(DropReason::FragmentKept)), "{kept:?}");
    let FrameOutcome::Evaluated(whole) = explainer.explain(&second) else { panic!("whole") };
    let FrameOutcome::Evaluated(expected) = explainer.explain(&outer) else {
        panic!("whole from the start")
    };
    assert_eq!(
        (whole.session, &whole.flow, whole.outcome),
        (expected.session, &expected.flow, expected.outcome)
    );
}
