//! From the outer frame to the inner one. Which bytes of this datagram are the mirrored frame?
//!
//! Follows RFC 7348, section 5. Looks at no checksum: AWS leaves the outer one at zero, and inner ones of cut frames
//! are not filled in. Says nothing about who may send or who wants the frame.

use vxtap_ebpf::parse::{self, Bytes, Refusal, Source};

use crate::drop_reason::DropReason;
use crate::vni::Vni;

/// UDP header and VXLAN header, in bytes.
const UDP_LEN: usize = 8;
pub(crate) const VXLAN_LEN: usize = 8;
const ETHERNET_LEN: usize = 14;
const VLAN_TAG_LEN: usize = 4;

/// The I flag: the VNI field is valid.
const VNI_IS_VALID: u8 = 0x08;

/// Where the mirrored frame lies in the outer one. Lengths and offsets are in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Inner {
    /// Who sent the mirror: source address of the outer IP header.
    pub(crate) source: Source,
    /// Which of its mirrors.
    pub(crate) vni: Vni,
    /// Start of the outer IP header in the outer frame.
    pub(crate) outer_ip: usize,
    /// Start of the inner frame in the outer frame. The VXLAN header ends here.
    pub(crate) start: usize,
    /// Length of the inner frame, as far as it is here.
    pub(crate) captured_len: usize,
    /// Length that the inner frame had before it was cut; never less than `captured_len`.
    pub(crate) original_len: usize,
}

/// Bytes of outer Ethernet, IPv4 without options, UDP, VXLAN and inner Ethernet header, and of an inner IPv4 or IPv6
/// header up to and including its length field.
const PLAIN_LEN: usize = 14 + 20 + UDP_LEN + VXLAN_LEN + ETHERNET_LEN + 6;

/// Takes the VXLAN tunnel off what almost all mirrored traffic looks like, in a few instructions: untagged outside and
/// inside, whole, IPv4 without options outside, IP inside. `None` for everything else, the malformed included; never
/// says anything else than [`vxlan`].
#[inline]
pub(crate) fn plain_vxlan(outer: &[u8]) -> Option<Inner> {
    let head: &[u8; PLAIN_LEN] = outer.first_chunk()?;
    let be16 = |at: usize| usize::from(u16::from_be_bytes([head[at], head[at + 1]]));
    let be32 = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    // EtherType, version and header length; then flags, fragment offset, TTL and protocol.
    let is_whole_udp = be32(12) & 0xffff_ff00 == 0x0800_4500 && be32(20) & 0x3fff_00ff == 0x0000_0011;
    let (ip_len, udp_len) = (be16(16), be16(38));
    let is_vxlan = head[42] & VNI_IS_VALID != 0 && udp_len + 20 <= ip_len && udp_len + 34 >= PLAIN_LEN;
    if !is_whole_udp || !is_vxlan {
        return None;
    }
    let original_len = match be16(62) {
        0x0800 => ETHERNET_LEN + be16(66),
        0x86dd if be16(68) > 0 => ETHERNET_LEN + 40 + be16(68),
        _ => return None,
    };
    let sent_len = udp_len - UDP_LEN - VXLAN_LEN;
    Some(Inner {
        source: Source::V4([head[26], head[27], head[28], head[29]]),
        vni: Vni::from_bytes([head[46], head[47], head[48]]),
        outer_ip: 14,
        start: 50,
        captured_len: sent_len.min(outer.len() - 50),
        original_len: original_len.max(sent_len),
    })
}

/// Takes the VXLAN tunnel off an outer Ethernet frame.
///
/// # Errors
///
/// The reason to count the datagram under.
pub(crate) fn vxlan(outer: &[u8]) -> Result<Inner, DropReason> {
    let datagram = parse::udp_datagram(outer).map_err(|refusal| match refusal {
        Refusal::NotUdp => DropReason::NotUdp,
        Refusal::Fragment => DropReason::OuterFragment,
        Refusal::Malformed | Refusal::TooManyExtensions => DropReason::OuterMalformed,
    })?;
    let tunnel = datagram.udp_offset + UDP_LEN;
    let sent_len = usize::from(datagram.udp_len).saturating_sub(UDP_LEN);
    let here_len = outer.len().saturating_sub(tunnel).min(sent_len);
    if here_len < VXLAN_LEN {
        return Err(DropReason::VxlanTruncated);
    }
    let header: [u8; VXLAN_LEN] = outer.array(tunnel).ok_or(DropReason::VxlanTruncated)?;
    // "The I flag MUST be set to 1 for a valid VXLAN Network ID"; the other bits are "ignored on receipt".
    if header[0] & VNI_IS_VALID == 0 {
        return Err(DropReason::VxlanWithoutVni);
    }
    let start = tunnel + VXLAN_LEN;
    let captured_len = here_len - VXLAN_LEN;
    if captured_len < ETHERNET_LEN {
        return Err(DropReason::InnerTruncated);
    }
    let inner = &outer[start..start + captured_len];
    let original_len = ip_end(inner).unwrap_or(0).max(sent_len - VXLAN_LEN);
    let vni = Vni::from_bytes([header[4], header[5], header[6]]);
    Ok(Inner {
        source: datagram.source,
        vni,
        outer_ip: datagram.ip_offset,
        start,
        captured_len,
        original_len,
    })
}

/// Where the IP packet in an Ethernet frame ends by its own account, counted from the start of the frame, which may
/// be beyond the bytes that are here. `None` if it is not IP, or its length field is cut off or zero (an IPv6
/// jumbogram says its length elsewhere).
#[inline]
fn ip_end(frame: &[u8]) -> Option<usize> {
    const IPV4: u16 = 0x0800;
    const IPV6: u16 = 0x86dd;
    const VLAN: [u16; 3] = [0x8100, 0x88a8, 0x9100];
    const IPV6_HEADER_LEN: usize = 40;

    let mut ip = ETHERNET_LEN;
    let mut ether_type = u16::from_be_bytes(frame.array(ip - 2)?);
    for _ in 0..2 {
        if !VLAN.contains(&ether_type) {
            break;
        }
        ip += VLAN_TAG_LEN;
        ether_type = u16::from_be_bytes(frame.array(ip - 2)?);
    }
    let len = match ether_type {
        IPV4 => usize::from(u16::from_be_bytes(frame.array(ip + 2)?)),
        IPV6 => match u16::from_be_bytes(frame.array(ip + 4)?) {
            0 => 0,
            payload => IPV6_HEADER_LEN + usize::from(payload),
        },
        _ => 0,
    };
    (len > 0).then_some(ip + len)
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;
    use proptest::prelude::*;

    use super::*;

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
        let builder =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([10, 0, 0, 7], [10, 0, 0, 9], 255).udp(65408, 4789);
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
        let found = vxlan(&outer(header(0xab_cdef), &inner)).unwrap();
        assert_eq!(
            found,
            Inner {
                source: Source::V4([10, 0, 0, 7]),
                vni: Vni::new(0xab_cdef).unwrap(),
                outer_ip: 14,
                start: 50,
                captured_len: inner.len(),
                original_len: inner.len(),
            }
        );
    }

    #[test]
    fn what_a_mirror_sends_takes_the_short_way() {
        assert!(plain_vxlan(&outer(header(1), &inner_v4(10))).is_some());
        assert!(plain_vxlan(&outer(header(1), &inner_v4(1000)[..128])).is_some());
    }

    #[test]
    fn reserved_bits_are_ignored_and_the_i_flag_is_required() {
        let inner = inner_v4(10);
        for flags in 0..=u8::MAX {
            let found = vxlan(&outer([flags, 0xff, 0xff, 0xff, 0, 0, 9, 0xff], &inner));
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
            let found = vxlan(&outer(header(1), &whole[..len]));
            if len < 14 {
                assert_eq!(found, Err(DropReason::InnerTruncated), "{len} inner bytes");
            } else {
                assert_eq!(found.unwrap().captured_len, len);
            }
        }
        let bytes = outer(header(1), &whole);
        for len in 0..bytes.len() {
            let found = vxlan(&bytes[..len]);
            match len {
                0..42 => assert_eq!(found, Err(DropReason::OuterMalformed), "{len} bytes"),
                42..50 => assert_eq!(found, Err(DropReason::VxlanTruncated), "{len} bytes"),
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
            let found = vxlan(&outer(header(1), &tagged[..128])).unwrap();
            assert_eq!((found.captured_len, found.original_len), (128, tagged.len()));
        }
    }

    #[test]
    fn an_ipv6_packet_says_its_length_and_a_jumbogram_does_not() {
        let builder =
            PacketBuilder::ethernet2(INNER_MACS.0, INNER_MACS.1).ipv6([1; 16], [2; 16], 64).udp(1, 2);
        let mut whole = Vec::new();
        builder.write(&mut whole, &[0; 500]).unwrap();
        let found = vxlan(&outer(header(1), &whole[..100])).unwrap();
        assert_eq!((found.captured_len, found.original_len), (100, whole.len()));
        whole[18..20].fill(0);
        let found = vxlan(&outer(header(1), &whole[..100])).unwrap();
        assert_eq!((found.captured_len, found.original_len), (100, 100));
    }

    #[test]
    fn padding_behind_the_outer_datagram_is_not_part_of_the_inner_frame() {
        let inner = inner_v4(0);
        let mut bytes = outer(header(1), &inner);
        bytes.extend([0; 20]);
        assert_eq!(vxlan(&bytes).unwrap().captured_len, inner.len());
    }

    #[test]
    fn an_inner_frame_that_is_not_ip_is_as_long_as_it_is() {
        let mut arp = vec![0xff; 60];
        arp[12..14].copy_from_slice(&[0x08, 0x06]);
        let found = vxlan(&outer(header(1), &arp)).unwrap();
        assert_eq!((found.captured_len, found.original_len), (60, 60));
    }

    #[test]
    fn an_outer_fragment_and_another_protocol_have_reasons_of_their_own() {
        let mut fragment = outer(header(1), &inner_v4(10));
        fragment[20] = 0x20;
        assert_eq!(vxlan(&fragment), Err(DropReason::OuterFragment));
        let mut tcp = outer(header(1), &inner_v4(10));
        tcp[23] = 6;
        assert_eq!(vxlan(&tcp), Err(DropReason::NotUdp));
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
            if let Some(found) = plain_vxlan(&bytes) {
                prop_assert_eq!(Ok(found), vxlan(&bytes));
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
            if let Ok(inner) = vxlan(&bytes) {
                prop_assert!(inner.start + inner.captured_len <= bytes.len());
                prop_assert!(inner.captured_len >= 14);
                prop_assert!(inner.original_len >= inner.captured_len);
                prop_assert!(inner.outer_ip < inner.start);
            }
        }
    }
}
