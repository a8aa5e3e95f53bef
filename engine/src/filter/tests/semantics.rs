//! Evaluates whole frames: fragments, cut frames, frames without IP, and Amazon's DNS.

use etherparse::PacketBuilder;

use super::super::Policies;
use super::super::policy::Verdict;
use super::*;
use crate::config::{Config, Eni, Filter, NetworkService, Session, UnknownDirection};
use crate::decap::Link;
use crate::drop_reason::DropReason;
use crate::session::{Directory, SessionId, SessionKey, SourceVni, Vni};

/// The mirrored host, and where the mirror sends from.
const HOST: [u8; 4] = [10, 0, 1, 5];
const PEER: [u8; 4] = [198, 51, 100, 7];

fn config(rules: Vec<Rule>, services: Vec<NetworkService>) -> Config {
    let eni = Eni {
        id: "eni".to_owned(),
        vpc_prefixes: vec!["10.0.0.0/16".parse().unwrap(), "10.8.0.0/16".parse().unwrap()],
        ..Eni::default()
    };
    let session = Session {
        name: "web".to_owned(),
        vni: 1,
        eni: Some("eni".to_owned()),
        filter: Some("filter".to_owned()),
        ..Session::default()
    };
    let filter = Filter { name: "filter".to_owned(), network_services: services, rules };
    Config { enis: vec![eni], filters: vec![filter], sessions: vec![session], ..Config::default() }
}

fn evaluate(config: &Config, frame: &[u8]) -> Verdict {
    config.validate().unwrap_or_else(|error| panic!("{error}"));
    let policies = Policies::new(config, &[SessionId(1)], &Directory::default());
    let source = SessionKey::from(SourceVni { source: HOST.into(), vni: Vni::default() });
    policies.get(SessionId(1)).unwrap().evaluate(frame, Link::Ethernet, source, None)
}

fn outcome(config: &Config, frame: &[u8]) -> Result<(), DropReason> {
    evaluate(config, frame).outcome
}

fn tcp(source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64);
    builder.tcp(ports.0, ports.1, 1, 1).write(&mut frame, &[7; 100]).unwrap();
    frame
}

fn udp(source: [u8; 4], destination: [u8; 4], ports: (u16, u16)) -> Vec<u8> {
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(source, destination, 64);
    builder.udp(ports.0, ports.1).write(&mut frame, &[7; 100]).unwrap();
    frame
}

/// The frame as one of the fragments of a packet: `offset` in units of 8 bytes.
fn fragment(mut frame: Vec<u8>, offset: u16, more: bool) -> Vec<u8> {
    let field = offset | u16::from(more) << 13;
    frame[20..22].copy_from_slice(&field.to_be_bytes());
    frame
}

const fn port(port: u16) -> PortRange {
    PortRange { first: port, last: port }
}

/// TCP without SSH, towards the host.
fn without_ssh() -> Vec<Rule> {
    let ssh = Rule {
        action: Action::Reject,
        protocol: Some(TCP),
        destination_ports: Some(port(22)),
        ..rule(50)
    };
    vec![Rule { protocol: Some(TCP), ..rule(100) }, ssh]
}

#[test]
fn the_lowest_number_that_matches_decides_and_what_none_matches_is_rejected() {
    let config = config(without_ssh(), Vec::new());
    let found = evaluate(&config, &tcp(PEER, HOST, (40_000, 443)));
    assert_eq!(found, Verdict { direction: Some(Direction::Ingress), outcome: Ok(()) });
    assert_eq!(outcome(&config, &tcp(PEER, HOST, (40_000, 22))), Err(DropReason::RuleRejected));
    assert_eq!(outcome(&config, &udp(PEER, HOST, (40_000, 22))), Err(DropReason::NoRuleMatched));
    // The other list is empty.
    let found = evaluate(&config, &tcp(HOST, PEER, (443, 40_000)));
    assert_eq!(
        (found.direction, found.outcome),
        (Some(Direction::Egress), Err(DropReason::NoRuleMatched))
    );
}

#[test]
fn a_rule_with_ports_does_not_match_what_shows_none() {
    let only_https = config(
        vec![Rule { protocol: Some(TCP), destination_ports: Some(port(443)), ..rule(1) }],
        Vec::new(),
    );
    let config = config(without_ssh(), Vec::new());
    let ssh = tcp(PEER, HOST, (40_000, 22));
    // The first fragment shows its ports; the others go on to the rule that asks for none.
    assert_eq!(outcome(&config, &fragment(ssh.clone(), 0, true)), Err(DropReason::RuleRejected));
    assert_eq!(outcome(&config, &fragment(ssh.clone(), 100, false)), Ok(()));
    // Cut in the middle of the ports, behind the IP header, and in the IP header.
    assert_eq!(outcome(&config, &ssh[..38]), Err(DropReason::RuleRejected));
    assert_eq!(outcome(&config, &ssh[..37]), Ok(()));
    assert_eq!(outcome(&config, &ssh[..34]), Ok(()));
    assert_eq!(outcome(&config, &ssh[..33]), Err(DropReason::NoRuleMatched));
    let https = tcp(PEER, HOST, (40_000, 443));
    assert_eq!(outcome(&only_https, &https), Ok(()));
    assert_eq!(outcome(&only_https, &fragment(https, 100, false)), Err(DropReason::NoRuleMatched));
}

#[test]
fn all_ports_are_the_same_as_none() {
    let all = Rule { protocol: Some(TCP), destination_ports: Some(PortRange::ALL), ..rule(1) };
    let config = config(vec![all], Vec::new());
    assert_eq!(outcome(&config, &fragment(tcp(PEER, HOST, (1, 2)), 100, false)), Ok(()));
}

#[test]
fn what_is_not_ip_matches_no_rule() {
    let mut config = config(vec![rule(1)], Vec::new());
    let arp = [&[0xff; 6][..], &[2; 6], &[8, 6], &[0; 28]].concat();
    assert_eq!(outcome(&config, &arp), Err(DropReason::NoRuleMatched));
    assert_eq!(outcome(&config, &[]), Err(DropReason::NoRuleMatched));
    config.unknown_direction = UnknownDirection::Accept;
    assert_eq!(outcome(&config, &arp), Ok(()));
}

#[test]
fn a_frame_without_a_direction_is_evaluated_as_configured() {
    let (a, b) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let only_egress = Rule {
        direction: Direction::Egress,
        destination: "192.0.2.2/32".parse().unwrap(),
        ..rule(1)
    };
    let reject =
        Rule { action: Action::Reject, source: "192.0.2.2/32".parse().unwrap(), ..rule(1) };
    let mut config = config(vec![only_egress, reject], Vec::new());
    let (there, back, other) = (tcp(a, b, (1, 2)), tcp(b, a, (2, 1)), tcp(a, a, (1, 2)));
    assert_eq!(evaluate(&config, &there), Verdict { direction: None, outcome: Ok(()) });
    assert_eq!(outcome(&config, &back), Err(DropReason::RuleRejected));
    assert_eq!(outcome(&config, &other), Err(DropReason::NoRuleMatched));
    config.unknown_direction = UnknownDirection::Accept;
    assert_eq!([&there, &back, &other].map(|frame| outcome(&config, frame)), [Ok(()); 3]);
    config.unknown_direction = UnknownDirection::Reject;
    assert_eq!(
        [&there, &back, &other].map(|frame| outcome(&config, frame)),
        [Err(DropReason::DirectionUnknown); 3]
    );
}

#[test]
fn amazon_dns_passes_or_not_whatever_the_rules_say() {
    let reject_all = vec![Rule { action: Action::Reject, ..rule(1) }];
    let listed = config(reject_all, vec![NetworkService::AmazonDns]);
    let both = vec![rule(1), Rule { direction: Direction::Egress, ..rule(1) }];
    let unlisted = config(both, Vec::new());
    let link_local = [169, 254, 169, 253];
    for server in [link_local, [10, 0, 0, 2], [10, 8, 0, 2]] {
        let question = udp(HOST, server, (40_000, 53));
        let answer = tcp(server, HOST, (53, 40_000));
        let rest = fragment(udp(server, HOST, (53, 40_000)), 100, false);
        for frame in [&question, &answer, &rest] {
            assert_eq!(outcome(&listed, frame), Ok(()), "{server:?}");
            assert_eq!(outcome(&unlisted, frame), Err(DropReason::AmazonDns), "{server:?}");
        }
        // Port 53 at the other side, and another port at the server, are not DNS.
        for other in [
            udp(HOST, server, (53, 40_000)),
            udp(server, HOST, (40_000, 53)),
            tcp(HOST, server, (9, 80)),
        ] {
            assert_eq!(outcome(&unlisted, &other), Ok(()), "{server:?}");
        }
    }
    for elsewhere in [[10, 0, 0, 3], [10, 1, 0, 2], [8, 8, 8, 8]] {
        assert_eq!(
            outcome(&unlisted, &udp(HOST, elsewhere, (40_000, 53))),
            Ok(()),
            "{elsewhere:?}"
        );
    }
}

#[test]
fn amazon_dns_has_an_address_of_ipv6() {
    let mut frame = Vec::new();
    let server = "fd00:ec2::253".parse::<std::net::Ipv6Addr>().unwrap().octets();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([0xfd; 16], server, 64);
    builder.udp(40_000, 53).write(&mut frame, &[7; 20]).unwrap();
    let listed = config(Vec::new(), vec![NetworkService::AmazonDns]);
    assert_eq!(outcome(&listed, &frame), Ok(()));
    assert_eq!(outcome(&config(Vec::new(), Vec::new()), &frame), Err(DropReason::AmazonDns));
}

#[test]
fn ipv4_and_ipv6_have_rules_of_their_own() {
    let v6 = Rule {
        source: "::/0".parse().unwrap(),
        destination: "fd00::/8".parse().unwrap(),
        ..rule(2)
    };
    let config = config(vec![rule(1), v6], Vec::new());
    let mut frame = Vec::new();
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv6([0x20; 16], [0xfd; 16], 64);
    builder.tcp(1, 2, 1, 1).write(&mut frame, &[]).unwrap();
    assert_eq!(outcome(&config, &frame), Ok(()));
    frame[38] = 0x20;
    assert_eq!(outcome(&config, &frame), Err(DropReason::NoRuleMatched));
    assert_eq!(outcome(&config, &tcp(PEER, HOST, (1, 2))), Ok(()));
}

#[test]
fn a_session_without_a_filter_passes_everything() {
    let mut config = config(Vec::new(), Vec::new());
    config.sessions[0].filter = None;
    assert_eq!(outcome(&config, &udp(HOST, [169, 254, 169, 253], (40_000, 53))), Ok(()));
    assert_eq!(outcome(&config, &[0; 20]), Ok(()));
}
