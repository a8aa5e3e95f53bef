//! Lengths of outer headers that the capturing host left to its NIC.
//!
//! With segmentation offload a host captures its own packets before the NIC divides them. Their IP
//! length may be zero: Windows leaves it to the NIC, and Linux cannot write a length above 65 535
//! bytes. The length of the captured frame takes its place, as in tshark ("reported as 0, presumed
//! to be because of TSO").

use vxtap_ebpf::wire::transport::{UDP, UDP_HEADER_LEN};
use vxtap_ebpf::wire::{ethernet, ipv4, ipv6};

/// Places of the length fields in their headers.
const IPV4_TOTAL_LEN_AT: usize = 2;
const IPV6_PAYLOAD_LEN_AT: usize = 4;
const UDP_LEN_AT: usize = 4;

/// Result of looking for lengths of zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lengths {
    /// There are none.
    Stated,
    /// They were filled in.
    FilledIn,
    /// The packet is longer than an IP header can say. It is left as it is.
    TooLong,
}

/// The lengths of an outer UDP datagram and their places. In bytes.
struct Datagram {
    /// Place of the IP length.
    ip_len_at: usize,
    /// IP length as the header states it.
    stated: usize,
    /// The same length by that of the frame.
    by_frame: usize,
    /// Part of these lengths that lies in front of the UDP header.
    in_front: usize,
    udp_at: usize,
}

impl Datagram {
    /// Finds the UDP datagram that directly follows an IP header.
    fn find(frame: &[u8], original_len: usize) -> Option<Self> {
        let packet = ethernet::payload(frame)?;
        let start = packet.offset;
        let packet_len = original_len.checked_sub(start)?;
        match packet.ether_type {
            ethernet::IPV4 => {
                let header = ipv4::Header::read(frame, start)?;
                let is_datagram = header.protocol() == UDP && !header.is_fragment();
                is_datagram.then(|| Self {
                    ip_len_at: start + IPV4_TOTAL_LEN_AT,
                    stated: header.total_len(),
                    by_frame: packet_len,
                    in_front: header.header_len(),
                    udp_at: start + header.header_len(),
                })
            }
            ethernet::IPV6 => {
                let header = ipv6::Header::read(frame, start)?;
                let is_datagram = header.chain(start).next_header == UDP;
                is_datagram.then(|| Self {
                    ip_len_at: start + IPV6_PAYLOAD_LEN_AT,
                    stated: header.total_len() - ipv6::HEADER_LEN,
                    by_frame: packet_len.saturating_sub(ipv6::HEADER_LEN),
                    in_front: 0,
                    udp_at: start + ipv6::HEADER_LEN,
                })
            }
            _ => None,
        }
    }
}

/// Fills in the IP and UDP lengths of an outer UDP datagram that are zero. `original_len` is the
/// length of the frame on the wire, in bytes.
pub(super) fn fill_in(frame: &mut [u8], original_len: usize) -> Lengths {
    let Some(datagram) = Datagram::find(frame, original_len) else { return Lengths::Stated };
    let Datagram { ip_len_at, stated, by_frame, in_front, udp_at } = datagram;
    let ip_len = if stated == 0 { by_frame } else { stated };
    let Some(udp_len) = ip_len.checked_sub(in_front).filter(|&len| len >= UDP_HEADER_LEN) else {
        return Lengths::Stated;
    };
    let (Ok(ip_len), Ok(udp_len)) = (u16::try_from(ip_len), u16::try_from(udp_len)) else {
        return Lengths::TooLong;
    };
    let mut outcome = Lengths::Stated;
    for (at, len) in [(ip_len_at, ip_len), (udp_at + UDP_LEN_AT, udp_len)] {
        if let Some(field @ [0, 0]) = frame.get_mut(at..at + 2) {
            field.copy_from_slice(&len.to_be_bytes());
            outcome = Lengths::FilledIn;
        }
    }
    outcome
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    /// An Ethernet frame with 30 bytes of UDP payload.
    fn frame(is_v4: bool) -> Vec<u8> {
        let ethernet = PacketBuilder::ethernet2([2; 6], [4; 6]);
        let ip = if is_v4 {
            ethernet.ipv4([10, 0, 0, 7], [10, 0, 0, 9], 64)
        } else {
            ethernet.ipv6([1; 16], [2; 16], 64)
        };
        let mut frame = Vec::new();
        ip.udp(65408, 4789).write(&mut frame, &[8; 30]).unwrap();
        frame
    }

    /// Places of the IP and the UDP length.
    const fn places(is_v4: bool) -> [usize; 2] {
        if is_v4 { [16, 38] } else { [18, 58] }
    }

    #[test]
    fn lengths_of_zero_become_those_of_the_frame_also_if_it_is_cut() {
        for is_v4 in [true, false] {
            let whole = frame(is_v4);
            for zeros in [&places(is_v4)[..], &places(is_v4)[..1], &places(is_v4)[1..]] {
                let mut frame = whole.clone();
                for &at in zeros {
                    frame[at..at + 2].fill(0);
                }
                frame.truncate(whole.len() - 20);
                assert_eq!(fill_in(&mut frame, whole.len()), Lengths::FilledIn);
                assert_eq!(frame, whole[..frame.len()]);
            }
            let mut frame = whole.clone();
            assert_eq!(fill_in(&mut frame, whole.len()), Lengths::Stated);
            assert_eq!(frame, whole);
        }
    }

    #[test]
    fn a_packet_that_is_longer_than_its_header_can_say_is_left_as_it_is() {
        for is_v4 in [true, false] {
            let mut frame = frame(is_v4);
            let [ip, udp] = places(is_v4);
            frame[ip..ip + 2].fill(0);
            // A length modulo 65 536, as Linux writes it.
            frame[udp..udp + 2].copy_from_slice(&[0, 64]);
            let before = frame.clone();
            assert_eq!(fill_in(&mut frame, 70_000), Lengths::TooLong);
            assert_eq!(frame, before);
        }
    }

    #[test]
    fn nothing_else_than_outer_datagrams_is_touched() {
        let mut tcp = frame(true);
        tcp[23] = 6;
        let mut fragment = frame(true);
        fragment[20] = 0x20;
        let mut arp = frame(true);
        arp[13] = 6;
        for mut frame in [tcp, fragment, arp, vec![], vec![0; 13], frame(true)[..20].to_vec()] {
            if let Some(len) = frame.get_mut(16..18) {
                len.fill(0);
            }
            let before = frame.clone();
            let original_len = before.len();
            assert_eq!(fill_in(&mut frame, original_len), Lengths::Stated);
            assert_eq!(frame, before);
        }
    }
}
