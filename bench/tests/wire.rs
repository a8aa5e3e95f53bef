//! Claim: every frame is equal to that of an AWS mirror, as an independent parser reads it.

use std::collections::{HashMap, HashSet};
use std::net::IpAddr;

use etherparse::{NetSlice, SlicedPacket, TransportSlice, UdpSlice};
use proptest::prelude::*;
use vxtap_bench::profile::{Ipv6Checksum, MAX_INNER_LEN, OuterHeaders, ProtocolMix, Sizes};
use vxtap_bench::{Direction, MirrorSession, Profile, Sent, Traffic, payload_tag};

/// All protocols over both families, in sessions with outer IPv4 and outer IPv6.
fn profile(count: u64) -> Profile {
    let mut sessions = MirrorSession::numbered(3, "10.9.1.1".parse().expect("address"), 500);
    sessions.extend(MirrorSession::numbered(2, "fd00:9::1".parse().expect("address"), 0xFF_FFFE));
    Profile {
        sessions,
        flows_per_session: 40,
        ipv6_percent: 50,
        mix: ProtocolMix { tcp: 1, udp: 1, dns: 1, icmp: 1 },
        count: Some(count),
        ..Profile::default()
    }
}

fn for_each_frame(profile: &Profile, mut each: impl FnMut(Sent, &[u8])) {
    let mut traffic = Traffic::new(profile).expect("valid profile");
    let mut frame = Vec::new();
    while let Some(sent) = traffic.next_frame(&mut frame) {
        each(sent, &frame);
    }
}

fn parse(frame: &[u8]) -> SlicedPacket<'_> {
    SlicedPacket::from_ethernet(frame).expect("etherparse reads the frame")
}

fn udp<'a>(packet: &SlicedPacket<'a>) -> UdpSlice<'a> {
    let Some(TransportSlice::Udp(udp)) = &packet.transport else { panic!("no UDP: {packet:?}") };
    udp.clone()
}

/// Checks the tunnel and returns the inner frame.
fn check_outer<'a>(profile: &Profile, sent: &Sent, frame: &'a [u8]) -> &'a [u8] {
    let session = profile.sessions[sent.session];
    let packet = parse(frame);
    assert_eq!(frame[0..6], profile.outer.destination_mac);
    assert_eq!(frame[6..12], profile.outer.source_mac);
    let datagram = udp(&packet);
    match (packet.net.as_ref().expect("an IP header"), session.source) {
        (NetSlice::Ipv4(ip), IpAddr::V4(source)) => {
            let header = ip.header().to_header();
            assert_eq!(
                (header.source, header.destination),
                (source.octets(), profile.outer.ipv4_destination.octets())
            );
            assert_eq!(usize::from(header.total_len), frame.len() - 14);
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            assert_eq!((header.dscp.value(), header.ecn.value(), header.identification), (0, 0, 0));
            assert_eq!((header.dont_fragment, header.more_fragments), (false, false));
            assert_eq!((header.fragment_offset.value(), header.time_to_live), (0, 255));
            assert_eq!(datagram.checksum(), 0);
        }
        (NetSlice::Ipv6(ip), IpAddr::V6(source)) => {
            let header = ip.header().to_header();
            assert_eq!(
                (header.source, header.destination),
                (source.octets(), profile.outer.ipv6_destination.octets())
            );
            assert_eq!(usize::from(header.payload_length), frame.len() - 54);
            assert_eq!(header.hop_limit, 255);
            let real = datagram
                .to_header()
                .calc_checksum_ipv6(&header, datagram.payload())
                .expect("short");
            assert_eq!(datagram.checksum(), real);
        }
        other => panic!("wrong outer family: {other:?}"),
    }
    check_vxlan(profile, &session, &datagram)
}

fn check_vxlan<'a>(
    profile: &Profile,
    session: &MirrorSession,
    datagram: &UdpSlice<'a>,
) -> &'a [u8] {
    assert_eq!(datagram.destination_port(), profile.outer.port);
    assert!(datagram.source_port() >= 65_408);
    let (vxlan, inner) = datagram.payload().split_at(8);
    let vni = session.vni.to_be_bytes();
    assert_eq!(vxlan, [0x08, 0, 0, 0, vni[1], vni[2], vni[3], 0]);
    inner
}

/// Checks lengths, checksums, MAC addresses and the payload tag of an inner frame.
fn check_inner(sent: &Sent, inner: &[u8]) {
    assert_eq!(inner.len(), usize::from(sent.inner_len));
    let [high, low] = u16::try_from(sent.session).expect("16 bits").to_be_bytes();
    let (interface, router) = ([6, 0, 0, 0, high, low], [6, 0xff, 0xff, 0xff, high, low]);
    let (destination, source) =
        if sent.direction == Direction::Egress { (router, interface) } else { (interface, router) };
    assert_eq!((&inner[0..6], &inner[6..12]), (&destination[..], &source[..]));
    let packet = parse(inner);
    let payload = match packet.net.as_ref().expect("an IP header") {
        NetSlice::Ipv4(ip) => {
            let header = ip.header().to_header();
            assert_eq!(usize::from(header.total_len), inner.len() - 14);
            assert_eq!(header.header_checksum, header.calc_header_checksum());
            check_transport_v4(&packet, header.source, header.destination)
        }
        NetSlice::Ipv6(ip) => {
            let header = ip.header();
            assert_eq!(usize::from(header.payload_length()), inner.len() - 54);
            check_transport_v6(&packet, header.source(), header.destination())
        }
        NetSlice::Arp(_) => panic!("no ARP is made"),
    };
    check_tag(sent, payload);
}

fn check_transport_v4<'a>(
    packet: &SlicedPacket<'a>,
    source: [u8; 4],
    destination: [u8; 4],
) -> &'a [u8] {
    match packet.transport.as_ref().expect("a transport header") {
        TransportSlice::Tcp(tcp) => {
            assert_eq!(Ok(tcp.checksum()), tcp.calc_checksum_ipv4(source, destination));
            tcp.payload()
        }
        TransportSlice::Udp(udp) => {
            let real = udp.to_header().calc_checksum_ipv4_raw(source, destination, udp.payload());
            assert_eq!(Ok(udp.checksum()), real);
            udp.payload()
        }
        TransportSlice::Icmpv4(icmp) => {
            assert_eq!(icmp.checksum(), icmp.icmp_type().calc_checksum(icmp.payload()));
            icmp.payload()
        }
        other => panic!("not made over IPv4: {other:?}"),
    }
}

fn check_transport_v6<'a>(
    packet: &SlicedPacket<'a>,
    source: [u8; 16],
    destination: [u8; 16],
) -> &'a [u8] {
    match packet.transport.as_ref().expect("a transport header") {
        TransportSlice::Tcp(tcp) => {
            assert_eq!(Ok(tcp.checksum()), tcp.calc_checksum_ipv6(source, destination));
            tcp.payload()
        }
        TransportSlice::Udp(udp) => {
            let real = udp.to_header().calc_checksum_ipv6_raw(source, destination, udp.payload());
            assert_eq!(Ok(udp.checksum()), real);
            udp.payload()
        }
        TransportSlice::Icmpv6(icmp) => {
            assert!(icmp.is_checksum_valid(source, destination));
            // ICMPv6 and ICMP echo headers are eight bytes; etherparse leaves four of them in the
            // payload.
            &icmp.slice()[8..]
        }
        other => panic!("not made over IPv6: {other:?}"),
    }
}

/// Finds the payload tag at the start of a plain payload, or in the last option of a DNS message.
fn check_tag(sent: &Sent, payload: &[u8]) {
    let start = if payload.starts_with(b"vxg1") {
        0
    } else {
        let name = format!("\x05f{:04x}\x05s{:04x}\x05vxtap\x04test\0", sent.flow, sent.session);
        assert_eq!(payload[12..36], *name.as_bytes());
        payload.windows(4).position(|bytes| bytes == b"vxg1").expect("a payload tag")
    };
    let tag = payload_tag::PayloadTag::read(&payload[start..]).expect("a payload tag");
    assert!(payload_tag::is_intact(&payload[start..]));
    assert_eq!((usize::from(tag.session), tag.flow), (sent.session, sent.flow));
    assert_eq!((tag.direction, tag.sequence), (sent.direction, sent.sequence));
}

#[test]
fn every_frame_parses_with_the_lengths_and_checksums_it_should_have() {
    let profile = profile(5000);
    for_each_frame(&profile, |sent, frame| check_inner(&sent, check_outer(&profile, &sent, frame)));
}

#[test]
fn an_echo_request_is_answered_by_its_reply() {
    let profile = Profile { mix: ProtocolMix { tcp: 0, udp: 0, dns: 0, icmp: 1 }, ..profile(2000) };
    // Per flow, the type and the rest of the header of its first frame.
    let mut requests = HashMap::new();
    for_each_frame(&profile, |sent, frame| {
        let (kind, rest) = match parse(check_outer(&profile, &sent, frame)).transport {
            Some(TransportSlice::Icmpv4(icmp)) => (icmp.type_u8(), icmp.bytes5to8()),
            Some(TransportSlice::Icmpv6(icmp)) => (icmp.type_u8(), icmp.bytes5to8()),
            other => panic!("no ICMP: {other:?}"),
        };
        match requests.remove(&(sent.session, sent.flow)) {
            Some((8, asked)) => assert_eq!((kind, rest), (0, asked)),
            Some((128, asked)) => assert_eq!((kind, rest), (129, asked)),
            Some(other) => panic!("no request: {other:?}"),
            None => {
                requests.insert((sent.session, sent.flow), (kind, rest));
            }
        }
    });
}

#[test]
fn the_outer_checksum_over_ipv6_can_be_left_out() {
    let outer = OuterHeaders { ipv6_checksum: Ipv6Checksum::Zero, ..OuterHeaders::default() };
    let profile = Profile { outer, ..profile(500) };
    for_each_frame(&profile, |_, frame| assert_eq!(udp(&parse(frame)).checksum(), 0));
}

#[test]
fn both_directions_of_a_flow_share_the_outer_source_port_except_dns() {
    let profile = profile(5000);
    let mut ports: HashMap<_, HashSet<u16>> = HashMap::new();
    for_each_frame(&profile, |sent, frame| {
        let port = udp(&parse(frame)).source_port();
        let inner = check_outer(&profile, &sent, frame);
        let inner_ports = match parse(inner).transport {
            Some(TransportSlice::Udp(udp)) => [udp.source_port(), udp.destination_port()],
            _ => [0, 0],
        };
        if inner_ports[0] == 53 {
            assert_eq!((sent.direction, port), (Direction::Ingress, 65_408));
        } else {
            ports.entry((sent.session, sent.flow)).or_default().insert(port);
        }
    });
    assert!(ports.len() > 100);
    assert!(ports.values().all(|ports| ports.len() == 1), "{ports:?}");
}

#[test]
fn the_segments_of_a_tcp_flow_follow_on_each_other_and_acknowledge_all_that_was_heard() {
    let profile = Profile { mix: ProtocolMix { tcp: 1, udp: 0, dns: 0, icmp: 0 }, ..profile(5000) };
    // Per flow and direction, the number that its next segment must have.
    let mut next: HashMap<(usize, u16, Direction), u32> = HashMap::new();
    for_each_frame(&profile, |sent, frame| {
        let inner = check_outer(&profile, &sent, frame);
        let Some(TransportSlice::Tcp(tcp)) = parse(inner).transport else { panic!("no TCP") };
        let key = |direction| (sent.session, sent.flow, direction);
        let other = if sent.direction == Direction::Egress {
            Direction::Ingress
        } else {
            Direction::Egress
        };
        if let Some(&expected) = next.get(&key(sent.direction)) {
            assert_eq!(tcp.sequence_number(), expected);
        }
        if let Some(&heard) = next.get(&key(other)) {
            assert_eq!(tcp.acknowledgment_number(), heard);
        }
        let payload_len = u32::try_from(tcp.payload().len()).expect("short");
        next.insert(key(sent.direction), tcp.sequence_number().wrapping_add(payload_len));
    });
}

#[test]
fn the_directions_of_a_flow_alternate_and_count_from_zero() {
    let mut made: HashMap<(usize, u16), Vec<(Direction, u64)>> = HashMap::new();
    for_each_frame(&profile(5000), |sent, _| {
        made.entry((sent.session, sent.flow)).or_default().push((sent.direction, sent.sequence));
    });
    for frames in made.values() {
        for (frame, n) in frames.iter().zip(0_u64..) {
            assert_eq!(frame.1, n / 2);
            assert_eq!(frame.0 == frames[0].0, n.is_multiple_of(2));
        }
    }
}

#[test]
fn the_same_profile_gives_the_same_bytes_and_another_seed_others() {
    let bytes = |seed| {
        let mut all = Vec::new();
        for_each_frame(&Profile { seed, ..profile(300) }, |_, frame| all.extend_from_slice(frame));
        all
    };
    assert_eq!(bytes(7), bytes(7));
    assert_ne!(bytes(7), bytes(8));
}

#[test]
fn no_frame_makes_the_buffer_grow_after_the_longest() {
    let profile = profile(5000);
    let mut traffic = Traffic::new(&profile).expect("valid profile");
    let mut frame = Vec::with_capacity(1514 + 70);
    let start = frame.as_ptr();
    while traffic.next_frame(&mut frame).is_some() {
        assert_eq!(frame.as_ptr(), start);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_sizes_and_any_mix_give_valid_frames(
        seed: u64,
        sizes in prop::collection::vec(1..=MAX_INNER_LEN, 1..20),
        weights in prop::array::uniform4(0_u16..5),
        ipv6_percent in 0_u8..=100,
    ) {
        let [tcp, udp, dns, icmp] = weights;
        prop_assume!(weights.iter().any(|&weight| weight > 0));
        let mix = ProtocolMix { tcp, udp, dns, icmp };
        let profile = Profile { seed, sizes: Sizes::List(sizes), mix, ipv6_percent, ..profile(200) };
        for_each_frame(&profile, |sent, frame| check_inner(&sent, check_outer(&profile, &sent, frame)));
    }
}

#[test]
fn a_profile_outside_the_limits_is_refused_by_name() {
    let refused = |profile: Profile| Traffic::new(&profile).expect_err("refused").to_string();
    let usual = Profile::default;
    assert_eq!(refused(Profile { sessions: vec![], ..usual() }), "0 sessions: give 1 to 65536");
    assert_eq!(
        refused(Profile { flows_per_session: 0, ..usual() }),
        "0 flows per session: give 1 to 16384"
    );
    assert_eq!(
        refused(Profile { ipv6_percent: 101, ..usual() }),
        "101 percent of IPv6: give 0 to 100"
    );
    assert_eq!(
        refused(Profile { mix: ProtocolMix { tcp: 0, udp: 0, dns: 0, icmp: 0 }, ..usual() }),
        "the protocol mix has no weight above 0: name at least one of tcp, udp, dns, icmp"
    );
    assert_eq!(
        refused(Profile { sizes: Sizes::Fixed(8966), ..usual() }),
        "inner frame length 8966: give 1 to 8965 bytes"
    );
    assert_eq!(
        refused(Profile { sizes: Sizes::List(vec![]), ..usual() }),
        "0 frame lengths: give 1 to 1024"
    );
    let session = |text: &str| text.parse::<MirrorSession>().expect("a session");
    assert_eq!(
        refused(Profile { sessions: vec![session("10.0.0.1=16777216")], ..usual() }),
        "VNI 16777216 does not fit 24 bits: the largest is 16777215"
    );
    assert_eq!(
        refused(Profile { sessions: vec![session("10.0.0.1=5"); 2], ..usual() }),
        "the session 10.0.0.1=5 is given twice: each pair of source and VNI may be given once"
    );
    let unreadable = |text: &str| text.parse::<ProtocolMix>().expect_err("refused").to_string();
    assert_eq!(
        unreadable("tcp=60,sctp=1"),
        "`sctp=1` is no part of a protocol mix: write for example tcp=60,udp=25 (weights 0 to 65535)"
    );
    assert_eq!(
        "10.0.0.1".parse::<MirrorSession>().expect_err("refused").to_string(),
        "`10.0.0.1` is no session: write SOURCE=VNI, for example 10.0.1.5=100"
    );
    let many = MirrorSession::numbered(300, "10.0.0.1".parse().expect("address"), 0);
    assert_eq!(
        refused(Profile { sessions: many, flows_per_session: 16_384, ..usual() }),
        "4915200 flows in all: sessions times flows per session may be 4194304 at most"
    );
}
