//! The parser finds the UDP header of exactly those frames that have one, however they are cut.

mod chains;

use etherparse::{NetSlice, SlicedPacket, TransportSlice};
use proptest::prelude::*;
use vxtap_ebpf::parse::{Address, Datagram, Refusal, Source, udp_datagram};

use chains::PORT;

fn port_of(frame: &[u8]) -> Result<u16, Refusal> {
    udp_datagram(frame).map(|datagram| datagram.destination_port)
}

#[test]
fn every_chain_cut_at_every_length_has_the_expected_outcome() {
    for chain in chains::all() {
        for len in 0..=chain.frame.len() {
            assert_eq!(
                port_of(&chain.frame[..len]),
                chain.expected(len),
                "{}, first {len} bytes",
                chain.name
            );
        }
    }
}

#[test]
fn the_chains_have_names_of_their_own() {
    let mut names: Vec<_> = chains::all().iter().map(|chain| chain.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count);
}

#[test]
fn every_port_is_read_as_it_is() {
    let chain = chains::all().swap_remove(0);
    let mut frame = chain.frame;
    let at = frame.windows(2).rposition(|bytes| bytes == PORT.to_be_bytes()).unwrap();
    for port in 0..=u16::MAX {
        frame[at..at + 2].copy_from_slice(&port.to_be_bytes());
        assert_eq!(port_of(&frame), Ok(port));
    }
}

#[test]
fn offsets_source_and_length_are_those_of_the_headers() {
    let of = |name| {
        let chain = chains::all().into_iter().find(|chain| chain.name == name).unwrap();
        udp_datagram(&chain.frame[..]).unwrap()
    };
    let v4 = Datagram {
        source: Source::V4([192, 0, 2, 7]),
        destination: Address::V4([198, 51, 100, 1]),
        ip_offset: 22,
        udp_offset: 42,
        destination_port: PORT,
        udp_len: 24,
    };
    assert_eq!(of("QinQ 802.1ad"), v4);
    let v6 = Datagram {
        source: Source::V6([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]),
        destination: Address::V6([0x20, 0x01, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
        ip_offset: 14,
        udp_offset: 54 + 24,
        ..v4
    };
    assert_eq!(of("authentication header"), v6);
}

/// Parses a whole frame with etherparse: port, source and offset of the UDP header. `None` also
/// where it reads something else out of the standards: authentication headers over IPv4, a third
/// VLAN tag, and lengths of 0 for "to the end of the frame".
fn second_opinion(frame: &[u8]) -> Option<(u16, [Address; 2], usize)> {
    let packet = SlicedPacket::from_ethernet(frame).ok()?;
    if packet.link_exts.len() > 2 {
        return None;
    }
    let addresses = match packet.net? {
        NetSlice::Ipv4(ip) if ip.extensions().is_empty() => {
            [ip.header().source(), ip.header().destination()].map(Address::V4)
        }
        NetSlice::Ipv6(ip) if ip.header().payload_length() != 0 => {
            [ip.header().source(), ip.header().destination()].map(Address::V6)
        }
        _ => return None,
    };
    let Some(TransportSlice::Udp(udp)) = packet.transport else { return None };
    let offset = udp.slice().as_ptr().addr() - frame.as_ptr().addr();
    (udp.length() != 0).then(|| (udp.destination_port(), addresses, offset))
}

#[test]
fn a_second_parser_agrees_about_the_chains() {
    let mut agreed = 0;
    for chain in chains::all() {
        let Some((port, addresses, udp_offset)) = second_opinion(&chain.frame) else { continue };
        let datagram = match udp_datagram(&chain.frame[..]) {
            Ok(datagram) => datagram,
            // It walks more of them.
            Err(Refusal::TooManyExtensions) => continue,
            Err(refusal) => panic!("{}: {refusal:?}", chain.name),
        };
        assert_eq!(
            (
                datagram.destination_port,
                [datagram.source, datagram.destination],
                datagram.udp_offset
            ),
            (port, addresses, udp_offset)
        );
        agreed += 1;
    }
    assert!(agreed > 10, "{agreed}");
}

/// A frame of the table with a few bytes overwritten, cut at some length.
fn damaged_frame() -> impl Strategy<Value = Vec<u8>> {
    let chains: Vec<Vec<u8>> = chains::all().into_iter().map(|chain| chain.frame).collect();
    let damage = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    (prop::sample::select(chains), damage, any::<prop::sample::Index>()).prop_map(
        |(mut frame, damage, cut)| {
            let headers_len = frame.len().min(90);
            for (at, byte) in damage {
                frame[at.index(headers_len)] = byte;
            }
            frame.truncate(frame.len() - cut.index(frame.len()) / 2);
            frame
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn arbitrary_bytes_have_an_outcome_whose_parts_lie_in_the_frame(frame in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(datagram) = udp_datagram(&frame[..]) {
            prop_assert!(datagram.ip_offset < datagram.udp_offset);
            prop_assert!(datagram.udp_offset + 8 <= frame.len());
            prop_assert!(datagram.udp_len >= 8);
        }
    }

    #[test]
    fn what_a_second_parser_takes_for_udp_is_found_at_the_same_place(frame in damaged_frame()) {
        let Some((port, addresses, udp_offset)) = second_opinion(&frame) else { return Ok(()) };
        match udp_datagram(&frame[..]) {
            Ok(datagram) => prop_assert_eq!(
                (
                    datagram.destination_port,
                    [datagram.source, datagram.destination],
                    datagram.udp_offset
                ),
                (port, addresses, udp_offset)
            ),
            // It walks more of them.
            Err(refusal) => prop_assert_eq!(refusal, Refusal::TooManyExtensions),
        }
    }

    #[test]
    fn what_is_found_to_be_udp_a_second_parser_does_not_take_for_anything_else(frame in damaged_frame()) {
        let Ok(datagram) = udp_datagram(&frame[..]) else { return Ok(()) };
        if let Ok(SlicedPacket { transport: Some(transport), .. }) = SlicedPacket::from_ethernet(&frame) {
            let TransportSlice::Udp(udp) = transport else { return Err(TestCaseError::fail("another protocol")) };
            prop_assert_eq!(udp.destination_port(), datagram.destination_port);
        }
    }
}
