mod tunnels;

use etherparse::PacketBuilder;
use proptest::prelude::*;

use super::*;

fn decap(outer: &[u8]) -> Result<Inner, DropReason> {
    tunnel(outer, outer.len(), &Ports::default())
}

const INNER_MACS: ([u8; 6], [u8; 6]) = ([2, 0, 0, 0, 0, 1], [2, 0, 0, 0, 0, 2]);

/// An inner UDP packet with `payload_len` bytes of payload: 42 bytes longer.
fn inner_v4(payload_len: usize) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2(INNER_MACS.0, INNER_MACS.1)
        .ipv4([192, 168, 0, 1], [192, 168, 0, 2], 64)
        .udp(1000, 2000);
    let mut frame = Vec::new();
    builder.write(&mut frame, &vec![0x55; payload_len]).unwrap();
    frame
}

fn outer(vxlan: [u8; 8], inner: &[u8]) -> Vec<u8> {
    let builder = PacketBuilder::ethernet2([2; 6], [4; 6])
        .ipv4([10, 0, 0, 7], [10, 0, 0, 9], 255)
        .udp(65408, 4789);
    let mut frame = Vec::new();
    builder.write(&mut frame, &[&vxlan, inner].concat()).unwrap();
    frame
}

fn header(vni: u32) -> [u8; 8] {
    let [_, a, b, c] = vni.to_be_bytes();
    [8, 0, 0, 0, a, b, c, 0]
}

#[test]
fn the_inner_frame_is_found_with_its_source_and_vni() {
    let inner = inner_v4(100);
    let found = decap(&outer(header(0xab_cdef), &inner)).unwrap();
    assert_eq!(
        found,
        Inner {
            source: Source::V4([10, 0, 0, 7]),
            vni: Vni::new(0xab_cdef).unwrap(),
            encap: EncapFlags::VXLAN,
            outer_ip: 14,
            start: 50,
            captured_len: inner.len(),
            original_len: inner.len(),
        }
    );
}

#[test]
fn what_a_mirror_sends_takes_the_short_way() {
    assert!(plain_vxlan(&outer(header(1), &inner_v4(10)), 4789).is_some());
    assert!(plain_vxlan(&outer(header(1), &inner_v4(1000)[..128]), 4789).is_some());
}

#[test]
fn reserved_bits_are_ignored_and_the_i_flag_is_required() {
    let inner = inner_v4(10);
    for flags in 0..=u8::MAX {
        let found = decap(&outer([flags, 0xff, 0xff, 0xff, 0, 0, 9, 0xff], &inner));
        if flags & 0x08 == 0 {
            assert_eq!(found, Err(DropReason::VxlanWithoutVni));
        } else {
            assert_eq!(found.unwrap().vni.get(), 9);
        }
    }
}

#[test]
fn each_length_of_a_datagram_has_its_reason() {
    let whole = inner_v4(10);
    for len in 0..whole.len() {
        // The UDP length fits what was sent: a short datagram, not a cut one.
        let found = decap(&outer(header(1), &whole[..len]));
        if len < 14 {
            assert_eq!(found, Err(DropReason::InnerTruncated), "{len} inner bytes");
        } else {
            assert_eq!(found.unwrap().captured_len, len);
        }
    }
    let bytes = outer(header(1), &whole);
    for len in 0..bytes.len() {
        let found = decap(&bytes[..len]);
        match len {
            0..42 => assert_eq!(found, Err(DropReason::OuterMalformed), "{len} bytes"),
            42..50 => assert_eq!(found, Err(DropReason::TunnelTruncated), "{len} bytes"),
            50..64 => assert_eq!(found, Err(DropReason::InnerTruncated), "{len} bytes"),
            _ => {
                let found = found.unwrap();
                assert_eq!((found.captured_len, found.original_len), (len - 50, whole.len()));
            }
        }
    }
}

#[test]
fn a_frame_cut_by_the_mirror_keeps_its_original_length() {
    let whole = inner_v4(1000);
    for tag_count in 0..=2_usize {
        let mut tagged = whole[..12].to_vec();
        (0..tag_count).for_each(|_| tagged.extend([0x81, 0, 0, 5]));
        tagged.extend(&whole[12..]);
        let found = decap(&outer(header(1), &tagged[..128])).unwrap();
        assert_eq!((found.captured_len, found.original_len), (128, tagged.len()));
    }
}

#[test]
fn an_ipv6_packet_says_its_length_and_a_jumbogram_does_not() {
    let builder =
        PacketBuilder::ethernet2(INNER_MACS.0, INNER_MACS.1).ipv6([1; 16], [2; 16], 64).udp(1, 2);
    let mut whole = Vec::new();
    builder.write(&mut whole, &[0; 500]).unwrap();
    let found = decap(&outer(header(1), &whole[..100])).unwrap();
    assert_eq!((found.captured_len, found.original_len), (100, whole.len()));
    whole[18..20].fill(0);
    let found = decap(&outer(header(1), &whole[..100])).unwrap();
    assert_eq!((found.captured_len, found.original_len), (100, 100));
}

#[test]
fn padding_behind_the_outer_datagram_is_not_part_of_the_inner_frame() {
    let inner = inner_v4(0);
    let mut bytes = outer(header(1), &inner);
    bytes.extend([0; 20]);
    assert_eq!(decap(&bytes).unwrap().captured_len, inner.len());
}

#[test]
fn an_inner_frame_that_is_not_ip_is_as_long_as_it_is() {
    let mut arp = vec![0xff; 60];
    arp[12..14].copy_from_slice(&[0x08, 0x06]);
    let found = decap(&outer(header(1), &arp)).unwrap();
    assert_eq!((found.captured_len, found.original_len), (60, 60));
}

#[test]
fn an_outer_fragment_and_another_protocol_have_reasons_of_their_own() {
    let mut fragment = outer(header(1), &inner_v4(10));
    fragment[20] = 0x20;
    assert_eq!(decap(&fragment), Err(DropReason::FragmentRefused));
    let mut tcp = outer(header(1), &inner_v4(10));
    tcp[23] = 6;
    assert_eq!(decap(&tcp), Err(DropReason::NotUdp));
}

proptest! {
    #[test]
    fn the_short_way_says_nothing_else_than_the_long_one(
        changes in prop::collection::vec((0_usize..80, any::<u8>()), 0..4), is_v6 in any::<bool>(), len in 60_usize..140,
    ) {
        let mut inner = inner_v4(20);
        if is_v6 {
            let builder = PacketBuilder::ethernet2(INNER_MACS.0, INNER_MACS.1).ipv6([1; 16], [2; 16], 64);
            inner.clear();
            builder.udp(1, 2).write(&mut inner, &[0; 20]).unwrap();
        }
        let mut bytes = outer(header(7), &inner);
        for (place, byte) in changes {
            bytes[place] = byte;
        }
        bytes.truncate(len);
        if let Some(found) = plain_vxlan(&bytes, 4789) {
            prop_assert_eq!(Ok(found), decap(&bytes));
        }
    }

    #[test]
    fn whatever_the_bytes_the_inner_frame_lies_inside_the_outer(
        mut bytes in prop::collection::vec(any::<u8>(), 0..200), seed in any::<bool>(),
    ) {
        if seed {
            let template = outer(header(7), &inner_v4(20));
            for (byte, good) in bytes.iter_mut().zip(template) {
                if *byte & 7 != 0 {
                    *byte = good;
                }
            }
        }
        if let Ok(inner) = decap(&bytes) {
            prop_assert!(inner.start + inner.captured_len <= bytes.len());
            prop_assert!(inner.captured_len >= 14);
            prop_assert!(inner.original_len >= inner.captured_len);
            prop_assert!(inner.outer_ip < inner.start);
        }
    }
}
