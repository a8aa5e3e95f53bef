//! Decapsulation for receivers that get whole tunnel packets from the kernel: the least that such a
//! tool has to do.

/// UDP port of VXLAN (RFC 7348 section 5).
pub const PORT: u16 = 4789;

/// Bytes of the tunnel around a frame from an IPv4 source: Ethernet, IPv4, UDP and VXLAN header.
pub const IPV4_LEN: usize = 14 + 20 + UDP_LEN + VXLAN_LEN;

const UDP_LEN: usize = 8;
const VXLAN_LEN: usize = 8;
const UDP: u8 = 17;
/// "More fragments" and the offset of an IPv4 header.
const FRAGMENT_BITS: u16 = 0x3FFF;
/// `I` flag of the VXLAN header: the VNI is valid.
const HAS_VNI: u8 = 0x08;

/// Returns the inner frame of an Ethernet frame that carries VXLAN to [`PORT`], else `None`.
#[inline]
pub fn inner_of_frame(frame: &[u8]) -> Option<&[u8]> {
    let (ethernet, packet) = frame.split_first_chunk::<14>()?;
    let datagram = match [ethernet[12], ethernet[13]] {
        [0x08, 0x00] => ipv4(packet)?,
        [0x86, 0xDD] => ipv6(packet)?,
        _ => return None,
    };
    let (udp, payload) = datagram.split_first_chunk::<UDP_LEN>()?;
    if u16::from_be_bytes([udp[2], udp[3]]) != PORT {
        return None;
    }
    // Ethernet may have padded behind the datagram.
    let payload_len = usize::from(u16::from_be_bytes([udp[4], udp[5]])).checked_sub(UDP_LEN)?;
    inner_of_datagram(payload.get(..payload_len)?)
}

/// Returns the inner frame of a datagram's payload, if that is VXLAN.
#[inline]
pub fn inner_of_datagram(payload: &[u8]) -> Option<&[u8]> {
    let (vxlan, inner) = payload.split_first_chunk::<VXLAN_LEN>()?;
    (vxlan[0] & HAS_VNI != 0).then_some(inner)
}

/// The datagram in an IPv4 packet that is UDP and no fragment.
fn ipv4(packet: &[u8]) -> Option<&[u8]> {
    let header: &[u8; 20] = packet.first_chunk()?;
    let is_whole = u16::from_be_bytes([header[6], header[7]]) & FRAGMENT_BITS == 0;
    let is_ours = header[0] >> 4 == 4 && header[9] == UDP && is_whole;
    packet.get(usize::from(header[0] & 0xF) * 4..).filter(|_| is_ours)
}

/// The datagram in an IPv6 packet without extension headers.
fn ipv6(packet: &[u8]) -> Option<&[u8]> {
    let (header, datagram) = packet.split_first_chunk::<40>()?;
    (header[6] == UDP).then_some(datagram)
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use vxtap_bench::{MirrorSession, Profile, Traffic};

    use super::*;

    /// The first frame of a session from this source, and where its inner frame begins.
    fn outer(source: &str) -> (Vec<u8>, usize) {
        let source: IpAddr = source.parse().expect("an address");
        let profile =
            Profile { sessions: MirrorSession::numbered(1, source, 100), ..Profile::default() };
        let mut frame = Vec::new();
        let sent = Traffic::new(&profile).expect("valid").next_frame(&mut frame).expect("one");
        let start = frame.len() - usize::from(sent.inner_len);
        (frame, start)
    }

    #[test]
    fn the_inner_frame_is_found_behind_either_family() {
        for source in ["10.0.1.1", "fd00::1"] {
            let (mut frame, start) = outer(source);
            let inner = frame[start..].to_vec();
            frame.extend_from_slice(&[0; 4]);
            assert_eq!(inner_of_frame(&frame), Some(&inner[..]), "{source}");
        }
        assert_eq!(outer("10.0.1.1").1, IPV4_LEN);
    }

    #[test]
    fn a_frame_cut_anywhere_has_none() {
        for source in ["10.0.1.1", "fd00::1"] {
            let (frame, _) = outer(source);
            for len in 0..frame.len() {
                assert_eq!(inner_of_frame(&frame[..len]), None, "{source} {len}");
            }
        }
    }

    #[test]
    fn other_ports_protocols_and_fragments_are_not_ours() {
        let (frame, _) = outer("10.0.1.1");
        // EtherType, more fragments, offset, protocol, destination port, I flag.
        for (at, to) in [(13, 0x06), (20, 0x20), (21, 1), (23, 6), (37, 0), (42, 0)] {
            let mut other = frame.clone();
            other[at] = to;
            assert_eq!(inner_of_frame(&other), None, "byte {at}");
        }
    }
}
