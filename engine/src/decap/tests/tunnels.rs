//! GENEVE, VXLAN in GENEVE, VXLAN-GPE.

use super::*;
use crate::config::TunnelPort;

/// A UDP datagram from 10.0.0.7 to this port.
fn datagram(port: u16, payload: &[&[u8]]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 7], [10, 0, 0, 9], 255);
    let mut frame = Vec::new();
    builder.udp(60000, port).write(&mut frame, &payload.concat()).unwrap();
    frame
}

/// A GENEVE header with these options, VNI 0x010203.
fn geneve_header(protocol: u16, options: &[u8]) -> Vec<u8> {
    let [high, low] = protocol.to_be_bytes();
    let words = u8::try_from(options.len() / 4).unwrap();
    [&[words, 0, high, low, 1, 2, 3, 0], options].concat()
}

fn option(class: u16, kind: u8, data: &[u8]) -> Vec<u8> {
    let [high, low] = class.to_be_bytes();
    [&[high, low, kind, u8::try_from(data.len() / 4).unwrap()], data].concat()
}

/// The three options of a Gateway Load Balancer.
fn aws_options() -> Vec<u8> {
    [
        option(0x0108, 1, &[0, 1, 2, 3, 4, 5, 6, 7]),
        option(0x0108, 2, &[8; 8]),
        option(0x0108, 3, &[9; 4]),
    ]
    .concat()
}

/// A mirror from 172.16.0.5 through a Gateway Load Balancer: VNI 77.
fn mirror_in_geneve(port: u16, options: &[u8], inner: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ipv4([172, 16, 0, 5], [172, 16, 0, 9], 64).udp(65400, port);
    let mut packet = Vec::new();
    builder.write(&mut packet, &[&header(77)[..], inner].concat()).unwrap();
    datagram(6081, &[&geneve_header(0x0800, options), &packet])
}

fn ports(all: &[&str]) -> Ports {
    Ports::new(&all.iter().map(|port| port.parse().unwrap()).collect::<Vec<TunnelPort>>())
}

fn decap_at(outer: &[u8], all: &[&str]) -> Result<Inner, DropReason> {
    tunnel(outer, outer.len(), &ports(all))
}

#[test]
fn an_ethernet_frame_comes_out_of_geneve_whatever_the_options() {
    let inner = inner_v4(100);
    for options in [
        vec![],
        option(0x0101, 0x80, &[1; 124]),
        [option(7, 7, &[]), option(8, 8, &[2; 8])].concat(),
    ] {
        let bytes = datagram(6081, &[&geneve_header(0x6558, &options), &inner]);
        let found = decap(&bytes).unwrap();
        assert_eq!(&bytes[found.start..found.start + found.captured_len], inner);
        assert_eq!((found.source, found.vni.get()), (Source::V4([10, 0, 0, 7]), 0x01_0203));
        assert_eq!(
            (found.outer_ip, found.start, found.original_len),
            (14, 50 + options.len(), inner.len())
        );
        assert_eq!(
            (found.encap.encapsulation(), found.encap.link()),
            (Encapsulation::Geneve, Link::Ethernet)
        );
    }
}

#[test]
fn a_packet_without_ethernet_header_comes_out_of_geneve_with_its_length() {
    let packet = &inner_v4(1000)[14..];
    let bytes = datagram(6081, &[&geneve_header(0x0800, &[]), &packet[..600]]);
    let found = decap(&bytes).unwrap();
    assert_eq!((found.captured_len, found.original_len), (600, packet.len()));
    assert_eq!(
        (found.encap.encapsulation(), found.encap.link()),
        (Encapsulation::Geneve, Link::Ip)
    );
    let mut packet = Vec::new();
    PacketBuilder::ipv6([1; 16], [2; 16], 64).udp(1, 2).write(&mut packet, &[0; 500]).unwrap();
    let bytes = datagram(6081, &[&geneve_header(0x86dd, &aws_options()), &packet]);
    let found = decap(&bytes).unwrap();
    assert_eq!((found.captured_len, found.original_len, found.encap.link()), (548, 548, Link::Ip));
}

#[test]
fn a_mirror_through_a_gateway_load_balancer_loses_both_tunnels_and_keeps_its_own_identity() {
    let inner = inner_v4(100);
    let bytes = mirror_in_geneve(4789, &aws_options(), &inner);
    let found = decap(&bytes).unwrap();
    assert_eq!(&bytes[found.start..], inner);
    assert_eq!((found.source, found.vni.get()), (Source::V4([172, 16, 0, 5]), 77));
    // 14 Ethernet, 68 as a capture of the real thing has them, 36 VXLAN.
    assert_eq!((found.outer_ip, found.start), (14, 14 + 68 + 36));
    assert_eq!(
        (found.encap.encapsulation(), found.encap.link()),
        (Encapsulation::GeneveVxlan, Link::Ethernet)
    );
    let options = options_of(&bytes[42..]);
    let gwlb = options.gwlb().unwrap();
    assert_eq!(
        gwlb.to_string(),
        "endpoint 0001020304050607, attachment 0808080808080808, flow cookie 09090909"
    );
    assert_eq!(
        options.map(|option| (option.kind, option.data.len())).collect::<Vec<_>>(),
        [(1, 8), (2, 8), (3, 4)]
    );
}

#[test]
fn what_a_load_balancer_forwards_besides_mirrors_is_the_packet_itself() {
    let inner = inner_v4(100);
    // To another port, from another sender than AWS, or not UDP at all.
    let others = [
        mirror_in_geneve(5000, &aws_options(), &inner),
        mirror_in_geneve(4789, &option(0x0101, 1, &[0; 8]), &inner),
        datagram(6081, &[&geneve_header(0x0800, &aws_options()), &inner[14..]]),
    ];
    for bytes in others {
        let found = decap(&bytes).unwrap();
        assert_eq!(
            (found.encap.link(), found.source, found.vni.get()),
            (Link::Ip, Source::V4([10, 0, 0, 7]), 0x01_0203)
        );
    }
    let bytes = mirror_in_geneve(5000, &aws_options(), &inner);
    assert_eq!(decap_at(&bytes, &["6081", "5000"]).unwrap().vni.get(), 77, "a configured port");
    let mut damaged = mirror_in_geneve(4789, &aws_options(), &inner);
    damaged[14 + 68 + 28] = 0;
    assert_eq!(decap(&damaged), Err(DropReason::VxlanWithoutVni));
}

#[test]
fn a_geneve_header_that_is_not_one_has_its_reason() {
    let with = |header: Vec<u8>| decap(&datagram(6081, &[&header, &inner_v4(10)]));
    let good = geneve_header(0x6558, &option(1, 1, &[0; 4]));
    assert!(with(good.clone()).is_ok());
    let changed = |place: usize, value: u8| {
        let mut header = good.clone();
        header[place] = value;
        with(header)
    };
    assert_eq!(changed(0, 0x42), Err(DropReason::GeneveMalformed), "version 1");
    assert_eq!(changed(11, 2), Err(DropReason::GeneveMalformed), "an option longer than all");
    assert_eq!(changed(1, 0x80), Err(DropReason::TunnelProtocol), "a control message");
    assert_eq!(changed(1, 0x40).map(|_| ()), Ok(()), "critical options");
    assert_eq!(changed(3, 0x59), Err(DropReason::TunnelProtocol), "protocol 0x6559");
    assert_eq!(changed(0, 0x3f), Err(DropReason::TunnelTruncated), "options beyond the datagram");
}

#[test]
fn a_datagram_cut_anywhere_is_refused_or_its_rest_is_the_frame() {
    let whole = mirror_in_geneve(4789, &aws_options(), &inner_v4(10));
    for len in 0..whole.len() {
        let found = decap(&whole[..len]);
        match len {
            0..42 => assert_eq!(found, Err(DropReason::OuterMalformed), "{len} bytes"),
            42..82 | 110..118 => assert_eq!(found, Err(DropReason::TunnelTruncated), "{len} bytes"),
            // The packet inside has no UDP header yet: it is taken for one that is not a mirror's.
            82..102 | 118..132 => assert_eq!(found, Err(DropReason::InnerTruncated), "{len} bytes"),
            102..110 => {
                assert_eq!(found.map(|inner| inner.encap.link()), Ok(Link::Ip), "{len} bytes");
            }
            _ => assert_eq!(found.map(|inner| inner.captured_len), Ok(len - 118), "{len} bytes"),
        }
    }
}

#[test]
fn a_first_chunk_with_the_headers_is_enough_for_a_frame_in_several() {
    let whole = mirror_in_geneve(4789, &aws_options(), &inner_v4(5000));
    for len in [118, 150, 1776] {
        assert_eq!(
            tunnel(&whole[..len], whole.len(), &Ports::default()).map(|inner| inner.captured_len),
            Ok(5042)
        );
    }
    assert_eq!(
        tunnel(&whole[..117], whole.len(), &Ports::default()),
        Err(DropReason::TunnelTruncated)
    );
}

#[test]
fn vxlan_gpe_says_what_is_inside_on_its_own_port_only() {
    let inner = inner_v4(100);
    let with = |port, protocol, bytes: &[u8]| {
        let mut header = header(5);
        (header[0], header[3]) = (0x0c, protocol);
        decap(&datagram(port, &[&header, bytes]))
    };
    assert_eq!(
        with(4790, 3, &inner).map(|inner| (inner.encap.link(), inner.captured_len)),
        Ok((Link::Ethernet, 142))
    );
    assert_eq!(
        with(4790, 1, &inner[14..]).map(|inner| (inner.encap.link(), inner.captured_len)),
        Ok((Link::Ip, 128))
    );
    assert_eq!(with(4790, 4, &inner), Err(DropReason::TunnelProtocol));
    let found = with(4789, 1, &inner).unwrap();
    assert_eq!((found.encap.link(), found.encap.has_reserved_bits()), (Link::Ethernet, true));
    let plain = decap(&datagram(4790, &[&header(5), &inner])).unwrap();
    assert_eq!((plain.vni.get(), plain.encap.has_reserved_bits()), (5, false));
}

#[test]
fn reserved_bits_are_noted_wherever_they_are() {
    for (place, bit) in [(0, 0x80), (0, 0x01), (1, 1), (2, 0x10), (3, 0x80), (7, 1)] {
        let mut header = header(5);
        header[place] |= bit;
        let bytes = datagram(4789, &[&header, &inner_v4(10)]);
        assert_eq!(plain_vxlan(&bytes, 4789), None);
        assert!(decap(&bytes).unwrap().encap.has_reserved_bits(), "byte {place}");
    }
}

proptest! {
    #[test]
    fn whatever_the_bytes_of_a_tunnel_the_inner_frame_lies_inside(
        changes in prop::collection::vec((12_usize..140, any::<u8>()), 0..6), len in 60_usize..200, is_nested in any::<bool>(),
    ) {
        let mut bytes = if is_nested {
            mirror_in_geneve(4789, &aws_options(), &inner_v4(20))
        } else {
            datagram(6081, &[&geneve_header(0x6558, &aws_options()), &inner_v4(60)])
        };
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        bytes.truncate(len);
        if let Ok(inner) = decap(&bytes) {
            prop_assert!(inner.start + inner.captured_len <= bytes.len());
            prop_assert!(inner.original_len >= inner.captured_len);
            prop_assert!(inner.outer_ip < inner.start);
        }
    }
}
