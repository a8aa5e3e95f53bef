//! Synthetic headers in the place of those that the kernel stack has removed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Bytes of the longest headers: Ethernet, IPv6 and UDP.
pub(super) const HEADERS_MAX: u32 = 14 + 40 + 8;

const TTL: u8 = 64;
const UDP: u8 = 17;

/// Ethernet, IP and UDP header of a datagram. The Ethernet addresses are zero, time to live and hop
/// limit 64, the UDP checksum is absent: the stack has checked it and does not pass it on.
#[derive(Clone, Copy, Debug)]
pub(super) struct SyntheticHeaders {
    bytes: [u8; HEADERS_MAX as usize],
    len: usize,
}

impl SyntheticHeaders {
    /// Makes the headers of a datagram with `payload_len` bytes of payload. Without a destination
    /// of the source's family: the unspecified address. `ports` are source and destination port.
    pub(super) fn new(
        source: IpAddr,
        destination: Option<IpAddr>,
        ports: (u16, u16),
        payload_len: usize,
    ) -> Self {
        let udp_len = u16::try_from(payload_len + 8).unwrap_or(u16::MAX);
        let mut headers = Self { bytes: [0; HEADERS_MAX as usize], len: 12 };
        match source {
            IpAddr::V4(source) => {
                let destination = match destination {
                    Some(IpAddr::V4(destination)) => destination,
                    _ => Ipv4Addr::UNSPECIFIED,
                };
                headers.push(&[0x08, 0x00]);
                headers.push(&ipv4(source, destination, udp_len));
            }
            IpAddr::V6(source) => {
                let destination = match destination {
                    Some(IpAddr::V6(destination)) => destination,
                    _ => Ipv6Addr::UNSPECIFIED,
                };
                headers.push(&[0x86, 0xdd, 0x60, 0, 0, 0]);
                headers.push(&udp_len.to_be_bytes());
                headers.push(&[UDP, TTL]);
                headers.push(&source.octets());
                headers.push(&destination.octets());
            }
        }
        headers.push(&ports.0.to_be_bytes());
        headers.push(&ports.1.to_be_bytes());
        headers.push(&udp_len.to_be_bytes());
        headers.push(&[0, 0]);
        headers
    }

    fn push(&mut self, bytes: &[u8]) {
        self.bytes[self.len..self.len + bytes.len()].copy_from_slice(bytes);
        self.len += bytes.len();
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }
}

fn ipv4(source: Ipv4Addr, destination: Ipv4Addr, udp_len: u16) -> [u8; 20] {
    let mut header = [0; 20];
    header[0] = 0x45;
    header[2..4].copy_from_slice(&udp_len.saturating_add(20).to_be_bytes());
    header[8] = TTL;
    header[9] = UDP;
    header[12..16].copy_from_slice(&source.octets());
    header[16..20].copy_from_slice(&destination.octets());
    // RFC 1071.
    let words = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = !((sum & 0xffff) + (sum >> 16)) & 0xffff;
    header[10..12].copy_from_slice(&sum.to_be_bytes()[2..]);
    header
}

#[cfg(test)]
mod tests {
    use etherparse::PacketHeaders;
    use vxtap_ebpf::parse::{Source, udp_datagram};

    use super::*;

    #[test]
    fn the_parser_of_the_data_path_reads_them() {
        for (source, destination) in [("10.0.0.7", "10.0.0.9"), ("2001:db8::7", "2001:db8::9")] {
            let (source, destination): (IpAddr, IpAddr) =
                (source.parse().unwrap(), destination.parse().unwrap());
            let headers = SyntheticHeaders::new(source, Some(destination), (65_400, 6081), 100);
            let datagram = udp_datagram(headers.bytes()).unwrap();
            let expected = match source {
                IpAddr::V4(source) => Source::V4(source.octets()),
                IpAddr::V6(source) => Source::V6(source.octets()),
            };
            assert_eq!(
                (datagram.source, datagram.destination_port, datagram.udp_len),
                (expected, 6081, 108)
            );
            assert_eq!(datagram.udp_offset + 8, headers.bytes().len());
            let mut frame = headers.bytes().to_vec();
            frame.resize(frame.len() + 100, 0);
            PacketHeaders::from_ethernet_slice(&frame).unwrap();
        }
    }

    #[test]
    fn the_header_checksum_is_right_and_an_unknown_destination_is_unspecified() {
        let headers = SyntheticHeaders::new([10, 0, 0, 7].into(), None, (1, 2), 0);
        let ip = etherparse::Ipv4HeaderSlice::from_slice(&headers.bytes()[14..]).unwrap();
        assert_eq!(ip.header_checksum(), ip.to_header().calc_header_checksum());
        assert_eq!(ip.destination(), [0; 4]);
    }
}
