use pcap_parser::traits::PcapNGPacketBlock;
use pcap_parser::{Block, parse_block_le};
use proptest::prelude::*;

use super::*;

#[test]
fn a_section_header_has_these_bytes() {
    let mut blocks = Blocks::default();
    blocks.section_header("vxtap");
    let expected = [
        &[0x0A, 0x0D, 0x0D, 0x0A, 44, 0, 0, 0][..],
        &[0x4D, 0x3C, 0x2B, 0x1A, 1, 0, 0, 0],
        &[0xFF; 8],
        &[4, 0, 5, 0, b'v', b'x', b't', b'a', b'p', 0, 0, 0],
        &[0, 0, 0, 0],
        &[44, 0, 0, 0],
    ]
    .concat();
    assert_eq!(blocks.bytes(), expected);
}

#[test]
fn an_interface_description_has_these_bytes() {
    let mut blocks = Blocks::default();
    assert_eq!(blocks.interface(InterfaceDescription { name: "web", description: "d" }), 0);
    let expected = [
        &[1, 0, 0, 0, 48, 0, 0, 0][..],
        &[1, 0, 0, 0, 0, 0, 0, 0],
        &[2, 0, 3, 0, b'w', b'e', b'b', 0],
        &[3, 0, 1, 0, b'd', 0, 0, 0],
        &[9, 0, 1, 0, 9, 0, 0, 0],
        &[0, 0, 0, 0],
        &[48, 0, 0, 0],
    ]
    .concat();
    assert_eq!(blocks.bytes(), expected);
    assert_eq!(blocks.interface(InterfaceDescription { name: "next", description: "" }), 1);
}

#[test]
fn a_packet_has_these_bytes() {
    let mut blocks = Blocks::default();
    blocks.packet(7, 0x0102_0304_0506_0708, 9, None, [&[0xAA, 0xBB][..], &[], &[0xCC]].into_iter());
    let expected = [
        &[6, 0, 0, 0, 36, 0, 0, 0][..],
        &[7, 0, 0, 0],
        &[4, 3, 2, 1, 8, 7, 6, 5],
        &[3, 0, 0, 0, 9, 0, 0, 0],
        &[0xAA, 0xBB, 0xCC, 0],
        &[36, 0, 0, 0],
    ]
    .concat();
    assert_eq!(blocks.bytes(), expected);
}

#[test]
fn statistics_are_read_back_by_another_parser() {
    let mut blocks = Blocks::default();
    let start_ns = 0x1111_2222_3333_4444;
    let end_ns = 0x1111_2222_5555_6666;
    blocks.statistics(
        3,
        &Statistics { start_ns, end_ns, received: 12, accepted: 10, dropped: 4, delivered: 6 },
    );
    let Ok((&[], Block::InterfaceStatistics(block))) = parse_block_le(blocks.bytes()) else {
        panic!()
    };
    assert_eq!((block.if_id, block.ts_high, block.ts_low), (3, 0x1111_2222, 0x5555_6666));
    assert_eq!(block.isb_starttime(), Some(Ok((0x1111_2222, 0x3333_4444))));
    assert_eq!(block.isb_endtime(), Some(Ok((0x1111_2222, 0x5555_6666))));
    assert_eq!(block.isb_ifrecv(), Some(Ok(12)));
    assert_eq!(block.isb_filteraccept(), Some(Ok(10)));
    assert_eq!(block.isb_ifdrop(), Some(Ok(4)));
    assert_eq!(block.isb_usrdeliv(), Some(Ok(6)));
}

#[test]
fn what_exceeds_a_field_is_cut_and_not_wrapped() {
    let mut blocks = Blocks::default();
    let name = "ä".repeat(40_000);
    blocks.interface(InterfaceDescription { name: &name, description: "" });
    let Ok((&[], Block::InterfaceDescription(block))) = parse_block_le(blocks.bytes()) else {
        panic!()
    };
    assert_eq!(block.if_name(), Some(Ok(&name[..65_534])));

    blocks.clear();
    let half = vec![1; MAX_CAPTURED_BYTES / 2 + 1];
    blocks.packet(0, 0, 0, None, [&half[..], &half].into_iter());
    let Ok((&[], Block::EnhancedPacket(packet))) = parse_block_le(blocks.bytes()) else { panic!() };
    assert_eq!(packet.packet_data().len(), MAX_CAPTURED_BYTES);
    assert_eq!(packet.origlen as usize, MAX_CAPTURED_BYTES);
}

#[test]
fn packets_within_the_capacity_do_not_move_the_memory() {
    let mut blocks = Blocks::with_capacity(1000);
    for _ in 0..2 {
        let address = blocks.bytes().as_ptr();
        for _ in 0..10 {
            blocks.packet(0, 1, 60, None, [&[0; 60][..]].into_iter());
        }
        assert_eq!(blocks.bytes().as_ptr(), address);
        blocks.clear();
    }
}

#[test]
fn whole_blocks_within_a_limit_are_found_at_every_length() {
    let mut blocks = Blocks::default();
    blocks.section_header("vxtap");
    let first = blocks.bytes().len();
    blocks.packet(3, 1, 5, None, [&[0; 5][..]].into_iter());
    let second = blocks.bytes().len();
    blocks.packet(3, 1, 7, None, [&[0; 7][..]].into_iter());
    let third = blocks.bytes().len();
    for limit in 0..=third {
        let expected = match limit {
            _ if limit == third => (third, 0),
            _ if limit >= second => (second, 1),
            _ if limit >= first => (first, 2),
            _ => (0, 2),
        };
        let (complete, rest) = blocks.complete_within(limit);
        assert_eq!((complete, rest.len()), expected, "within {limit}");
        assert!(rest.iter().all(|interface| *interface == 3));
    }
}

proptest! {
    #[test]
    fn any_packet_is_read_back_by_another_parser(
        interface: u32,
        timestamp_ns: u64,
        more: u16,
        direction in prop::sample::select(vec![None, Some(Direction::Ingress), Some(Direction::Egress)]),
        segments in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..50), 0..4),
    ) {
        let frame = segments.concat();
        let original_len = u32::try_from(frame.len()).unwrap() + u32::from(more);
        let mut blocks = Blocks::default();
        blocks.packet(interface, timestamp_ns, original_len, direction, segments.iter().map(Vec::as_slice));
        let Ok((&[], Block::EnhancedPacket(packet))) = parse_block_le(blocks.bytes()) else { panic!() };
        prop_assert_eq!(packet.if_id, interface);
        prop_assert_eq!(u64::from(packet.ts_high) << 32 | u64::from(packet.ts_low), timestamp_ns);
        prop_assert_eq!(packet.packet_data(), frame);
        prop_assert_eq!(packet.origlen, original_len);
        let flags = packet.options.iter().find(|option| option.code.0 == 2).map(|option| option.value().to_vec());
        let expected = direction.map(|direction| match direction {
            Direction::Ingress => vec![1, 0, 0, 0],
            Direction::Egress => vec![2, 0, 0, 0],
        });
        prop_assert_eq!(flags, expected);
    }
}
